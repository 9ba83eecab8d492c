/** One look of the detector at a part of a photo, as aurum/imaging/views.py. */

import { type Candidate, type Found, selectFaces, type Turn } from "./faces.js";
import { fit, fitted, type Letterbox, letterbox } from "./letterbox.js";
import { blank, cut, type Photo } from "./photo.js";
import type { View } from "./views.js";

/** How near, in pixels of the input, a box comes to the border that cuts its face. */
const CUT = 4;

/**
 * A photo, and what looks at the whole of it have shrunk it to; the next smaller look starts from
 * that, as the service's does.
 */
export class Picture {
  private readonly whole: Photo[]; // smallest first

  constructor(readonly photo: Photo) {
    this.whole = [photo];
  }

  /** The view's part as the detector sees it, neither turned nor padded. */
  shrunk(view: View): Photo {
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
 * The faces that one view shows, in the photo's pixels. A face that the view's border cuts is left
 * out where the photo goes on behind it.
 */
export async function look(
  picture: Picture,
  view: View,
  detect: (input: Letterbox) => Promise<Candidate[]>,
  minConfidence: number,
  nmsIou: number,
): Promise<Found[]> {
  const { left, top } = view.place;
  const inner = picture.shrunk(view);
  const scale = [inner.width / view.width, inner.height / view.height].map(Math.fround);
  const seen = await detect(letterbox(turned(inner, view.turn)));
  const found = seen.map((candidate) => turnedBack(candidate, view.turn, inner));
  return selectFaces(found, scale as [number, number], minConfidence, nmsIou)
    .map(({ box: [x, y, width, height], landmarks, score }) => ({
      box: [x + left, y + top, width, height] as Found["box"],
      landmarks: landmarks.map((at, i) => at + (i % 2 ? top : left)),
      score,
      rotation: view.turn,
      fit: score,
    }))
    .filter((face) => !isCut(face, view, picture.photo));
}

function isCut({ box: [x, y, width, height] }: Found, view: View, photo: Photo): boolean {
  const { left, top, right, bottom } = view.place;
  const near = CUT / view.scale;
  return (
    (left > 0 && x < left + near) ||
    (top > 0 && y < top + near) ||
    (right < photo.width && x + width > right - near) ||
    (bottom < photo.height && y + height > bottom - near)
  );
}

/** The pixels, turned clockwise. */
export function turned(photo: Photo, turn: Turn): Photo {
  if (turn === 0) return photo;
  const { width, height } = photo;
  const result = turn === 180 ? blank(width, height) : blank(height, width);
  // Where the result's first pixel comes from, and the steps from it along its rows and columns.
  const [start, right, down] = {
    90: [(height - 1) * width, -width, 1] as const,
    180: [height * width - 1, -1, -width] as const,
    270: [width - 1, width, -1] as const,
  }[turn];
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

/** From an image that was turned clockwise to the one before, of that width and height. */
function turnedBack(
  candidate: Candidate,
  turn: Turn,
  { width, height }: { width: number; height: number },
): Candidate {
  if (turn === 0) return candidate;
  // Pixel centres are whole numbers: 0 becomes width - 1.
  const back = (x: number, y: number): [number, number] => {
    if (turn === 90) return [y, height - 1 - x];
    if (turn === 180) return [width - 1 - x, height - 1 - y];
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
