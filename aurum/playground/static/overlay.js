// An overlay of boxes, landmarks, scores and quality parts, in the picture's pixel coordinates.

import { counted, svg, turned } from "./dom.js";
import { parts } from "./quality.js";

const FONT = 13; // CSS pixels, at any size of the picture
const CROWD = 44; // CSS pixels; narrower boxes show only their number, unless active

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
    this.texts = [];
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
    this.element.append(...faces.map((face, i) => this.face(face, i)));
    this.emphasize();
  }

  // This replaces only texts, so that a click that begins on a box also ends on it.
  emphasize() {
    if (this.result === null) return;
    const {
      size: [width, height],
      faces,
    } = this.result;
    faces.forEach((face, i) => {
      this.element.children[i].classList.toggle("active", i === this.active);
      if (!this.texts[i]) return;
      const short = face.box[2] < CROWD * this.unit && i !== this.active;
      this.texts[i].textContent = short ? `${i + 1}` : label(face, i);
    });
    this.element.querySelector(".panel")?.remove();
    const chosen = this.active ?? (faces.length === 1 ? 0 : null);
    if (!this.shown.parts || chosen === null) return;
    const panel = this.panel(faces[chosen], width, height);
    if (panel) this.element.append(panel);
  }

  face(face, index) {
    const [x, y, width, height] = face.box;
    const { unit } = this;
    const marks = [svg("rect", { class: "target", x, y, width, height })];
    if (this.shown.boxes) {
      marks.push(
        svg("rect", { class: "halo", x, y, width, height }),
        svg("rect", { class: "box", x, y, width, height }),
      );
    }
    if (this.shown.landmarks) {
      const r = Math.max(1.2 * unit, Math.min(4 * unit, width / 28));
      face.landmarks.forEach(([cx, cy], i) =>
        marks.push(svg("circle", { class: `landmark l${i}`, cx, cy, r })),
      );
    }
    if (this.shown.scores) {
      const size = (width < CROWD * unit ? 10 : FONT) * unit;
      const above = y - 0.4 * size;
      const place = { x: Math.max(x, 2 * unit), y: above < size ? Math.max(y, 0) + size : above };
      this.texts[index] = svg("text", { ...place, "font-size": size, "stroke-width": size / 4 });
      marks.push(this.texts[index]);
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

function label(face, index) {
  const quality = face.quality === null ? "" : ` · quality ${face.quality.toFixed(2)}`;
  const turn = face.rotation ? ` · ${turned(face)}` : "";
  return `${index + 1} · ${face.score.toFixed(2)}${quality}${turn}`;
}
