/** Scaling and padding to the detector's input, like aurum/imaging/letterbox.py. */

import { DETECTION_STEP } from "../contract.js";
import type { Photo } from "./photo.js";
import { resizeArea, resizeLinear, roundHalfEven } from "./resize.js";

/** Smaller photos are enlarged to this, because detectors miss faces only a few cells high. */
export const SMALLEST = 320;

export interface Letterbox {
  width: number;
  height: number;
  /** uint8 [3,height,width]: the planes R, G, B. */
  planes: Uint8Array;
}

/** The length of a photo's longer side in the detector's input. */
export function fitted(side: number, longSide: number): number {
  return Math.min(longSide, Math.max(side, SMALLEST));
}

/** Round up to a multiple of DETECTION_STEP, ignoring floating-point noise. */
export function wholeCells(side: number): number {
  return Math.ceil(Math.ceil(side - 1e-6) / DETECTION_STEP) * DETECTION_STEP;
}

/** Scale `photo` to `longSide` pixels, keeping its aspect ratio. */
export function fit(photo: Photo, longSide: number): Photo {
  const side = Math.max(photo.width, photo.height);
  const factor = fitted(side, longSide) / side;
  if (factor === 1) return photo;
  const width = Math.max(1, roundHalfEven(photo.width * factor));
  const height = Math.max(1, roundHalfEven(photo.height * factor));
  // Shrinking by more than two with linear interpolation would skip pixels.
  return factor >= 0.5 ? resizeLinear(photo, width, height) : resizeArea(photo, width, height);
}

/** Pad to multiples of DETECTION_STEP, with black on the right and at the bottom. */
export function letterbox(inner: Photo): Letterbox {
  const width = wholeCells(inner.width);
  const height = wholeCells(inner.height);
  const area = width * height;
  const planes = new Uint8Array(3 * area);
  for (let y = 0, at = 0; y < inner.height; y++) {
    for (let out = y * width; out < y * width + inner.width; out++, at += 3) {
      planes[out] = inner.data[at]!;
      planes[out + area] = inner.data[at + 1]!;
      planes[out + 2 * area] = inner.data[at + 2]!;
    }
  }
  return { width, height, planes };
}
