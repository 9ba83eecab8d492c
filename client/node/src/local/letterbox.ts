/** A photo to the detector's input, as aurum/imaging/letterbox.py. */

import type { Photo } from "./photo.js";
import { resizeArea, resizeLinear, roundHalfEven } from "./resize.js";

/** The coarsest stride of the detectors. */
export const CELL = 32;

export interface Letterbox {
  width: number;
  height: number;
  /** uint8 [3,height,width]: R, then G, then B. */
  planes: Uint8Array;
  /** Pixels of the input for one of the photo's, x and y. */
  scale: [number, number];
}

/** Fit `photo` into `longSide` pixels, never enlarged; the rest, right and below, is black. */
export function letterbox(photo: Photo, longSide: number): Letterbox {
  const shrink = Math.min(1, longSide / Math.max(photo.width, photo.height));
  const inner = shrunk(photo, shrink);
  const width = Math.ceil(inner.width / CELL) * CELL;
  const height = Math.ceil(inner.height / CELL) * CELL;
  const area = width * height;
  const planes = new Uint8Array(3 * area);
  for (let y = 0, at = 0; y < inner.height; y++) {
    for (let out = y * width; out < y * width + inner.width; out++, at += 3) {
      planes[out] = inner.data[at]!;
      planes[out + area] = inner.data[at + 1]!;
      planes[out + 2 * area] = inner.data[at + 2]!;
    }
  }
  const scale = [inner.width / photo.width, inner.height / photo.height].map(Math.fround);
  return { width, height, planes, scale: scale as [number, number] };
}

function shrunk(photo: Photo, shrink: number): Photo {
  if (shrink === 1) return photo;
  const width = Math.max(1, roundHalfEven(photo.width * shrink));
  const height = Math.max(1, roundHalfEven(photo.height * shrink));
  // Beyond a factor of two linear interpolation would skip pixels.
  return shrink >= 0.5 ? resizeLinear(photo, width, height) : resizeArea(photo, width, height);
}
