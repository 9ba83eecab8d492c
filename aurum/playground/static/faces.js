// A photo with its marks, and the list of its faces; hovering over one highlights the other.

import { crop } from "./align.js";
import { copyButton, counted, el, turned } from "./dom.js";
import { Overlay } from "./overlay.js";
import { defect, parts } from "./quality.js";

export class FaceView {
  /** `choose`: one face is always chosen; otherwise choosing it again deselects it. */
  constructor({ choose = false, onchoose = () => {} } = {}) {
    this.always = choose;
    this.onchoose = onchoose;
    this.chosen = null;
    this.image = el("img", { alt: "" });
    this.overlay = new Overlay({
      onpick: (index) => this.choose(index),
      onhover: (index) => this.light(index),
    });
    this.stage = el("div", { class: "stage", hidden: true }, this.image, this.overlay.element);
    this.unseen = el("p", { class: "nopicture", hidden: true });
    /** The picture, or the reason why there is none. */
    this.element = el("div", {}, this.stage, this.unseen);
    this.faces = el("ol", { class: "faces" });
    this.order = el(
      "p",
      { class: "hint", hidden: true },
      "Here quality gives only an order, not a probability, and it is unknown which faces are recognizable.",
    );
    /** The list of faces. */
    this.list = el("div", {}, this.faces, this.order);
  }

  /** Show a photo without marks, or say that the browser can't; `name` is its text alternative. */
  async photo(blob, name) {
    this.clear();
    const url = URL.createObjectURL(blob);
    this.image.src = url;
    this.image.alt = `the photo ${name}`;
    try {
      await this.image.decode();
      this.stage.hidden = false;
    } catch {
      this.unseen.textContent = `This browser can't show ${name}. It was sent to the service unchanged.`;
      this.unseen.hidden = false;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  /** List the photo's faces, and mark them if the photo is shown. */
  show(result) {
    this.result = result;
    this.chosen = null;
    this.overlay.show(this.visible ? result : null);
    this.faces.replaceChildren(...result.faces.map((face, i) => this.card(face, i)));
    this.order.hidden = result.qualityCalibrated || !result.faces.some((face) => face.parts);
    if (this.always && result.faces.length > 0) this.choose(0);
  }

  /** Whether the browser shows the photo. */
  get visible() {
    return !this.stage.hidden;
  }

  /** Whether the browser shows the photo as the service saw it, so that the marks fit. */
  get fits() {
    const [width, height] = this.result.size;
    return this.image.naturalWidth === width && this.image.naturalHeight === height;
  }

  /** Remove the photo, its marks and its list. */
  clear() {
    this.result = null;
    this.chosen = null;
    this.stage.hidden = true;
    this.unseen.hidden = true;
    this.order.hidden = true;
    this.overlay.show(null);
    this.faces.replaceChildren();
  }

  // Highlight a face in the picture and in the list; null: the chosen one, if any.
  light(index) {
    this.overlay.activate(index ?? this.chosen);
    [...this.faces.children].forEach((item, i) => item.classList.toggle("lit", i === index));
  }

  choose(index) {
    this.chosen = index === this.chosen && !this.always ? null : index;
    this.light(null);
    [...this.faces.children].forEach((item, i) => {
      item.querySelector("button").setAttribute("aria-pressed", String(i === this.chosen));
    });
    if (this.chosen !== null) this.reveal(this.faces.children[index]);
    this.onchoose(this.chosen);
  }

  // Scrolls the list only: the picture and, in a comparison, the verdict stay where they are.
  reveal(item) {
    const [list, card] = [this.faces, item].map((element) => element.getBoundingClientRect());
    if (card.top < list.top || card.bottom > list.bottom)
      this.faces.scrollTop += card.top - list.top;
  }

  card(face, index) {
    const picture = this.visible ? crop(this.image, face) : null;
    picture?.setAttribute("aria-hidden", "true");
    const light = () => this.light(index);
    const rest = () => this.light(null);
    return el(
      "li",
      { onpointerenter: light, onpointerleave: rest, onfocusin: light, onfocusout: rest },
      el(
        "button",
        {
          type: "button",
          class: "face",
          "aria-pressed": "false",
          onclick: () => this.choose(index),
        },
        picture,
        el("span", { class: "name" }, `Face ${index + 1}`),
        el("span", {}, `score ${face.score.toFixed(3)}`),
        el(
          "span",
          {},
          face.quality === null ? "quality: not given" : `quality ${face.quality.toFixed(2)}`,
        ),
        face.recognizable === null ? null : verdict(face),
        face.rotation ? el("span", {}, turned(face)) : null,
        face.liveness === null ? null : el("span", {}, `liveness ${face.liveness.toFixed(2)}`),
      ),
      qualityTable(face, index),
    );
  }
}

function verdict(face) {
  if (face.recognizable) return el("span", {}, "recognizable");
  return el("span", { class: "bad" }, `not recognizable: ${defect(face)}`);
}

function qualityTable(face, index) {
  const rows = parts(face);
  if (rows.length === 0) return null;
  return el(
    "details",
    {},
    el("summary", {}, "Quality parts"),
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, `Quality parts of face ${index + 1}`),
      el(
        "tbody",
        {},
        ...rows.map(({ name, text, meaning }) =>
          el("tr", { title: meaning }, el("th", { scope: "row" }, name), el("td", {}, text)),
        ),
      ),
    ),
  );
}

/** Number of faces and size of the photo, in words. */
export function summary(result) {
  const [width, height] = result.size;
  return `${counted(result.faces)} in ${width} x ${height} pixels`;
}

/** The whole answer as Triton's JSON; embeddings are truncated on screen, but not when copied. */
export function rawAnswer() {
  let answer = null;
  const text = el("pre", { tabindex: "0", role: "region", "aria-label": "raw answer as JSON" });
  const element = el(
    "details",
    {},
    el("summary", {}, "Raw answer (JSON)"),
    el(
      "p",
      {},
      "Embeddings are truncated here; copying gives all numbers. ",
      copyButton("Copy the JSON", () => json(answer, Infinity)),
    ),
    text,
  );
  return {
    element,
    show(raw) {
      answer = raw;
      text.textContent = json(raw, 4);
    },
  };
}

// One line per output. `most`: how many numbers of the embeddings to show.
function json(answer, most) {
  const data = ({ name, datatype, data: values }) => {
    if (datatype !== "FP32") return JSON.stringify(values);
    const shown = name === "embeddings" && values.length > most ? values.slice(0, most) : values;
    const numbers = shown.map((value) => (Number.isNaN(value) ? "null" : shortest(value)));
    const cut = values.length - shown.length;
    return `[${numbers.join(",")}${cut > 0 ? `, … ${cut} more` : ""}]`;
  };
  const outputs = answer.outputs.map((output) => {
    const { name, datatype, shape } = output;
    const head = JSON.stringify({ name, datatype, shape }).slice(0, -1);
    return `  ${head},"data":${data(output)}}`;
  });
  const { model_name: model, model_version: version } = answer;
  return `{"model_name":${JSON.stringify(model)},"model_version":${JSON.stringify(version)},"outputs":[\n${outputs.join(",\n")}\n]}`;
}

// The shortest decimal that rounds to the same 32-bit float.
function shortest(value) {
  for (let digits = 6; digits < 9; digits += 1) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(Number(value.toPrecision(9)));
}
