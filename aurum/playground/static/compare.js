// The Compare tab: similarity of two faces, and the decision at a chosen false accept rate.

import { crop } from "./align.js";
import { el } from "./dom.js";
import { FaceView, summary } from "./faces.js";
import { Notice } from "./notice.js";
import { photoInput } from "./photo.js";
import { defect } from "./quality.js";
import { compare as alike, infer } from "./triton.js";

const DECISIONS = {
  match: "Same person",
  "no match": "Not the same person",
  "not recognizable": "Not recognizable, so there is no decision",
  uncalibrated: "No decision: this embedder is not calibrated.",
};
const LOOKS = { match: "yes", "no match": "no" };
const RATES = { "1e-2": "1 in 100", "1e-3": "1 in 1,000", "1e-4": "1 in 10,000" };

export function compare(panel, { onanswer }) {
  const sides = ["First", "Second"].map((name) => side(name, { onanswer, onchange: update }));
  const verdict = el("div", { class: "verdict", role: "status" });
  const rate = el(
    "select",
    { name: "far", onchange: update },
    ...Object.entries(RATES).map(([far, text]) =>
      el("option", { value: far, selected: far === "1e-4" }, text),
    ),
  );
  const prior = el("input", {
    type: "number",
    name: "prior",
    min: 0.000001,
    max: 0.999999,
    step: "any",
    placeholder: "default",
    onchange: update,
  });
  panel.append(
    verdict,
    el(
      "div",
      { class: "row" },
      el("label", {}, "accept strangers at most ", rate),
      el("label", {}, "share of pairs that are the same person ", prior),
    ),
    el("div", { class: "columns even" }, ...sides.map(({ element }) => element)),
  );
  update();

  function update() {
    const chosen = sides.map((item) => item.chosen());
    if (chosen.includes(null)) {
      verdict.replaceChildren(
        el("p", {}, "Choose two photos, and a face in each."),
        sides.every((item) => item.empty())
          ? el("button", { type: "button", onclick: examples }, "Compare the examples")
          : "",
      );
      return;
    }
    const given = prior.value === "" ? null : prior.valueAsNumber;
    if (given !== null && !(given > 0 && given < 1)) {
      verdict.replaceChildren(
        el("p", { class: "error" }, "The share of pairs must be between 0 and 1, both excluded."),
      );
      return;
    }
    try {
      verdict.replaceChildren(...words(alike(...chosen, rate.value, given), chosen, given));
    } catch (error) {
      verdict.replaceChildren(el("p", { class: "error" }, error.message));
    }
  }

  function words({ similarity, threshold, decision, probability, gated }, chosen, given) {
    const facts = [["similarity (cosine)", similarity.toFixed(4)]];
    if (threshold !== null) {
      const strangers = RATES[rate.value].slice(5);
      facts.push([`threshold at one false accept in ${strangers}`, threshold.toFixed(4)]);
    }
    if (probability !== null) {
      const share = Number((100 * (given ?? chosen[0].calibration.prior)).toPrecision(4));
      facts.push([
        `probability of the same person, if ${share} % of pairs are`,
        percent(probability),
      ]);
    }
    const told = [
      el("p", { class: `decision ${LOOKS[decision] ?? ""}` }, DECISIONS[decision]),
      ...chosen.map(({ face, which }) =>
        face.defect === null ? null : el("p", {}, `The ${which} photo: ${defect(face)}.`),
      ),
      threshold === null || gated
        ? null
        : el(
            "p",
            { class: "hint" },
            "The service does not say whether the faces are recognizable.",
          ),
      el(
        "dl",
        { class: "figures" },
        ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
      ),
    ];
    return [el("div", { class: "crops" }, ...chosen.map(portrait)), el("div", {}, ...told)];
  }

  function examples() {
    sides.forEach((item, i) => item.example(i));
  }

  // A pasted photo goes to the first empty side, otherwise to the second.
  return { take: (files) => (sides.find((item) => item.empty()) ?? sides[1]).take(files) };
}

// A face's crop, or its name if the browser can't show the photo.
function portrait({ picture, face, index, which }) {
  const name = `face ${index + 1} of the ${which} photo`;
  if (picture === null) return el("p", { class: "nopicture" }, name);
  const canvas = crop(picture, face);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

// A rounded probability must not look like certainty.
function percent(probability) {
  if (probability > 0.9999) return "more than 99.99 %";
  if (probability < 0.0001) return "less than 0.01 %";
  return `${(100 * probability).toFixed(2)} %`;
}

function side(name, { onanswer, onchange }) {
  const notice = new Notice();
  const view = new FaceView({ choose: true, onchoose: onchange });
  let result = null;
  let controller = null;
  const input = photoInput({
    onphoto: ask,
    ontrouble: (text) => notice.fail(text),
    label: `${name} photo`,
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
      view.show(answer);
      if (answer.faces.length === 0) notice.say(`No face found: ${summary(answer)}.`);
      else notice.say(`${summary(answer)}${answer.faces.length > 1 ? "; choose one" : ""}.`);
      onchange();
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
      el("h2", {}, `${name} photo`),
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
