/** The same answers as the Python client's, over HTTP and from the local rung. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { parityOf } from "../bench/parity.js";
import { FaceClient } from "../src/index.js";
import { ASTRONAUT, photos, TritonServer } from "./support.js";

test("every photo, as the Python client", async (t) => {
  for (const row of await parityOf(photos())) {
    await t.test(`${row.photo}: ${row.source}`, () => {
      assert.ok(row.same);
      assert.ok(row.faces > 0);
      if (row.source === "triton") {
        // The service itself differs by so much from batch to batch.
        assert.ok(row.leastCosine > 0.9999 && row.pixels < 0.02 && row.scores < 1e-4);
        assert.ok(row.quality! < 0.05);
      } else {
        assert.equal(row.source, "local");
        assert.ok(row.leastCosine > 0.9995 && row.pixels < 0.1 && row.scores < 0.01);
        assert.equal(row.quality, null);
      }
    });
  }
});

test("one face has one embedding, model and calibration on both rungs", async () => {
  const server = await TritonServer.start();
  const remote = new FaceClient({ urls: server.facts.url });
  const local = new FaceClient({
    urls: "http://127.0.0.1:2",
    local: { models: server.facts.models, threads: 1 },
  });
  const [there, here] = await Promise.all([remote.embed(ASTRONAUT), local.embed(ASTRONAUT)]);
  assert.deepEqual(here.models, there.models);
  assert.deepEqual(here.calibration, there.calibration);
  assert.deepEqual((await local.detect(ASTRONAUT)).boxes, (await remote.detect(ASTRONAUT)).boxes);
  await Promise.all([remote.close(), local.close()]);
  await server.stop();
});
