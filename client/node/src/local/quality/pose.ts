/** Approximate head pose from five landmarks, like aurum/quality/pose.py. */

import { TEMPLATE } from "../align.js";

type Row = [number, number, number];
/** A 3x3 matrix, by rows. */
export type RotationMatrix = [Row, Row, Row];

const POINTS = [0, 1, 2, 3, 4];
/** Depths of the landmarks in eye distances, from OpenCV's generic head. */
const DEPTHS = [0, 0, 135, 10, 10].map((depth) => depth / 330);
/** The mirror image of each landmark. */
const MIRRORED = [1, 0, 2, 4, 3];

const HEAD = headOf();
/** Maps five landmarks to the least-squares affine map from the head to them. */
const TO_MAP = pseudoInverse(HEAD);
/** Maps landmarks to their residuals after that map and a shift. */
const REST = POINTS.map((i) =>
  POINTS.map((j) => (i === j ? 1 : 0) - 1 / 5 - dot(HEAD[i]!, TO_MAP[j]!)),
);

/** The root mean square distance of landmarks (x, y, x, y ...) from their best affine map. */
export function residual(landmarks: readonly number[]): number {
  let squares = 0;
  for (const row of REST) {
    for (const axis of [0, 1]) {
      squares += POINTS.reduce((sum, j) => sum + row[j]! * landmarks[2 * j + axis]!, 0) ** 2;
    }
  }
  return Math.sqrt(squares / 5);
}

/**
 * The head's rotation; x points right, y down and z toward the camera. Its first two rows are the
 * orthonormal ones nearest to the affine map. The identity if the landmarks lie in one point or on
 * one line.
 */
export function rotationOf(landmarks: readonly number[]): RotationMatrix {
  const across = mapRow(landmarks, 0);
  const down = mapRow(landmarks, 1);
  const [p, q, r] = [dot(across, across), dot(across, down), dot(down, down)];
  // The inverse square root of [[p, q], [q, r]], by the formula for 2x2 matrices.
  const root = Math.sqrt(Math.max(p * r - q * q, 0));
  const trace = Math.sqrt(p + r + 2 * root);
  const most = Math.max(...across.map(Math.abs), ...down.map(Math.abs));
  if (most < 1e-6 || root < 1e-12 * (p + r))
    return [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
  const scale = 1 / (root * trace);
  const mix = (own: number, other: number) => (axis: 0 | 1 | 2) =>
    scale * (own * across[axis] + other * down[axis]);
  const rows = (of: (axis: 0 | 1 | 2) => number): Row => [of(0), of(1), of(2)];
  const [a, b, c] = rows(mix(r + root, -q));
  const [d, e, f] = rows(mix(-q, p + root));
  return [
    [a, b, c],
    [d, e, f],
    [b * f - c * e, c * d - a * f, a * e - b * d],
  ];
}

/** Yaw, pitch and roll in degrees. */
export function anglesOf([across, down, towards]: RotationMatrix): Row {
  const degrees = (radians: number) => (radians * 180) / Math.PI;
  return [
    degrees(Math.atan2(-towards[0], towards[2])),
    degrees(Math.asin(Math.min(Math.max(towards[1], -1), 1))),
    degrees(Math.atan2(-across[1], down[1])),
  ];
}

function mapRow(landmarks: readonly number[], axis: 0 | 1): Row {
  const sum = (column: 0 | 1 | 2) =>
    POINTS.reduce((total, i) => total + landmarks[2 * i + axis]! * TO_MAP[i]![column], 0);
  return [sum(0), sum(1), sum(2)];
}

/** The template, made symmetric, with depths and a mean of 0. */
function headOf(): Row[] {
  const x = (i: number) => TEMPLATE[2 * i]!;
  const y = (i: number) => TEMPLATE[2 * i + 1]!;
  const eyes = x(1) - x(0);
  const middle = POINTS.reduce((sum, i) => sum + x(i), 0) / 5;
  const head = POINTS.map((i): Row => {
    const other = MIRRORED[i]!;
    return [(x(i) - x(other)) / 2 + middle, (y(i) + y(other)) / 2, DEPTHS[i]! * eyes];
  });
  const mean = (column: 0 | 1 | 2) => head.reduce((sum, row) => sum + row[column], 0) / 5;
  const [a, b, c] = [mean(0), mean(1), mean(2)];
  return head.map(([u, v, w]) => [u - a, v - b, w - c]);
}

/** The transposed pseudoinverse of `points`: points times the inverse of their 3x3 products. */
function pseudoInverse(points: Row[]): Row[] {
  const product = (i: 0 | 1 | 2, j: 0 | 1 | 2) =>
    points.reduce((sum, row) => sum + row[i] * row[j], 0);
  const [a, b, c] = [product(0, 0), product(0, 1), product(0, 2)];
  const [e, f, i] = [product(1, 1), product(1, 2), product(2, 2)];
  const [A, B, C] = [e * i - f * f, c * f - b * i, b * f - c * e];
  const [E, F, I] = [a * i - c * c, b * c - a * f, a * e - b * b];
  const det = a * A + b * B + c * C;
  const inverse: RotationMatrix = [
    [A, B, C],
    [B, E, F],
    [C, F, I],
  ];
  return points.map((row) => inverse.map((column) => dot(row, column) / det) as Row);
}

function dot(a: Row, b: Row): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
