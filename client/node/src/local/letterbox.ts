/** A photo to the detector's input, as aurum/imaging/letterbox.py. */

import type { Photo } from "./photo.js";
import { resizeArea, resizeLinear, roundHalfEven } from "./resize.js";

/** The coarsest stride of the detectors. */
export const CELL = 32;
/** Smaller photos are enlarged to this: of faces a few cells high, more are found. */
export const SMALLEST = 320;

export interface Letterbox {
  width: number;
  height: number;
  /** uint8 [3,height,width]: R, then G, then B. */
  planes: Uint8Array;
}

/** How many pixels of the input a photo's longer side gets. */
export function fitted(side: number, longSide: number): number {
  return Math.min(longSide, Math.max(side, SMALLEST));
}

/** `side` as a multiple of CELL, rounded up, but not for an error of rounding. */
export function wholeCells(side: number): number {
  return Math.ceil(Math.ceil(side - 1e-6) / CELL) * CELL;
}

/** `photo` as large as the detector sees it within `longSide` pixels; never stretched. */
export function fit(photo: Photo, longSide: number): Photo {
  const side = Math.max(photo.width, photo.height);
  const factor = fitted(side, longSide) / side;
  if (factor === 1) return photo;
  const width = Math.max(1, roundHalfEven(photo.width * factor));
  const height = Math.max(1, roundHalfEven(photo.height * factor));
  // Beyond a factor of two linear interpolation would skip pixels.
  return factor >= 0.5 ? resizeLinear(photo, width, height) : resizeArea(photo, width, height);
}

/** Pad to whole cells; the rest, right and below, is black. */
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
