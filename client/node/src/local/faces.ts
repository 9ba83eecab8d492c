/** Selection of faces among a detector's candidates, like aurum/imaging/faces.py. */

/** One detection, in pixels; `landmarks` are x, y of five points. */
export interface Candidate {
  box: [x: number, y: number, width: number, height: number];
  landmarks: number[];
  score: number;
}

/** A candidate that was accepted as a face. */
export interface DetectedFace extends Candidate {
  /** The clockwise rotation that makes it upright, in degrees. */
  rotation: Rotation;
  /** Confidence of the landmarks, 0 to 1: the mean score of the passes over this face. */
  fit: number;
}

export type Rotation = 0 | 90 | 180 | 270;

/**
 * The largest detector input, in pixels, that never splits a face; larger inputs may split faces of
 * more pixels than this.
 */
export const WHOLE = 512;
const FAR = 1e6; // pixels: larger than any photo
/** Every detection graph lists all candidates of this score, and at least this many in total. */
const LISTED_SCORE = 0.1;
const LISTED = 256;
/**
 * Candidates belong to the same face if their landmarks are this close, as a share of its box's
 * side. The weights are steep: of two candidates the more confident one decides.
 */
const NEAR = 0.25;
const VOTE_POWER = 8;

/** Truncate a list, best first, to the length that every graph guarantees. */
export function guaranteed(candidates: Candidate[]): Candidate[] {
  const sure = candidates.filter(({ score }) => score >= LISTED_SCORE).length;
  return candidates.slice(0, Math.max(sure + 1, LISTED));
}

/** Whether the list has all candidates of this score. */
export function isComplete(candidates: Candidate[], minConfidence: number): boolean {
  return candidates.length < LISTED || candidates.at(-1)!.score < minConfidence;
}

/**
 * Select the candidates that are faces, in pixels of the photo. Each face's landmarks are the mean
 * over all its candidates, which is more stable than those of the best one.
 *
 * @param scale pixels of the detector's input per pixel of the photo, x and y
 * @param nmsIou IoU above which the weaker of two boxes is dropped (greedy NMS)
 */
export function selectFaces(
  candidates: Candidate[],
  scale: [number, number],
  minConfidence: number,
  nmsIou: number,
): Candidate[] {
  const likely = candidates.filter((face) => face.score >= minConfidence && plausible(face));
  const inPhoto = (value: number, i: number) => Math.fround(value / scale[i % 2]!);
  return suppressOverlaps(likely, nmsIou).map((face) => ({
    box: face.box.map(inPhoto) as Candidate["box"],
    landmarks: averagedLandmarks(face, likely).map(inPhoto),
    score: face.score,
  }));
}

/** Greedy NMS: drop faces that overlap a better one by more than `iou`; best first. */
export function suppressOverlaps<T extends Candidate>(faces: T[], iou: number): T[] {
  const kept: T[] = [];
  // A score of 0 is no face even if minConfidence is 0.
  const best = faces.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  for (const face of best) {
    if (kept.every((better) => overlap(better.box, face.box) <= iou)) kept.push(face);
  }
  return kept;
}

/**
 * Remove the fragments that a fine scale detects in faces too large for it. The center of a
 * fragment lies within the ellipse in the box of a face of `whole`, from a coarser scale, that has
 * a higher score and more than `limit` pixels. Fragments measured 0.26 to 0.75 of the face's
 * length: a longer box is another detection of the face itself, which NMS handles, and a shorter
 * one may be a face in front of it.
 */
export function withoutFragments(
  fine: DetectedFace[],
  whole: DetectedFace[],
  limit: number,
): DetectedFace[] {
  const large = whole.filter(({ box }) => Math.max(box[2], box[3]) > limit);
  const isFragment = (face: DetectedFace, of: DetectedFace) => {
    const share = Math.sqrt(area(face) / area(of));
    if (!(face.score < of.score && share > 0.2 && share < 0.8)) return false;
    const away = (axis: 0 | 1) => {
      const half = of.box[axis + 2]! / 2;
      return (face.box[axis] + face.box[axis + 2]! / 2 - of.box[axis] - half) / half;
    };
    return away(0) ** 2 + away(1) ** 2 < 1;
  };
  return fine.filter((face) => !large.some((of) => isFragment(face, of)));
}

/**
 * Keep the best of the detections of one face in several rotations. Two detections are of one face
 * if their boxes overlap by more than `iou`, or if one box contains the center of the other.
 */
export function bestRotations(faces: DetectedFace[], iou: number): DetectedFace[] {
  const kept: DetectedFace[] = [];
  const isSameFace = (face: DetectedFace, better: DetectedFace) =>
    better.rotation !== face.rotation &&
    (overlap(better.box, face.box) > iou || containsCenter(better.box, face.box));
  for (const face of faces.toSorted((a, b) => b.fit - a.fit)) {
    if (!kept.some((better) => isSameFace(face, better))) kept.push(face);
  }
  return kept;
}

/** Sort by the area of the boxes. */
export function largestFirst(faces: DetectedFace[]): DetectedFace[] {
  return faces.toSorted((a, b) => area(b) - area(a));
}

/** Average a face's landmarks over the candidates that belong to it. */
function averagedLandmarks(face: Candidate, candidates: Candidate[]): number[] {
  const reach = NEAR * Math.max(face.box[2], face.box[3]);
  const mean = face.landmarks.map(() => 0);
  let total = 0;
  for (const { landmarks, score } of candidates) {
    if (!landmarks.every((at, i) => Math.abs(at - face.landmarks[i]!) < reach)) continue;
    const weight = score ** VOTE_POWER;
    total += weight;
    for (const [i, at] of landmarks.entries()) mean[i]! += weight * at;
  }
  return mean.map((sum) => sum / total);
}

/** Whether it has an area, and no NaN or huge number, as a detector's exp() may produce. */
function plausible({ box, landmarks }: Candidate): boolean {
  return box[2] > 0 && box[3] > 0 && [...box, ...landmarks].every((n) => Math.abs(n) < FAR);
}

function area({ box }: Candidate): number {
  return Math.fround(box[2] * box[3]);
}

function containsCenter(outer: Candidate["box"], inner: Candidate["box"]): boolean {
  const contains = (axis: 0 | 1) => {
    const from = inner[axis] + inner[axis + 2]! / 2 - outer[axis];
    return from >= 0 && from <= outer[axis + 2]!;
  };
  return contains(0) && contains(1);
}

/** Intersection over union. */
function overlap(a: Candidate["box"], b: Candidate["box"]): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}
