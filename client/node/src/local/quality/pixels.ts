/** Quality parts that come from the pixels of an aligned crop, like aurum/quality/parts.py. */

import { ALIGNED_SIZE } from "../../contract.js";
import type { Photo } from "../photo.js";

/** The inner part of the face within a crop. */
const [TOP, BOTTOM, LEFT, RIGHT] = [24, 108, 24, 88];
const AREA = (BOTTOM - TOP) * (RIGHT - LEFT);
const BLUR = 9;
/** Gray levels outside this range are nearly black or nearly white. */
const [DARKEST, BRIGHTEST] = [26, 246];

/** Convert to gray levels with OpenCV's fixed-point arithmetic of 15 bits. */
export function grayOf({ data }: Photo): Uint8Array {
  return Uint8Array.from({ length: data.length / 3 }, (_, i) => {
    const [red, green, blue] = [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!];
    return (9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15;
  });
}

/** 1 - the blur effect (Crete et al., 2007), 0..1. */
export function sharpness(gray: Uint8Array): number {
  return Math.min(removedByBlur(gray, ALIGNED_SIZE), removedByBlur(gray, 1));
}

/** The share of the differences between neighbors that a mean over 9 pixels removes. */
function removedByBlur(gray: Uint8Array, step: number): number {
  let own = 0;
  let lost = 0;
  inner((at) => {
    const difference = BLUR * Math.abs(gray[at]! - gray[at - step]!);
    // Two sums of nine neighbors, one step apart, differ only in their ends.
    const half = (BLUR >> 1) * step;
    const left = Math.abs(gray[at + half]! - gray[at - half - step]!);
    own += difference;
    lost += Math.max(difference - left, 0);
  });
  return lost / Math.max(own, 1);
}

/** The standard deviation of the noise (Immerkaer, 1996), in gray levels. */
export function noise(gray: Uint8Array): number {
  const across = (at: number) => gray[at - 1]! - 2 * gray[at]! + gray[at + 1]!;
  let sum = 0;
  inner((at) => {
    sum += Math.abs(across(at - ALIGNED_SIZE) - 2 * across(at) + across(at + ALIGNED_SIZE));
  });
  return ((Math.sqrt(Math.PI / 2) / 6) * sum) / AREA;
}

/** The share of pixels that are neither nearly black nor nearly white. */
export function exposure(gray: Uint8Array): number {
  let good = 0;
  inner((at) => {
    if (gray[at]! >= DARKEST && gray[at]! <= BRIGHTEST) good++;
  });
  return good / AREA;
}

/** The standard deviation of the brightness, divided by 255 (Peli, 1990). */
export function contrast(gray: Uint8Array): number {
  let sum = 0;
  let squares = 0;
  inner((at) => {
    sum += gray[at]!;
    squares += gray[at]! ** 2;
  });
  return Math.sqrt(Math.max(squares / AREA - (sum / AREA) ** 2, 0)) / 255;
}

function inner(visit: (at: number) => void): void {
  for (let y = TOP; y < BOTTOM; y++) {
    for (let x = LEFT; x < RIGHT; x++) visit(y * ALIGNED_SIZE + x);
  }
}
