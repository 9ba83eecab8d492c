/**
 * Resizing and warping with OpenCV's fixed-point arithmetic (modules/imgproc/src/resize.cpp,
 * imgwarp.cpp), so that models get the same pixels here as in the service.
 */

import { blank, type Photo } from "./photo.js";

/** For each pixel of the result on one axis: `count` neighbors from `start`, and their weights. */
interface Taps {
  start: Int32Array;
  count: Int32Array;
  weights: Float32Array[];
}

/** INTER_LINEAR: two neighbors per axis; for results of at least half the size. */
export function resizeLinear(photo: Photo, width: number, height: number): Photo {
  const result = blank(width, height);
  const across = linearTaps(photo.width, width, true);
  const down = linearTaps(photo.height, height, false);
  const above = new Int32Array(width * 3);
  const below = new Int32Array(width * 3);
  for (let y = 0, out = 0; y < height; y++) {
    const row = down.start[y]!;
    linearRow(photo, Math.max(row, 0), across, above);
    linearRow(photo, Math.min(row + 1, photo.height - 1), across, below);
    const first = down.first[y]!;
    const second = down.second[y]!;
    for (let i = 0; i < above.length; i++, out++) {
      const top = (first * (above[i]! >> 4)) >> 16;
      const bottom = (second * (below[i]! >> 4)) >> 16;
      result.data[out] = (top + bottom + 2) >> 2;
    }
  }
  return result;
}

/** The position of each pixel's first neighbor, and the weights of both in 2048ths. */
interface Pair {
  start: Int32Array;
  first: Int32Array;
  second: Int32Array;
}

/** @param inside whether pixels beyond the border have one neighbor: true for rows only */
function linearTaps(from: number, to: number, inside: boolean): Pair {
  const taps = { start: new Int32Array(to), first: new Int32Array(to), second: new Int32Array(to) };
  const scale = from / to;
  for (let i = 0; i < to; i++) {
    const at = Math.fround((i + 0.5) * scale - 0.5);
    const whole = Math.floor(at);
    const single = inside && (whole < 0 || whole >= from - 1);
    const rest = single ? 0 : Math.fround(at - whole);
    taps.start[i] = inside ? Math.min(Math.max(whole, 0), from - 1) : whole;
    // Rounded separately, so their sum may be 2049.
    taps.first[i] = roundHalfEven(Math.fround(1 - rest) * 2048);
    taps.second[i] = roundHalfEven(rest * 2048);
  }
  return taps;
}

function linearRow(photo: Photo, y: number, { start, first, second }: Pair, row: Int32Array) {
  const base = y * photo.width * 3;
  for (let x = 0, out = 0; x < start.length; x++) {
    const left = base + start[x]! * 3;
    const right = second[x] === 0 ? left : left + 3;
    for (let channel = 0; channel < 3; channel++, out++) {
      const sum = photo.data[left + channel]! * first[x]!;
      row[out] = sum + photo.data[right + channel]! * second[x]!;
    }
  }
}

/** Round like OpenCV and Python: 0.5 to the even neighbor. */
export function roundHalfEven(value: number): number {
  const whole = Math.floor(value);
  const rest = value - whole;
  return rest > 0.5 || (rest === 0.5 && whole % 2 !== 0) ? whole + 1 : whole;
}

/** INTER_AREA: the mean over the area that each pixel of the result covers. */
export function resizeArea(photo: Photo, width: number, height: number): Photo {
  const result = blank(width, height);
  const across = areaTaps(photo.width, width);
  const down = areaTaps(photo.height, height);
  const sums = new Float32Array(width * 3);
  const row = new Float32Array(width * 3);
  // OpenCV has a special case for exactly half, which rounds differently.
  const half = photo.width === 2 * width && photo.height === 2 * height;
  const round = half ? Math.round : roundHalfEven;
  let known = -1; // the source row of `row`, which two results may share
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let tap = 0; tap < down.count[y]!; tap++) {
      const source = down.start[y]! + tap;
      if (source !== known) areaRow(photo, source, across, row);
      known = source;
      const weight = down.weights[y]![tap]!;
      for (let i = 0; i < row.length; i++) sums[i]! += weight * row[i]!;
    }
    const out = y * width * 3;
    for (let i = 0; i < sums.length; i++) result.data[out + i] = round(sums[i]!);
  }
  return result;
}

function areaTaps(from: number, to: number): Taps {
  const scale = from / to;
  const taps: Taps = { start: new Int32Array(to), count: new Int32Array(to), weights: [] };
  for (let i = 0; i < to; i++) {
    const left = i * scale;
    const right = Math.min(left + scale, from);
    // Slivers below a thousandth are left out, like in OpenCV.
    const first = Math.ceil(left) - left > 1e-3 ? Math.floor(left) : Math.ceil(left);
    const last = right - Math.floor(right) > 1e-3 ? Math.floor(right) : Math.floor(right) - 1;
    const weights = new Float32Array(last - first + 1);
    const cell = Math.min(scale, from - left);
    for (let at = first; at <= last; at++) {
      weights[at - first] = (Math.min(at + 1, right) - Math.max(at, left)) / cell;
    }
    taps.start[i] = first;
    taps.count[i] = weights.length;
    taps.weights.push(weights);
  }
  return taps;
}

function areaRow(photo: Photo, y: number, { start, count, weights }: Taps, row: Float32Array) {
  for (let x = 0; x < start.length; x++) {
    const mine = weights[x]!;
    let at = (y * photo.width + start[x]!) * 3;
    let red = 0;
    let green = 0;
    let blue = 0;
    for (let tap = 0; tap < count[x]!; tap++, at += 3) {
      const weight = mine[tap]!;
      red += weight * photo.data[at]!;
      green += weight * photo.data[at + 1]!;
      blue += weight * photo.data[at + 2]!;
    }
    row[x * 3] = red;
    row[x * 3 + 1] = green;
    row[x * 3 + 2] = blue;
  }
}

/** x' = a x + b y + c, y' = d x + e y + f. */
export type Affine = [a: number, b: number, c: number, d: number, e: number, f: number];

export function invert([a, b, c, d, e, f]: Affine): Affine {
  const det = a * e - b * d;
  const [ia, ib, id, ie] = [e / det, -b / det, -d / det, a / det];
  return [ia, ib, -ia * c - ib * f, id, ie, -id * c - ie * f];
}

/** warpAffine with INTER_LINEAR: `matrix` maps photo to result; black beyond the photo. */
export function warp(photo: Photo, matrix: Affine, width: number, height: number): Photo {
  const result = blank(width, height);
  const [a, b, c, d, e, f] = invert(matrix);
  // Coordinates in 1024ths, rounded to 32nds of a pixel.
  const fixed = (value: number) => Math.round(value * 1024);
  for (let y = 0, out = 0; y < height; y++) {
    const rowX = fixed(b * y + c) + 16;
    const rowY = fixed(e * y + f) + 16;
    for (let x = 0; x < width; x++, out += 3) {
      const atX = (rowX + fixed(a * x)) >> 5;
      const atY = (rowY + fixed(d * x)) >> 5;
      const fx = atX & 31;
      const fy = atY & 31;
      const left = atX >> 5;
      const top = atY >> 5;
      for (let channel = 0; channel < 3; channel++) {
        const sum =
          pixel(photo, left, top, channel) * (32 - fx) * (32 - fy) +
          pixel(photo, left + 1, top, channel) * fx * (32 - fy) +
          pixel(photo, left, top + 1, channel) * (32 - fx) * fy +
          pixel(photo, left + 1, top + 1, channel) * fx * fy;
        result.data[out + channel] = (sum + 512) >> 10;
      }
    }
  }
  return result;
}

function pixel(photo: Photo, x: number, y: number, channel: number): number {
  if (x < 0 || y < 0 || x >= photo.width || y >= photo.height) return 0;
  return photo.data[(y * photo.width + x) * 3 + channel]!;
}
