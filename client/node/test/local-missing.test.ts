/** A local fallback whose models are missing or damaged says so before it is needed. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { ClientClosedError, UnavailableError } from "../src/index.js";
import { ASTRONAUT, closeClients, freePort, TritonServer } from "./support.js";

const photo = readFileSync(ASTRONAUT);
let server: TritonServer;

before(async () => {
  server = await TritonServer.start();
});
after(() => server?.stop());
afterEach(closeClients);

test("a local fallback without its models says so: event, one warning, warmUp, health", async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(`${warning.name}: ${warning.message}`);
  process.on("warning", onWarning);
  const options = {
    urls: `http://127.0.0.1:${await freePort()}`,
    local: { models: "/nowhere", threads: 1 },
  };
  const client = server.open(options);
  const reason = /no local inference: '\/nowhere' has no .*face_detection.*`aurum models build`/;
  const seen: unknown[] = [];
  client.events.on("unavailable", ({ source, error }) => {
    assert.match(error.message, reason);
    seen.push(source);
  });
  await assert.rejects(client.warmUp(), (error) => {
    return error instanceof UnavailableError && reason.test(error.message);
  });
  assert.deepEqual(seen, ["local"]);
  await assert.rejects(server.open(options).warmUp(), UnavailableError); // warns no second time
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  assert.equal(warnings.filter((warning) => reason.test(warning)).length, 1, `${warnings}`);
  const { local: state } = await client.health();
  assert.equal(state!.ready, false);
  assert.match(state!.error!.message, reason);
  await assert.rejects(client.detect(photo), /then local: no local inference/);
  assert.equal(client.mode, null);
});

test("a local fallback with a damaged graph rejects warmUp, in one line", async () => {
  const models = mkdtempSync(join(tmpdir(), "aurum-damaged-"));
  cpSync(server.facts.models, models, { recursive: true, dereference: true });
  writeFileSync(join(models, "face_embedding", "1", "model.onnx"), "damaged");
  const client = server.open({ local: { models, threads: 1 } });
  await assert.rejects(client.warmUp(), (error: Error) => {
    assert.match(error.message, /^no local inference: .*model\.onnx/);
    return error instanceof UnavailableError && !error.message.includes("\n");
  });
  assert.equal((await client.analyze(photo)).source, "triton"); // the servers still answer
  rmSync(models, { recursive: true });
});

test("warmUp has nothing to wait for without a local fallback; a closed client rejects it", async () => {
  const client = server.open();
  await client.warmUp();
  await client.close();
  await assert.rejects(client.warmUp(), ClientClosedError);
});
