/** Acceptance: the same answers as the Python client, over HTTP and from the local rung. */

import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, before, test } from "node:test";
import { type Analysis, FaceClient, type Faces, QUALITY_PARTS } from "../src/index.js";
import { photos, TritonServer } from "./support.js";

interface Expected {
  boxes: number[];
  landmarks: number[];
  scores: number[];
  embeddings: number[];
  quality: number[];
  qualityParts: number[];
  imageSize: [number, number];
  models: { detector: string; embedder: string };
}

const DIMENSIONS = 512;
let server: TritonServer;
let remote: FaceClient;
let local: FaceClient;

before(async () => {
  server = await TritonServer.start();
  remote = new FaceClient({ urls: server.facts.url, timeoutMs: 60_000 });
  // Nobody listens there, so that every answer is the local rung's.
  local = new FaceClient({
    urls: "http://127.0.0.1:2",
    timeoutMs: 60_000,
    local: { models: server.facts.models, threads: 1 },
  });
});
after(async () => {
  await Promise.all([remote?.close(), local?.close()]);
  await server?.stop();
});

for (const photo of photos()) {
  test(`${basename(photo)}: over HTTP as the Python client`, async () => {
    const want = await server.analyze<Expected>(photo);
    const got = await remote.analyze(photo);
    assert.equal(got.source, "triton");
    compare(got, want, { pixels: 0.02, score: 1e-4, cosine: 0.9999 });
    assert.ok(largestDifference(got.quality!, want.quality) < 1e-3);
    const parts = got.qualityParts!.flatMap((parts) => QUALITY_PARTS.map((name) => parts[name]));
    assert.ok(largestDifference(parts, want.qualityParts) < 0.05);
    compareFaces(await remote.detect(photo), want, { pixels: 0.02, score: 1e-4 });
  });

  test(`${basename(photo)}: the local rung as the Python client`, async () => {
    const want = await server.analyze<Expected>(photo);
    const got = await local.analyze(photo);
    assert.equal(got.source, "local");
    compare(got, want, { pixels: 0.1, score: 0.01, cosine: 0.9995 });
    assert.equal(got.quality, null);
  });
}

test("embed and compare agree across the rungs", async () => {
  const [photo] = photos();
  const [there, here] = await Promise.all([remote.embed(photo!), local.embed(photo!)]);
  assert.deepEqual(here.models, there.models);
  assert.deepEqual(here.calibration, there.calibration);
  assert.ok(cosine(there.vector, here.vector) > 0.999);
});

function compareFaces(got: Faces, want: Expected, allowed: { pixels: number; score: number }) {
  assert.equal(got.length, want.scores.length);
  assert.deepEqual(got.imageSize, want.imageSize);
  assert.equal(got.models.detector, want.models.detector);
  assert.ok(largestDifference(got.boxes, want.boxes) <= allowed.pixels);
  assert.ok(largestDifference(got.landmarks, want.landmarks) <= allowed.pixels);
  assert.ok(largestDifference(got.scores, want.scores) <= allowed.score);
}

function compare(
  got: Analysis,
  want: Expected,
  allowed: { pixels: number; score: number; cosine: number },
) {
  compareFaces(got, want, allowed);
  assert.deepEqual(got.models, want.models);
  const cosines = got.faces.map((face, index) =>
    cosine(face.embedding!, want.embeddings.slice(index * DIMENSIONS, (index + 1) * DIMENSIONS)),
  );
  const least = Math.min(...cosines, 1);
  assert.ok(least >= allowed.cosine, `the least cosine is ${least}`);
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
}
