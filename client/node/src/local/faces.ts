/** A detector's candidates to the faces of a photo, as aurum/imaging/faces.py. */

/** What a detector says of one place, in pixels; `landmarks` are x, y of five points. */
export interface Candidate {
  box: [x: number, y: number, width: number, height: number];
  landmarks: number[];
  score: number;
}

/** A candidate that is a face. */
export interface Found extends Candidate {
  /** Clockwise degrees that make it upright. */
  rotation: Turn;
  /** 0 to 1: how sure the landmarks are, the mean score of the looks that the face has had. */
  fit: number;
}

export type Turn = 0 | 90 | 180 | 270;

/**
 * A look of this many pixels holds any face that fits into it; a larger look tears larger faces
 * apart.
 */
export const WHOLE = 512;
const FAR = 1e6; // pixels: beyond any photo
/** What every detection graph promises of its list: all of this score, and so many in any case. */
const LISTED_SCORE = 0.1;
const LISTED = 256;
/**
 * Candidates whose landmarks are this near to a face's, in shares of its box's side, tell of the
 * same face. The weight is steep: of two the surer one decides.
 */
const NEAR = 0.25;
const VOTE_POWER = 8;

/** Of a list, best first, what each graph promises; some graphs list more. */
export function promised(candidates: Candidate[]): Candidate[] {
  const sure = candidates.filter(({ score }) => score >= LISTED_SCORE).length;
  return candidates.slice(0, Math.max(sure + 1, LISTED));
}

/** Whether no candidate of that score can have been left off the list. */
export function isComplete(candidates: Candidate[], minConfidence: number): boolean {
  return candidates.length < LISTED || candidates.at(-1)!.score < minConfidence;
}

/**
 * Keep the candidates that are faces, in the photo's pixels. Each face's landmarks are the mean of
 * all its candidates', which moves less with the photo's pixels than the best one's.
 *
 * @param scale pixels of the detector's input for one of the photo's, x and y
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
  return bestApart(likely, nmsIou).map((face) => ({
    box: face.box.map(inPhoto) as Candidate["box"],
    landmarks: voted(face, likely).map(inPhoto),
    score: face.score,
  }));
}

/** Greedy NMS: the faces, best first, that overlap no better one by more than `iou`. */
export function bestApart<T extends Candidate>(faces: T[], iou: number): T[] {
  const kept: T[] = [];
  // A score of 0 is no face even where minConfidence is 0.
  const best = faces.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score);
  for (const face of best) {
    if (kept.every((better) => overlap(better.box, face.box) <= iou)) kept.push(face);
  }
  return kept;
}

/**
 * Leave out the pieces that a fine look makes of faces too large for it. A piece lies inside a
 * face of `whole`, from a coarser look, that is surer and longer than `limit` pixels: its middle
 * is within the ellipse that the face's box bounds. Of the face's length it has 0.26 to 0.75: a
 * longer one is another reading of the face itself, where NMS chooses, and a shorter one may be a
 * face before it.
 */
export function withoutFragments(fine: Found[], whole: Found[], limit: number): Found[] {
  const large = whole.filter(({ box }) => Math.max(box[2], box[3]) > limit);
  const isPiece = (face: Found, of: Found) => {
    const share = Math.sqrt(area(face) / area(of));
    if (!(face.score < of.score && share > 0.2 && share < 0.8)) return false;
    const away = (axis: 0 | 1) => {
      const half = of.box[axis + 2]! / 2;
      return (face.box[axis] + face.box[axis + 2]! / 2 - of.box[axis] - half) / half;
    };
    return away(0) ** 2 + away(1) ** 2 < 1;
  };
  return fine.filter((face) => !large.some((of) => isPiece(face, of)));
}

/**
 * Of readings of one face in several turns the one that fits best. Two readings are of one face
 * where their boxes overlap by more than `iou`, or the middle of one lies in the other.
 */
export function bestReadings(faces: Found[], iou: number): Found[] {
  const kept: Found[] = [];
  const isAnother = (face: Found, better: Found) =>
    better.rotation !== face.rotation &&
    (overlap(better.box, face.box) > iou || holdsMiddle(better.box, face.box));
  for (const face of faces.toSorted((a, b) => b.fit - a.fit)) {
    if (!kept.some((better) => isAnother(face, better))) kept.push(face);
  }
  return kept;
}

/** Sorted by the boxes' areas. */
export function largestFirst(faces: Found[]): Found[] {
  return faces.toSorted((a, b) => area(b) - area(a));
}

/** A face's landmarks, averaged over the candidates that tell of the same face. */
function voted(face: Candidate, candidates: Candidate[]): number[] {
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

/** It has an area, and no number that is NaN or absurd, as a detector's exp() makes it. */
function plausible({ box, landmarks }: Candidate): boolean {
  return box[2] > 0 && box[3] > 0 && [...box, ...landmarks].every((n) => Math.abs(n) < FAR);
}

function area({ box }: Candidate): number {
  return Math.fround(box[2] * box[3]);
}

function holdsMiddle(outer: Candidate["box"], inner: Candidate["box"]): boolean {
  const holds = (axis: 0 | 1) => {
    const from = inner[axis] + inner[axis + 2]! / 2 - outer[axis];
    return from >= 0 && from <= outer[axis + 2]!;
  };
  return holds(0) && holds(1);
}

/** Intersection over union. */
function overlap(a: Candidate["box"], b: Candidate["box"]): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}
