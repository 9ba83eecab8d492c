// What the numbers of an answer mean, one line each.

import { el } from "./dom.js";
import { PARTS } from "./quality.js";

const NUMBERS = [
  ["score", "how sure the detector is that this is a face, 0 … 1"],
  [
    "quality",
    "how fit the face is for recognition, 0 … 1; if calibrated, the probability that it is recognized beside a good photo of the same person",
  ],
  [
    "recognizable",
    "whether a comparison may decide about the face; if not, the part that is too bad",
  ],
  ["turned", "how far to turn the photo clockwise to make the face upright"],
  ["liveness", "how likely the face is a person before the camera, not a picture of one, 0 … 1"],
];

/** A section that unfolds; open until `fold` is called. */
export function meanings() {
  const element = el(
    "details",
    { class: "meanings", open: true },
    el("summary", {}, "What the numbers mean"),
    list(NUMBERS),
    el("h2", {}, "The parts of the quality"),
    list(PARTS.map(([name, unit, , meaning]) => [name, unit ? `${meaning} (${unit})` : meaning])),
  );
  return {
    element,
    fold: () => {
      element.open = false;
    },
  };
}

function list(rows) {
  return el(
    "dl",
    {},
    ...rows.flatMap(([name, meaning]) => [el("dt", {}, name), el("dd", {}, meaning)]),
  );
}
