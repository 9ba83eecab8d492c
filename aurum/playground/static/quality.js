// The columns of `quality_parts` in the contract's order: name, unit, decimals, meaning.
// Formulas and sources: docs/design/quality.md.

export const PARTS = [
  ["resolution", "px", 0, "distance between the eyes"],
  ["sharpness", "", 2, "0 blurred … 1 sharp"],
  ["noise", "gray levels", 1, "grain, but also fine texture"],
  ["exposure", "", 2, "share of pixels neither too dark nor too bright"],
  ["contrast", "", 2, "standard deviation of the gray levels, 0 … 0.5"],
  ["yaw", "°", 0, "how far the head is turned; positive: to the photo's right"],
  ["pitch", "°", 0, "how far the head is raised or lowered; positive: raised"],
  ["roll", "°", 0, "how far the head leans; positive: clockwise"],
  ["frontality", "", 2, "how straight the face looks into the camera, at most 1"],
  ["symmetry", "", 2, "similarity to its mirror image, -1 … 1"],
  ["visibility", "", 2, "how much eyes and mouth look like eyes and a mouth, -1 … 1"],
  ["misfit", "px", 1, "landmark residual: how badly the landmarks fit a head"],
  ["border cut", "", 2, "share of the box outside the photo"],
  ["confidence", "", 2, "the detector's score"],
  ["norm", "", 1, "length of the embedding before normalization"],
  ["recognizability", "", 2, "distance from faces that nobody recognizes"],
];

/** A face's parts as [{ name, text, meaning }]; empty if the service returned none. */
export function parts(face) {
  return (face.parts ?? []).map((value, i) => {
    const [name, unit, digits, meaning] = PARTS[i] ?? [
      `part ${i + 1}`,
      "",
      3,
      "see docs/design/quality.md",
    ];
    const space = unit && unit !== "°" ? " " : "";
    return { name, text: `${value.toFixed(digits)}${space}${unit}`, meaning };
  });
}

/** Why a face is not recognizable, such as "sharpness 0.21"; null if it is, or if unknown. */
export function defect(face) {
  if (face.defect === null) return null;
  const { name, text } = parts(face)[face.defect];
  return `${name} ${text}`;
}
