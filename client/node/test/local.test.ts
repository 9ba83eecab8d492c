/** Parts of the local fallback whose errors photos alone would not show. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import sharp from "sharp";
import { align, cutForRefiner, mapBack, similarity, TEMPLATE } from "../src/local/align.js";
import { decode } from "../src/local/decode.js";
import { type Candidate, selectFaces } from "../src/local/faces.js";
import { fit, letterbox } from "../src/local/letterbox.js";
import type { Photo } from "../src/local/photo.js";
import { resizeArea, resizeLinear, warp } from "../src/local/resize.js";
import { ASTRONAUT, python } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const decoded = (bytes: Buffer) =>
  decode(sharp, bytes, {
    maxImageBytes: 1e7,
    maxBase64Bytes: 1e7,
    maxImagePixels: 5e7,
    maxJpegPixels: 5e7,
  });

/** The result of OpenCV for raw RGB pixels; `code` reads `photo` and sets `result`. */
function opencv({ width, height, data }: Photo, code: string): Uint8Array {
  const script = `
import sys, numpy as np, cv2
photo = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(${height}, ${width}, 3)
${code}
sys.stdout.buffer.write(np.ascontiguousarray(result).tobytes())`;
  return python(script, data);
}

function largest(a: Uint8Array, b: Uint8Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

test("resizing equals OpenCV's", async () => {
  const image = await decoded(photo);
  for (const [width, height] of [
    [320, 320],
    [500, 333],
    [511, 257],
    [600, 777], // enlarged
    [1400, 1400],
  ] as const) {
    const want = opencv(image, `result = cv2.resize(photo, (${width}, ${height}))`);
    assert.equal(largest(resizeLinear(image, width, height).data, want), 0, `${width}x${height}`);
  }
  for (const [width, height] of [
    [100, 77],
    [256, 256],
    [128, 128],
    [171, 171],
    [1, 1],
  ] as const) {
    const code = `result = cv2.resize(photo, (${width}, ${height}), interpolation=cv2.INTER_AREA)`;
    const got = resizeArea(image, width, height).data;
    const want = opencv(image, code);
    assert.ok(largest(got, want) <= 1, `${width}x${height}`);
    const others = got.filter((value, i) => value !== want[i]).length;
    assert.ok(others <= got.length / 500, `${width}x${height}: ${others} of ${got.length}`);
  }
});

test("warping equals OpenCV's, even beyond the border", async () => {
  const image = await decoded(photo);
  for (const matrix of [
    [0.8, 0.3, -40.3, -0.3, 0.8, 10.7],
    [1.7, -0.2, 30, 0.2, 1.7, -200],
    [-0.5, 0, 111, 0, -0.5, 111],
  ] as const) {
    const rows = `[[${matrix.slice(0, 3)}], [${matrix.slice(3)}]]`;
    const code = `result = cv2.warpAffine(photo, np.array(${rows}), (112, 112))`;
    assert.equal(largest(warp(image, [...matrix], 112, 112).data, opencv(image, code)), 0);
  }
});

test("crops equal the service's, for large and degenerate faces, too", async () => {
  const image = await decoded(photo);
  const cases: Candidate[] = [
    {
      box: [170, 60, 110, 150],
      landmarks: [202, 114, 247, 110, 225, 145, 206, 165, 247, 160],
      score: 1,
    },
    // more than twice the crop's size, and beyond the border
    {
      box: [-40, -40, 600, 600],
      landmarks: [90, 170, 420, 160, 260, 330, 120, 420, 400, 410],
      score: 1,
    },
    // upside down
    {
      box: [100, 100, 200, 200],
      landmarks: [250, 300, 160, 300, 205, 250, 240, 200, 170, 200],
      score: 1,
    },
    // all in one point
    { box: [100, 120, 90, 120], landmarks: Array(10).fill(140), score: 1 },
  ];
  for (const face of cases) {
    const want = (call: string) =>
      opencv(
        image,
        `from aurum.imaging.align import align, cut_for_second_look, crop_matrices
points = np.array(${JSON.stringify(face.landmarks)}, np.float32).reshape(1, 5, 2)
boxes = np.array([${JSON.stringify(face.box)}], np.float32)
result = ${call}`,
      );
    const crop = want("align(photo, boxes, points)[0]");
    assert.ok(largest(align(image, face).data, crop) <= 1, JSON.stringify(face.box));
    const again = cutForRefiner(image, face);
    const wanted = want("cut_for_second_look(photo, crop_matrices(boxes, points))[0][0]");
    assert.ok(largest(again.crop.data, wanted) <= 1, JSON.stringify(face.box));
  }
});

test("points of the refiner's crop map back to the photo", () => {
  const photo = { width: 1, height: 1, data: new Uint8Array(3) };
  const turned = [30, 120, 31, 85, 10, 101, -10, 117, -10, 89]; // onto its side
  const { matrix } = cutForRefiner(photo, { box: [0, 0, 9, 9], landmarks: turned, score: 1 });
  const [a, b, c, d, e, f] = matrix;
  const there = [a * 30 + b * 120 + c, d * 30 + e * 120 + f, 0, 0];
  const [x, y] = mapBack(there, matrix);
  assert.ok(Math.abs(x! - 30) < 1e-9 && Math.abs(y! - 120) < 1e-9);
});

test("the similarity of the template is the identity", () => {
  const matrix = similarity(TEMPLATE)!;
  for (const [i, value] of [1, 0, 0, 0, 1, 0].entries()) {
    assert.ok(Math.abs(matrix[i]! - value) < 1e-9);
  }
  assert.equal(similarity(Array(10).fill(3)), null);
});

test("letterboxing shrinks large photos, enlarges small ones, and pads right and bottom", () => {
  const gray = (width: number, height: number): Photo => {
    return { width, height, data: new Uint8Array(width * height * 3).fill(200) };
  };
  const size = ({ width, height }: Photo) => [width, height];
  const wide = fit(gray(1000, 300), 640);
  assert.deepEqual(size(wide), [640, 192]);
  assert.equal(letterbox(wide).planes[640 * 191 + 639], 200);
  assert.deepEqual(size(fit(gray(33, 20), 640)), [320, 194]);
  assert.deepEqual(size(fit(gray(33, 20), 64)), [64, 39]);
  assert.deepEqual(size(fit(gray(330, 200), 640)), [330, 200]);
  const padded = letterbox(gray(33, 20));
  assert.deepEqual([padded.width, padded.height], [64, 32]);
  assert.deepEqual([padded.planes[32], padded.planes[33], padded.planes[64 * 20]], [200, 0, 0]);
});

test("NMS keeps the best of overlapping faces, and drops invalid numbers", () => {
  const at = (x: number, side: number, score: number): Candidate => ({
    box: [x, 0, side, side],
    landmarks: Array(10).fill(x),
    score,
  });
  const faces = selectFaces(
    [
      at(0, 100, 0.7),
      at(10, 100, 0.9), // overlaps the first
      at(300, 200, 0.8), // larger
      at(600, 50, 0.59), // too low a score
      at(700, 50, Number.NaN),
      { ...at(800, 50, 0.9), box: [800, 0, Number.POSITIVE_INFINITY, 50] },
      { ...at(900, 50, 0.9), box: [900, 0, 0, 50] },
      { ...at(950, 50, 0.9), landmarks: Array(10).fill(1e7) },
    ],
    [0.5, 0.5],
    0.6,
    0.3,
  );
  assert.deepEqual(
    faces.map((face) => face.box[0]),
    [20, 600],
  );
  assert.deepEqual(selectFaces([at(0, 10, 0)], [1, 1], 0, 0.3), []);
});
