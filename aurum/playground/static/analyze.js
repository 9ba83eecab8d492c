// The Analyze tab: one photo's faces, timings and raw answer, and code for the same call.

import { el, milliseconds } from "./dom.js";
import { FaceView, rawAnswer, summary } from "./faces.js";
import { meanings } from "./meanings.js";
import { Notice } from "./notice.js";
import { photoInput } from "./photo.js";
import { snippets } from "./snippets.js";
import { infer, mayMissSome } from "./triton.js";

export function analyze(panel, { onanswer }) {
  const notice = new Notice();
  const view = new FaceView();
  const raw = rawAnswer();
  const code = snippets();
  const meaning = meanings();
  const times = el("tbody");
  const models = el("p", { class: "models" });
  let current = null; // the photo, its name and the controller that cancels its request

  const input = photoInput({
    onphoto: (blob, name) => ask(blob, name),
    ontrouble: (text) => notice.fail(text),
  });
  const options = requestOptions(() => current && ask(current.blob, current.name));
  const shown = el(
    "fieldset",
    { class: "row" },
    el("legend", {}, "Draw"),
    ...["boxes", "landmarks", "scores", "parts"].map((what) =>
      el(
        "label",
        {},
        el("input", {
          type: "checkbox",
          name: what,
          checked: view.overlay.shown[what],
          onchange: (event) => {
            view.overlay.shown[what] = event.target.checked;
            view.overlay.draw();
          },
        }),
        what === "parts" ? " quality parts" : ` ${what}`,
      ),
    ),
  );
  const found = el(
    "div",
    { class: "found", hidden: true },
    el("h2", {}, "Faces"),
    view.list,
    models,
    el("h2", {}, "Time"),
    el("table", { class: "times" }, el("caption", { class: "unseen" }, "Time by step"), times),
    raw.element,
  );
  panel.append(
    input.element,
    options.element,
    notice.element,
    el("div", { class: "columns" }, el("div", {}, view.element, shown), found),
    code.element,
    meaning.element,
  );
  shown.hidden = true;
  code.show("photo.jpg", {});

  async function ask(blob, name) {
    current?.controller.abort();
    // If only the options changed, the old answer stays until the new one is here: nothing jumps.
    const fresh = current?.blob !== blob || found.hidden;
    const controller = new AbortController();
    current = { blob, name, controller };
    const asked = options.values();
    code.show(name, asked);
    notice.say(`Analyzing ${name} …`);
    if (fresh) hide();
    const seen = fresh ? view.photo(blob, name) : null;
    try {
      const result = await infer("analyze_faces", blob, asked, controller.signal);
      await seen;
      if (controller.signal.aborted) return;
      onanswer(result);
      view.show(result);
      shown.hidden = !view.visible;
      found.hidden = false;
      meaning.fold();
      raw.show(result.raw);
      models.textContent = [result.models.detector, result.models.embedder]
        .filter(Boolean)
        .join(" and ");
      times.replaceChildren(...timeRows(result.times));
      notice.say(said(result, asked, view));
    } catch (error) {
      if (error.name === "AbortError") return;
      await seen;
      hide();
      notice.refuse(error, { blob, name });
    }
  }

  function hide() {
    found.hidden = true;
    shown.hidden = true;
    view.clear();
  }

  return input;
}

function said(result, asked, { visible, fits }) {
  const notes = [`${result.faces.length === 0 ? "No face found: " : ""}${summary(result)}.`];
  if (mayMissSome(result, asked))
    notes.push("A larger long side for the detector, or more tiles, may find more.");
  if (visible && !fits)
    notes.push(
      "This browser shows the photo at another size than the service saw, so the marks may not fit.",
    );
  return notes.join(" ");
}

// The request's parameters; empty fields use the service's defaults.
function requestOptions(onchange) {
  const number = (name, attributes) =>
    el("input", { type: "number", name, placeholder: "default", ...attributes });
  const choice = (name, ...values) =>
    el(
      "select",
      { name },
      el("option", { value: "" }, "default"),
      ...values.map((value) => el("option", { value }, value)),
    );
  const fields = [
    ["lowest score", number("min_confidence", { min: 0, max: 1, step: 0.05 })],
    ["most faces", number("max_faces", { min: 0, step: 1 })],
    ["lowest quality", number("min_quality", { min: 0, max: 1, step: 0.05 })],
    ["detector's long side, pixels", number("detection_size", { min: 32, max: 2560, step: 32 })],
    ["tiles, for crowds", number("tiles", { min: 0, max: 16, step: 1 })],
    ["orientation", choice("orientation", "auto", "exif")],
    ["second look", choice("refine", "true", "false")],
  ];
  const element = el(
    "details",
    { class: "options" },
    el("summary", {}, "Options of the request"),
    el(
      "div",
      { class: "row", onchange },
      ...fields.map(([label, input]) => el("label", {}, `${label} `, input)),
    ),
  );
  const values = () =>
    Object.fromEntries(
      fields
        .filter(([, input]) => input.value !== "")
        .map(([, input]) => [
          input.name,
          input.type === "number" ? input.valueAsNumber : input.value,
        ]),
    );
  return { element, values };
}

// Table rows: the page's own measurements and, indented, what the server reported.
function timeRows({ read, exchange, decode, server }) {
  const calls = (count) => `, ${count} ${count === "1" ? "call" : "calls"}`;
  const rows = [
    ["read the photo from disk", read, 0],
    ["send it and receive the whole answer", exchange, 0],
    ["receive it at the pass-through", server.receive?.duration, 1],
    ["send it to Triton and receive the answer", server.triton?.duration, 1],
    [`face_detection${calls(server.face_detection?.note)}`, server.face_detection?.duration, 2],
    [
      `second look (face_landmarks)${calls(server.face_landmarks?.note)}`,
      server.face_landmarks?.duration,
      2,
    ],
    [`face_embedding${calls(server.face_embedding?.note)}`, server.face_embedding?.duration, 2],
    [`face_liveness${calls(server.face_liveness?.note)}`, server.face_liveness?.duration, 2],
    ["decode, letterbox, NMS, align, quality", server.step?.duration, 2],
    ["read the answer's tensors", decode, 0],
  ].filter(([, value]) => value !== undefined);
  const elements = rows.map(([name, value, level]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", class: `level${level}` }, name),
      el("td", {}, milliseconds(value)),
    ),
  );
  if (server.triton && !server.face_detection) {
    elements.push(
      el(
        "tr",
        {},
        el(
          "td",
          { colspan: "2" },
          "No times of the steps within Triton: it was answering other requests, too.",
        ),
      ),
    );
  }
  return elements;
}
