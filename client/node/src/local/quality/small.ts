/** Quality parts from a face at a quarter of its crop's size, like aurum/quality/parts.py. */

import { ALIGNED_SIZE } from "../../contract.js";
import { roundHalfEven } from "../resize.js";
import { MEAN_FACE } from "./weights.js";

/** The top left corner of the shrunk area in the crop. */
const [TOP, LEFT] = [16, 8];
const CELL = 4;
const QUARTER = 24;
/** With less spread than this, in gray levels, correlations fade to 0. */
const FAINT = 1;

/** A rectangle of rows and columns, with exclusive ends. */
type Part = [top: number, bottom: number, left: number, right: number];

const HALVES: Part = [2, 24, 2, 22];
const PATCHES: Part[] = [
  [5, 13, 3, 12], // image-left eye
  [5, 13, 12, 21], // image-right eye
  [15, 23, 5, 19], // mouth
];

/** Shrink by averaging cells of 4x4 pixels. */
export function smallFace(gray: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: QUARTER ** 2 }, (_, i) => {
    const start =
      (TOP + CELL * Math.floor(i / QUARTER)) * ALIGNED_SIZE + LEFT + CELL * (i % QUARTER);
    let sum = 0;
    for (let y = 0; y < CELL; y++) {
      for (let x = 0; x < CELL; x++) sum += gray[start + y * ALIGNED_SIZE + x]!;
    }
    return roundHalfEven(sum / CELL ** 2);
  });
}

/** The correlation of the face with its mirror image, -1..1. */
export function symmetry(small: Uint8Array): number {
  const face = centered(small, HALVES);
  const width = HALVES[3] - HALVES[2];
  const mirrored = face.map((_, i) => face[i - (i % width) + width - 1 - (i % width)]!);
  return product(face, mirrored) / energy(face);
}

/** The lowest correlation of the eyes and the mouth with those of the mean face, -1..1. */
export function visibility(small: Uint8Array): number {
  const likeness = PATCHES.map((patch) => {
    const [own, mean] = [centered(small, patch), centered(MEAN_FACE, patch)];
    return product(own, mean) / Math.sqrt(energy(own) * energy(mean));
  });
  return Math.min(...likeness);
}

/** The pixels of a part minus their mean. */
function centered(face: Uint8Array, [top, bottom, left, right]: Part): number[] {
  const pixels: number[] = [];
  for (let y = top; y < bottom; y++) {
    pixels.push(...face.subarray(y * QUARTER + left, y * QUARTER + right));
  }
  const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  return pixels.map((value) => value - mean);
}

function product(a: number[], b: number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function energy(pixels: number[]): number {
  return product(pixels, pixels) + FAINT ** 2 * pixels.length;
}
