// An overlay of boxes, landmarks, scores and quality parts, in the picture's pixel coordinates.

import { counted, svg } from "./dom.js";
import { labels } from "./labels.js";
import { parts } from "./quality.js";

export class Overlay {
  /** Draws into `this.element`, which covers the picture; reports clicked and hovered boxes. */
  constructor({ onpick = () => {}, onhover = () => {} } = {}) {
    this.element = svg("svg", { class: "overlay", role: "img", "aria-label": "no faces marked" });
    this.shown = { boxes: true, landmarks: true, scores: true, parts: false };
    this.active = null;
    this.result = null;
    const hit = (event) => {
      const face = event.target.closest("[data-index]");
      return face ? Number(face.dataset.index) : null;
    };
    this.element.addEventListener("click", (event) => {
      if (hit(event) !== null) onpick(hit(event));
    });
    this.element.addEventListener("pointerover", (event) => onhover(hit(event)));
    this.element.addEventListener("pointerleave", () => onhover(null));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  /** Mark the faces of an answer; null: none. */
  show(result) {
    this.result = result;
    this.active = null;
    this.draw();
  }

  /** Highlight one face; null: none. */
  activate(index) {
    this.active = index;
    this.emphasize();
  }

  /** Redraw everything, after a change of size or of what is shown. */
  draw() {
    this.element.replaceChildren();
    if (this.result === null) return;
    const {
      size: [width, height],
      faces,
    } = this.result;
    this.element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.element.setAttribute(
      "aria-label",
      `${counted(faces)} marked in the photo; the list of faces describes them`,
    );
    this.unit = width / (this.element.clientWidth || width); // picture pixels in a CSS pixel
    this.marks = faces.map((face, i) => this.face(face, i));
    this.texts = svg("g", { class: "texts" });
    this.element.append(...this.marks, this.texts);
    this.emphasize();
  }

  // This replaces only texts, so that a click that begins on a box also ends on it.
  emphasize() {
    if (this.result === null) return;
    const {
      size: [width, height],
      faces,
    } = this.result;
    this.marks.forEach((mark, i) => {
      mark.classList.toggle("active", i === this.active);
      const line = Math.min(2 * this.unit, faces[i].box[2] / 16) * (i === this.active ? 2 : 1);
      mark.querySelector(".box")?.setAttribute("stroke-width", line);
      mark.querySelector(".halo")?.setAttribute("stroke-width", 2 * line);
    });
    this.texts.replaceChildren(
      ...(this.shown.scores ? labels(this.result, this.active, this.unit) : []),
    );
    const chosen = this.active ?? (faces.length === 1 ? 0 : null);
    if (!this.shown.parts || chosen === null) return;
    const panel = this.panel(faces[chosen], width, height);
    if (panel) this.texts.append(panel);
  }

  // Lines and dots shrink with the face, or in a crowd they would hide it.
  face(face, index) {
    const [x, y, width, height] = face.box;
    const unfit = face.recognizable === false ? " unfit" : "";
    const marks = [svg("rect", { class: "target", x, y, width, height })];
    if (this.shown.boxes) {
      marks.push(
        svg("rect", { class: "halo", x, y, width, height }),
        svg("rect", { class: `box${unfit}`, x, y, width, height }),
      );
    }
    if (this.shown.landmarks) {
      const r = Math.min(4 * this.unit, width / 28);
      face.landmarks.forEach(([cx, cy], i) =>
        marks.push(svg("circle", { class: `landmark l${i}`, cx, cy, r, "stroke-width": r / 4 })),
      );
    }
    return svg("g", { class: "face", "data-index": index }, ...marks);
  }

  // Quality parts of one face, on the side of its box with the most room, always within the photo.
  panel(face, width, height) {
    const lines = parts(face);
    if (lines.length === 0) return null;
    const [columns, rows] = [16, 1.35 * (lines.length + 0.6)]; // width and height in font sizes
    const [x, y, boxWidth, boxHeight] = face.box;
    const places = [
      { wide: width - x - boxWidth, high: height, left: () => x + boxWidth, top: () => y },
      { wide: x, high: height, left: (size) => x - (columns + 1) * size, top: () => y },
      { wide: width, high: height - y - boxHeight, left: () => x, top: () => y + boxHeight },
      { wide: width, high: y, left: () => x, top: (size) => y - (rows + 1) * size },
    ].map((place) => ({
      ...place,
      size: Math.min(11 * this.unit, place.wide / (columns + 1), place.high / (rows + 1)),
    }));
    const best = places.reduce((one, other) => (other.size > one.size ? other : one));
    // If there is no room beside the face, cover it rather than be too small to read.
    const size = Math.max(best.size, Math.min(7 * this.unit, width / columns, height / rows));
    const [wide, high] = [columns * size, rows * size];
    const left = Math.max(0, Math.min(width - wide, best.left(size) + size / 2));
    const top = Math.max(0, Math.min(height - high, best.top(size) + size / 2));
    const texts = lines.flatMap(({ name, text }, i) => {
      const at = top + 1.35 * size * (i + 1);
      return [
        svg("text", { x: left + 0.6 * size, y: at, "font-size": size }, name),
        svg(
          "text",
          { x: left + wide - 0.6 * size, y: at, "font-size": size, "text-anchor": "end" },
          text,
        ),
      ];
    });
    return svg(
      "g",
      { class: "panel" },
      svg("rect", { x: left, y: top, width: wide, height: high, rx: size / 2 }),
      ...texts,
    );
  }
}
