/** A detector's candidates to the faces of a photo, as aurum/imaging/faces.py. */

/** In pixels; `landmarks` are x, y of five points. */
export interface Found {
  box: [x: number, y: number, width: number, height: number];
  landmarks: number[];
  score: number;
}

const FAR = 1e6; // pixels: beyond any photo

/**
 * Keep the candidates that are faces, in the photo's pixels, largest first.
 *
 * @param scale pixels of the detector's input for one of the photo's, x and y
 * @param nmsIou IoU above which the weaker of two boxes is dropped (greedy NMS)
 */
export function selectFaces(
  candidates: Found[],
  scale: [number, number],
  minConfidence: number,
  nmsIou: number,
): Found[] {
  const kept: Found[] = [];
  const likely = candidates
    // A score of 0 is no face even where minConfidence is 0.
    .filter((face) => face.score >= minConfidence && face.score > 0 && plausible(face))
    .sort((a, b) => b.score - a.score);
  for (const face of likely) {
    if (kept.every((better) => iou(better.box, face.box) <= nmsIou)) kept.push(face);
  }
  return kept
    .sort((a, b) => area(b) - area(a))
    .map(({ box, landmarks, score }) => ({
      box: box.map((value, i) => Math.fround(value / scale[i % 2]!)) as Found["box"],
      landmarks: landmarks.map((value, i) => Math.fround(value / scale[i % 2]!)),
      score,
    }));
}

/** It has an area, and no number that is NaN or absurd, as a detector's exp() makes it. */
function plausible({ box, landmarks }: Found): boolean {
  return box[2] > 0 && box[3] > 0 && [...box, ...landmarks].every((n) => Math.abs(n) < FAR);
}

function area({ box }: Found): number {
  return Math.fround(box[2] * box[3]);
}

function iou(a: Found["box"], b: Found["box"]): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}
