/** Whether faces are recognizable, as answers report it. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { FaceClient } from "../src/index.js";
import { answer, answering, closeServers, gated, serve } from "./answers.js";

const photo = Buffer.from("a photo");
afterEach(closeServers);

test("an answer says which faces are recognizable, and why others are not", async () => {
  const client = new FaceClient({ urls: await answering(gated(-1, 1) as never) });
  const analysis = await client.analyze(photo);
  assert.equal(analysis.qualityCalibrated, true);
  assert.deepEqual(analysis.gate, Int32Array.of(-1, 1));
  const assessed = analysis.faces.map(({ recognizable, defect }) => [recognizable, defect]);
  assert.deepEqual(assessed, [
    [true, null],
    [false, "sharpness"],
  ]);
  const json = JSON.parse(JSON.stringify(analysis));
  assert.equal(json.qualityCalibrated, true);
  assert.deepEqual([json.faces[1].recognizable, json.faces[1].defect], [false, "sharpness"]);
  await client.close();
});

test("an empty gate means unknown: for other embedders, or without faces", async () => {
  const client = new FaceClient({ urls: await answering(gated() as never) });
  const analysis = await client.analyze(photo);
  assert.deepEqual([analysis.gate, analysis.qualityCalibrated], [null, false]);
  const [face] = analysis.faces;
  assert.deepEqual([face!.quality, face!.recognizable, face!.defect], [0.625, null, null]);
  await client.close();
});

test("embed and compare report it, too", async () => {
  for (const [column, recognizable, defect, decision] of [
    [-1, true, null, "match"],
    [15, false, "recognizability", "not recognizable"],
  ] as const) {
    const { header, body } = answer(1, gated(column));
    const url = await serve((_, response) => {
      response.setHeader("inference-header-content-length", header.length).end(body);
    });
    const client = new FaceClient({ urls: url });
    const embedding = await client.embed(photo);
    assert.deepEqual([embedding.recognizable, embedding.defect], [recognizable, defect]);
    assert.deepEqual([embedding.quality, embedding.qualityCalibrated], [0.625, true]);
    assert.equal(embedding.qualityParts!.recognizability, 0.5);
    const { face } = embedding;
    assert.deepEqual([face.quality, face.recognizable, face.defect], [0.625, recognizable, defect]);
    assert.equal((await client.compare(photo, photo)).decision, decision);
    await client.close();
  }
});

test("a server of version 0.1.0 has no quality and no gate in embed_face", async () => {
  const { header, body } = answer(1, (outputs) => {
    for (const name of ["quality", "quality_parts"]) {
      outputs.splice(
        outputs.findIndex((output) => output.name === name),
        1,
      );
    }
  });
  const url = await serve((_, response) => {
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
  const client = new FaceClient({ urls: url });
  const { quality, qualityParts, recognizable, defect } = await client.embed(photo);
  assert.deepEqual([quality, qualityParts, recognizable, defect], [null, null, null, null]);
  const { decision, gated: isGated } = await client.compare(photo, photo);
  assert.deepEqual([decision, isGated], ["match", false]);
  await client.close();
});
