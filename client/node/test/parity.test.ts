/** Parity with the Python client's answers, over HTTP and from the local fallback. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import sharp from "sharp";
import { parityOf } from "../bench/parity.js";
import { dot } from "../src/comparison.js";
import { type DetectOptions, FaceClient } from "../src/index.js";
import { GRAY_PNG } from "../src/probe.js";
import { ASTRONAUT, photos, TritonServer } from "./support.js";

test("every photo gets the Python client's answer", async (t) => {
  for (const row of await parityOf(photos())) {
    await t.test(`${row.photo}: ${row.source}`, () => {
      assert.ok(row.same);
      assert.ok(row.faces > 0);
      if (row.source === "triton") {
        // The service itself varies by this much between batches.
        assert.ok(row.leastCosine > 0.9999 && row.pixels < 0.02 && row.scores < 1e-4);
        assert.ok(row.quality < 0.05);
      } else {
        assert.equal(row.source, "local");
        // The server's kernels multiply 16-bit integers (docs/design/kernels.md).
        assert.ok(row.leastCosine > 0.998 && row.pixels < 0.3 && row.scores < 0.01);
        assert.ok(row.quality < 0.5);
      }
    });
  }
});

let server: TritonServer;
let remote: FaceClient;
let local: FaceClient;

before(async () => {
  server = await TritonServer.start();
  const options = { timeoutMs: 60_000 };
  remote = new FaceClient({ ...options, urls: server.facts.url });
  const models = { models: server.facts.models, threads: 1 };
  local = new FaceClient({ ...options, urls: "http://127.0.0.1:2", local: models });
});
after(async () => {
  await Promise.all([remote?.close(), local?.close()]);
  await server?.stop();
});

test("an aligned crop without a face is not recognizable in either source", async () => {
  const all = [remote, local].map((client) => client.embed(GRAY_PNG, { aligned: true }));
  for (const { face } of await Promise.all(all)) {
    assert.equal(face.score, 1);
    assert.equal(face.recognizable, false);
    assert.equal(face.qualityParts!.confidence, 0);
  }
});

test("a face has the same box, models and calibration in both sources", async () => {
  const [there, here] = await Promise.all([remote.embed(ASTRONAUT), local.embed(ASTRONAUT)]);
  assert.deepEqual(here.models, there.models);
  assert.deepEqual(here.calibration, there.calibration);
  const [mine, theirs] = await Promise.all([local.detect(ASTRONAUT), remote.detect(ASTRONAUT)]);
  assert.equal(mine.boxes.length, theirs.boxes.length);
  for (const [i, value] of mine.boxes.entries()) {
    // The server may run kernels of its own, which round differently (docs/design/kernels.md).
    assert.ok(Math.abs(value - theirs.boxes[i]!) < 0.1);
  }
});

const turned = (degrees: number) => sharp(ASTRONAUT).rotate(degrees).png().toBuffer();
const sized = (side: number) => sharp(ASTRONAUT).resize(side).png().toBuffer();
/** The face alone, as large as in a photo taken from very near. */
const close = () =>
  sharp(ASTRONAUT)
    .extract({ left: 130, top: 30, width: 180, height: 180 })
    .resize(1400, 1400)
    .png()
    .toBuffer();
/** A grid of photos, one per cell. */
async function sheet(cells: Buffer[], columns: number, side: number): Promise<Buffer> {
  const size = { width: columns * side, height: Math.ceil(cells.length / columns) * side };
  const at = (i: number) => ({ left: (i % columns) * side, top: Math.floor(i / columns) * side });
  return sharp({ create: { ...size, channels: 3, background: "#446" } })
    .composite(cells.map((input, i) => ({ input, ...at(i) })))
    .png()
    .toBuffer();
}
const crowd = async () => sheet(Array(24).fill(await sized(120)), 6, 300);
const band = () =>
  sharp({ create: { width: 10_000, height: 40, channels: 3, background: "#888" } })
    .png()
    .toBuffer();

/** Photos with the number of faces that both sources must find, and their rotations. */
const looks: [string, () => Promise<Buffer>, DetectOptions, faces: number, turns: number[]][] = [
  ["an upright photo", () => turned(0), {}, 1, [0]],
  ["without refinement", () => turned(0), { refine: false }, 1, [0]],
  ["rotated by 90 degrees", () => turned(90), {}, 1, [270]],
  ["rotated by 180 degrees", () => turned(180), {}, 1, [180]],
  ["rotated by 270 degrees", () => turned(270), {}, 1, [90]],
  ["rotated, and upright by its EXIF", () => turned(180), { orientation: "exif" }, 1, [0]],
  [
    "two rotations",
    async () => sheet([await turned(90), await turned(270)], 2, 512),
    {},
    2,
    [270, 90],
  ],
  ["a close-up", close, {}, 1, [0]],
  ["a close-up at a larger size", close, { detectionSize: 1280 }, 1, [0]],
  ["a close-up in parts", close, { detectionSize: 2560 }, 1, [0]],
  ["a small photo", () => sized(200), {}, 1, [0]],
  [
    "a small photo, rotated",
    async () =>
      sharp(await sized(200))
        .rotate(90)
        .png()
        .toBuffer(),
    {},
    1,
    [270],
  ],
  ["a crowd, too small", crowd, {}, 0, []],
  ["a crowd in tiles", crowd, { tiles: 4 }, 24, [0]],
  ["the largest of a crowd in tiles", crowd, { tiles: 4, maxFaces: 3 }, 3, [0]],
  ["a long photo", async () => sheet(Array(4).fill(await turned(0)), 4, 512), {}, 4, [0]],
];
for (const [name, make, options, faces, turns] of looks) {
  test(`both sources find the same: ${name}`, async () => {
    const photo = await make();
    const [here, there] = [
      await local.analyze(photo, options),
      await remote.analyze(photo, options),
    ];
    assert.deepEqual([here.source, there.source], ["local", "triton"]);
    if (!server.facts.simulated) {
      assert.equal(there.length, faces);
      assert.deepEqual([...new Set(there.rotations)], turns);
    }
    assert.equal(here.length, there.length);
    assert.deepEqual(here.rotations, there.rotations);
    assert.deepEqual(here.gate, there.gate);
    assert.equal(here.complete, there.complete);
    for (const [i, face] of here.faces.entries()) {
      const { bbox, landmarks, score, embedding } = there.faces[i]!;
      const size = Math.max(bbox.width, bbox.height);
      const numbers = [...Object.values(bbox), ...landmarks.flat()];
      for (const [j, value] of [...Object.values(face.bbox), ...face.landmarks.flat()].entries()) {
        assert.ok(Math.abs(value - numbers[j]!) < 0.001 * size, `${value}, not ${numbers[j]}`);
      }
      assert.ok(Math.abs(face.score - score) < 1e-3);
      assert.ok(dot(face.embedding!, embedding!) > 0.9995);
    }
  });
}

test("both report incomplete results: a full list, a photo too long for its tiles", async () => {
  for (const client of [remote, local]) {
    assert.equal((await client.detect(ASTRONAUT)).complete, true);
    assert.equal((await client.detect(await band())).complete, false);
    // Simulated detectors have only 64 candidates, so their list is never full.
    const full = await client.detect(await crowd(), { minConfidence: 0 });
    assert.equal(full.complete, server.facts.simulated);
  }
});
