/** One detection pass (a look) over a part of a photo, like aurum/imaging/views.py. */

import { type Candidate, type DetectedFace, type Rotation, selectFaces } from "./faces.js";
import { fit, fitted, type Letterbox, letterbox } from "./letterbox.js";
import { blank, cut, type Photo } from "./photo.js";
import type { View } from "./views.js";

/** A box this close to a tile's border, in pixels of the input, belongs to a cut face. */
const CUT = 4;

/**
 * A photo and its scaled copies. A smaller copy is made from the next larger one, because the
 * service does the same.
 */
export class Picture {
  private readonly whole: Photo[]; // smallest first

  constructor(readonly photo: Photo) {
    this.whole = [photo];
  }

  /** The view's part, scaled for the detector, before rotation and padding. */
  scaled(view: View): Photo {
    const { photo, whole } = this;
    if (view.width !== photo.width || view.height !== photo.height) {
      return fit(
        cut(photo, view.place.left, view.place.top, view.width, view.height),
        view.longSide,
      );
    }
    const target = fitted(view.side, view.longSide);
    const inner = fit(whole.find((copy) => longSide(copy) >= target) ?? photo, target);
    if (longSide(inner) < longSide(whole[0]!)) whole.unshift(inner);
    return inner;
  }
}

function longSide({ width, height }: Photo): number {
  return Math.max(width, height);
}

/**
 * Detect the faces in one view, in pixels of the photo. Faces cut by the view's border are left
 * out, unless it is the photo's border, too.
 */
export async function look(
  picture: Picture,
  view: View,
  detect: (input: Letterbox) => Promise<Candidate[]>,
  minConfidence: number,
  nmsIou: number,
): Promise<DetectedFace[]> {
  const { left, top } = view.place;
  const inner = picture.scaled(view);
  const scale = [inner.width / view.width, inner.height / view.height].map(Math.fround);
  const seen = await detect(letterbox(rotate(inner, view.rotation)));
  const found = seen.map((candidate) => rotateBack(candidate, view.rotation, inner));
  return selectFaces(found, scale as [number, number], minConfidence, nmsIou)
    .map(({ box: [x, y, width, height], landmarks, score }) => ({
      box: [x + left, y + top, width, height] as DetectedFace["box"],
      landmarks: landmarks.map((at, i) => at + (i % 2 ? top : left)),
      score,
      rotation: view.rotation,
      fit: score,
    }))
    .filter((face) => !isCut(face, view, picture.photo));
}

function isCut({ box: [x, y, width, height] }: DetectedFace, view: View, photo: Photo): boolean {
  const { left, top, right, bottom } = view.place;
  const near = CUT / view.scale;
  return (
    (left > 0 && x < left + near) ||
    (top > 0 && y < top + near) ||
    (right < photo.width && x + width > right - near) ||
    (bottom < photo.height && y + height > bottom - near)
  );
}

/** Rotate the pixels clockwise. */
export function rotate(photo: Photo, rotation: Rotation): Photo {
  if (rotation === 0) return photo;
  const { width, height } = photo;
  const result = rotation === 180 ? blank(width, height) : blank(height, width);
  // The source of the result's first pixel, and the steps from it along rows and columns.
  const [start, right, down] = {
    90: [(height - 1) * width, -width, 1] as const,
    180: [height * width - 1, -1, -width] as const,
    270: [width - 1, width, -1] as const,
  }[rotation];
  for (let y = 0, out = 0; y < result.height; y++) {
    let at = 3 * (start + y * down);
    for (let x = 0; x < result.width; x++, at += 3 * right, out += 3) {
      result.data[out] = photo.data[at]!;
      result.data[out + 1] = photo.data[at + 1]!;
      result.data[out + 2] = photo.data[at + 2]!;
    }
  }
  return result;
}

/** Map a candidate back to the image of this size, before its clockwise rotation. */
function rotateBack(
  candidate: Candidate,
  rotation: Rotation,
  { width, height }: { width: number; height: number },
): Candidate {
  if (rotation === 0) return candidate;
  // Pixel centers are whole numbers: 0 becomes width - 1.
  const back = (x: number, y: number): [number, number] => {
    if (rotation === 90) return [y, height - 1 - x];
    if (rotation === 180) return [width - 1 - x, height - 1 - y];
    return [width - 1 - y, x];
  };
  const [x, y, across, down] = candidate.box;
  const [x1, y1] = back(x, y);
  const [x2, y2] = back(x + across, y + down);
  return {
    ...candidate,
    box: [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)],
    landmarks: candidate.landmarks.flatMap((at, i, all) => (i % 2 ? [] : back(at, all[i + 1]!))),
  };
}
