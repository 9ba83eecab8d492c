/** The same answers as the Python client's, over HTTP and from the local rung. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import sharp from "sharp";
import { parityOf } from "../bench/parity.js";
import { dot } from "../src/comparison.js";
import { type DetectOptions, FaceClient } from "../src/index.js";
import { GRAY_PNG } from "../src/probe.js";
import { ASTRONAUT, photos, TritonServer } from "./support.js";

test("every photo, as the Python client", async (t) => {
  for (const row of await parityOf(photos())) {
    await t.test(`${row.photo}: ${row.source}`, () => {
      assert.ok(row.same);
      assert.ok(row.faces > 0);
      if (row.source === "triton") {
        // The service itself differs by so much from batch to batch.
        assert.ok(row.leastCosine > 0.9999 && row.pixels < 0.02 && row.scores < 1e-4);
        assert.ok(row.quality < 0.05);
      } else {
        assert.equal(row.source, "local");
        assert.ok(row.leastCosine > 0.9995 && row.pixels < 0.1 && row.scores < 0.01);
        assert.ok(row.quality < 0.1);
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

test("what is no face, sent as an aligned crop, is not recognizable on either rung", async () => {
  const all = [remote, local].map((client) => client.embed(GRAY_PNG, { aligned: true }));
  for (const { face } of await Promise.all(all)) {
    assert.equal(face.score, 1);
    assert.equal(face.recognizable, false);
    assert.equal(face.qualityParts!.confidence, 0);
  }
});

test("one face has one embedding, model and calibration on both rungs", async () => {
  const [there, here] = await Promise.all([remote.embed(ASTRONAUT), local.embed(ASTRONAUT)]);
  assert.deepEqual(here.models, there.models);
  assert.deepEqual(here.calibration, there.calibration);
  const [mine, theirs] = await Promise.all([local.detect(ASTRONAUT), remote.detect(ASTRONAUT)]);
  assert.equal(mine.boxes.length, theirs.boxes.length);
  for (const [i, value] of mine.boxes.entries()) {
    // The server may run kernels of our own, which round otherwise (docs/design/kernels.md).
    assert.ok(Math.abs(value - theirs.boxes[i]!) < 1e-3);
  }
});

const turned = (degrees: number) => sharp(ASTRONAUT).rotate(degrees).png().toBuffer();
const sized = (side: number) => sharp(ASTRONAUT).resize(side).png().toBuffer();
/** Her face alone, as large as from a hand's breadth. */
const close = () =>
  sharp(ASTRONAUT)
    .extract({ left: 130, top: 30, width: 180, height: 180 })
    .resize(1400, 1400)
    .png()
    .toBuffer();
/** Photos beside and below one another, each in a cell of its own. */
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

/** What both rungs must find: so many faces, that want these turns to be upright. */
const looks: [string, () => Promise<Buffer>, DetectOptions, faces: number, turns: number[]][] = [
  ["an upright photo", () => turned(0), {}, 1, [0]],
  ["without a second look", () => turned(0), { refine: false }, 1, [0]],
  ["turned by 90 degrees", () => turned(90), {}, 1, [270]],
  ["turned by 180 degrees", () => turned(180), {}, 1, [180]],
  ["turned by 270 degrees", () => turned(270), {}, 1, [90]],
  ["turned, and said to be upright", () => turned(180), { orientation: "exif" }, 1, [0]],
  ["two ways", async () => sheet([await turned(90), await turned(270)], 2, 512), {}, 2, [270, 90]],
  ["a close-up", close, {}, 1, [0]],
  ["a close-up, looked at larger", close, { detectionSize: 1280 }, 1, [0]],
  ["a close-up, looked at in parts", close, { detectionSize: 2560 }, 1, [0]],
  ["a small photo", () => sized(200), {}, 1, [0]],
  [
    "a small photo, turned",
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
  test(`both rungs see the same: ${name}`, async () => {
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

test("where more may be, both say so: a list that is full, a photo too long for its tiles", async () => {
  for (const rung of [remote, local]) {
    assert.equal((await rung.detect(ASTRONAUT)).complete, true);
    assert.equal((await rung.detect(await band())).complete, false);
    // Simulated detectors have 64 candidates, which is all they have.
    const full = await rung.detect(await crowd(), { minConfidence: 0 });
    assert.equal(full.complete, server.facts.simulated);
  }
});
