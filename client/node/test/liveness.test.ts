/** Liveness in results: present if the service scores it, else absent. */

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { FaceClient, ProtocolError } from "../src/index.js";
import { scoreFace } from "../src/worker/score.js";
import { answering, closeServers } from "./answers.js";

const PNG = Buffer.from("iVBORw0KGgo=", "base64");

afterEach(closeServers);

/** Add the output `liveness`. */
const scored =
  (...scores: number[]) =>
  (outputs: Record<string, unknown>[]) => {
    const data = Buffer.from(Float32Array.from(scores).buffer);
    outputs.push({ name: "liveness", datatype: "FP32", shape: [scores.length], data });
  };

async function asking<T>(
  change: ((outputs: never[]) => void) | undefined,
  ask: (client: FaceClient) => Promise<T>,
): Promise<T> {
  const client = new FaceClient({ urls: await answering(change) });
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}

test("each face has its score, and whether it counts as live", async () => {
  const analysis = await asking(scored(0.5, 0.25) as never, (client) => client.analyze(PNG));
  assert.deepEqual(Array.from(analysis.liveness!), [0.5, 0.25]);
  assert.deepEqual(
    analysis.faces.map(({ livenessScore, isLive }) => [livenessScore, isLive]),
    [
      [0.5, true],
      [0.25, false],
    ],
  );
  const [face] = JSON.parse(JSON.stringify(analysis)).faces;
  assert.deepEqual([face.livenessScore, face.isLive], [0.5, true]);
});

for (const [name, change] of [
  ["of version 0.2", undefined],
  ["with AURUM_LIVENESS=0", scored() as never],
] as const) {
  test(`from a service ${name} the fields are absent`, async () => {
    const analysis = await asking(change, (client) => client.analyze(PNG));
    assert.equal(analysis.liveness, null);
    for (const face of analysis) {
      assert.ok(!("livenessScore" in face) && !("isLive" in face));
    }
  });
}

test("a wrong number of scores is an error", async () => {
  const wrong = asking(scored(0.5) as never, (client) => client.analyze(PNG));
  await assert.rejects(wrong, (error) => {
    assert.ok(error instanceof ProtocolError);
    assert.match(error.message, /'liveness' has 1 values, not 2 or 0/);
    return true;
  });
});

test("a worker's result has both fields, or neither", async () => {
  const folder = await mkdtemp(join(tmpdir(), "aurum-"));
  try {
    await writeFile(join(folder, "photo.png"), PNG);
    const job = (client: FaceClient) =>
      scoreFace(client, { image: "photo.png" }, { imageFolder: folder });
    const live = await asking(scored(0.25, 0.75) as never, job);
    assert.deepEqual([live.livenessScore, live.isLive], [0.25, false]);
    const off = await asking(undefined, job);
    assert.ok(!("livenessScore" in off) && !("isLive" in off));
  } finally {
    await rm(folder, { recursive: true });
  }
});
