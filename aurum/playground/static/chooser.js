// Choose a photo and a face in it, for the tabs that need one face.

import { crop } from "./align.js";
import { el } from "./dom.js";
import { FaceView, summary } from "./faces.js";
import { Notice } from "./notice.js";
import { photoInput } from "./photo.js";
import { infer } from "./triton.js";

/**
 * A photo, and one of its faces: the largest until another is chosen. Calls `onanswer` with the
 * service's answer, and `onchange()` when `chosen()` may have changed.
 */
export function chooser(name, { onanswer, onchange }) {
  const notice = new Notice();
  const view = new FaceView({ choose: true, onchoose: onchange });
  let result = null;
  let controller = null;
  const input = photoInput({
    onphoto: ask,
    ontrouble: (text) => notice.fail(text),
    label: name,
  });

  async function ask(blob, file) {
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    result = null;
    view.clear();
    onchange();
    notice.say(`Analyzing ${file} …`);
    try {
      const answer = await infer("analyze_faces", blob, {}, signal);
      await view.photo(blob, file);
      if (signal.aborted) return;
      onanswer(answer);
      result = answer;
      view.show(answer); // chooses a face, if there is one
      if (answer.faces.length === 0) {
        notice.say(`No face found: ${summary(answer)}.`);
        onchange();
      } else notice.say(`${summary(answer)}${answer.faces.length > 1 ? "; choose one" : ""}.`);
    } catch (error) {
      if (error.name === "AbortError") return;
      view.clear();
      result = null;
      notice.refuse(error, { blob, name: file });
      onchange();
    }
  }

  return {
    element: el(
      "div",
      { class: "side" },
      el("h2", {}, name),
      input.element,
      notice.element,
      view.element,
      view.list,
    ),
    take: input.take,
    example: input.example,
    empty: () => result === null,
    chosen: () =>
      result === null || view.chosen === null
        ? null
        : {
            ...result,
            face: result.faces[view.chosen],
            index: view.chosen,
            which: name.toLowerCase(),
            picture: view.visible ? view.image : null,
          },
  };
}

/** A chosen face's crop, or its name if the browser can't show the photo. */
export function portrait({ picture, face, index, which }) {
  const name = `face ${index + 1} of the ${which}`;
  if (picture === null) return el("p", { class: "nopicture" }, name);
  const canvas = crop(picture, face);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}
