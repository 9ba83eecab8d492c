/** Alignment of faces to the crops that embedders are trained on, like aurum/imaging/align.py. */

import { ALIGNED_SIZE } from "../contract.js";
import type { Candidate } from "./faces.js";
import { cut, type Photo } from "./photo.js";
import { type Affine, invert, resizeArea, warp } from "./resize.js";

/** The landmarks' x, y in an aligned crop: InsightFace's `arcface_dst` (Deng et al., 2019). */
export const TEMPLATE = [
  38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041,
].map(Math.fround);
/** The size of the refiner's input, in pixels. */
export const REFINER_SIZE = 96;
/** The share of the refiner's input that the template's square spans, in the middle. */
const REFINER_SHARE = 0.72;
/** Landmarks with less spread than this, in pixels, would only magnify noise. */
const MIN_SPREAD = 0.5;

/** Cut a face out, rotated and scaled to the template; black beyond the photo's border. */
export function align(photo: Photo, face: Candidate): Photo {
  return warpSquare(photo, matrixOf(face), ALIGNED_SIZE);
}

/** Cut a face out with its surroundings, upright, for the refiner; `matrix` maps photo to crop. */
export function cutForRefiner(photo: Photo, face: Candidate): { crop: Photo; matrix: Affine } {
  const scale = (REFINER_SHARE * REFINER_SIZE) / ALIGNED_SIZE;
  const shift = ((1 - REFINER_SHARE) / 2) * REFINER_SIZE;
  const [a, b, c, d, e, f] = matrixOf(face).map((value) => value * scale) as Affine;
  const matrix: Affine = [a, b, c + shift, d, e, f + shift];
  return { crop: warpSquare(photo, matrix, REFINER_SIZE), matrix };
}

/** Map points of a crop (x, y, x, y ...) back to the photo by the crop's matrix. */
export function mapBack(points: readonly number[], matrix: Affine): number[] {
  const [a, b, c, d, e, f] = invert(matrix);
  return points.flatMap((x, i) => {
    const y = points[i + 1]!;
    return i % 2 ? [] : [a * x + b * y + c, d * x + e * y + f];
  });
}

function matrixOf(face: Candidate): Affine {
  return similarity(face.landmarks) ?? fromBox(face.box);
}

function warpSquare(photo: Photo, matrix: Affine, side: number): Photo {
  // Bilinear sampling alone would skip pixels of a face more than twice the crop's size. The part
  // of the photo with such a face is first shrunk by a whole factor, with area averaging.
  const factor = Math.max(1, Math.trunc(1 / Math.hypot(matrix[0], matrix[3])));
  const [a, b, c, d, e, f] = invert(matrix);
  const xs = [c, a * side + c, b * side + c, (a + b) * side + c];
  const ys = [f, d * side + f, e * side + f, (d + e) * side + f];
  const [left, right] = span(xs, factor, photo.width);
  const [top, bottom] = span(ys, factor, photo.height);
  const part = cut(photo, left, top, right - left, bottom - top);
  const width = Math.ceil(part.width / factor);
  const height = Math.ceil(part.height / factor);
  const small = factor > 1 ? resizeArea(part, width, height) : part;
  // Pixel centers: x in the photo = left + (x_small + 0.5) * ratio - 0.5.
  const ratioX = part.width / width;
  const ratioY = part.height / height;
  const shiftX = left + 0.5 * ratioX - 0.5;
  const shiftY = top + 0.5 * ratioY - 0.5;
  const [ma, mb, mc, md, me, mf] = matrix;
  const moved: Affine = [
    ma * ratioX,
    mb * ratioY,
    ma * shiftX + mb * shiftY + mc,
    md * ratioX,
    me * ratioY,
    md * shiftX + me * shiftY + mf,
  ];
  return warp(small, moved, side, side);
}

/**
 * The least-squares similarity from five landmarks to the template; null if they coincide.
 * Umeyama 1991, without reflection: rotation and scale are one complex factor.
 */
export function similarity(landmarks: readonly number[]): Affine | null {
  const [sourceX, sourceY] = mean(landmarks);
  const [targetX, targetY] = mean(TEMPLATE);
  let spread = 0;
  let real = 0;
  let imaginary = 0;
  for (let i = 0; i < landmarks.length; i += 2) {
    const [sx, sy] = [landmarks[i]! - sourceX, landmarks[i + 1]! - sourceY];
    const [tx, ty] = [TEMPLATE[i]! - targetX, TEMPLATE[i + 1]! - targetY];
    spread += sx * sx + sy * sy;
    real += sx * tx + sy * ty;
    imaginary += sx * ty - sy * tx;
  }
  if (!(spread > MIN_SPREAD ** 2)) return null;
  const [re, im] = [real / spread, imaginary / spread];
  const shiftX = targetX - (re * sourceX - im * sourceY);
  const shiftY = targetY - (im * sourceX + re * sourceY);
  return [re, -im, shiftX, im, re, shiftY];
}

function mean(points: readonly number[]): [number, number] {
  const count = points.length / 2;
  const sum = (axis: number) => points.reduce((s, v, i) => (i % 2 === axis ? s + v : s), 0);
  return [sum(0) / count, sum(1) / count];
}

/** Map the square around the box's center to the crop, without rotation. */
function fromBox([x, y, width, height]: Candidate["box"]): Affine {
  const scale = ALIGNED_SIZE / Math.max(width, height, 1);
  const shift = (at: number, side: number) => ALIGNED_SIZE / 2 - scale * (at + side / 2);
  return [scale, 0, shift(x, width), 0, scale, shift(y, height)];
}

/** The extent of a face on one axis, with a margin, within the photo and never empty. */
function span(corners: number[], margin: number, side: number): [number, number] {
  const clip = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
  const start = clip(Math.floor(Math.min(...corners)) - margin, 0, side - 1);
  const end = clip(Math.ceil(Math.max(...corners)) + margin, start + 1, side);
  return [start, end];
}
