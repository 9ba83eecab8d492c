/** Calls through the real gateway: its key, its certificate, and request ids in its log. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { ASTRONAUT, PACKAGE, TritonServer, until } from "./support.js";

let server: TritonServer;

before(async () => {
  server = await TritonServer.start();
});
after(() => server?.stop());

const SCRIPT = `
import { FaceClient } from "aurum-face-client";

const [url, key, photo] = process.argv.slice(2);
const client = new FaceClient({ urls: url, headers: { authorization: "Bearer " + key } });
const errorOf = (call) => call.then(() => null, (error) => error);
const shown = ({ name, code, status, requestId, response }) =>
  ({ name, code, status, requestId, header: response.headers["x-request-id"] });
console.log(JSON.stringify({
  own: (await client.detect(photo, { requestId: "order-17" })).requestId,
  made: (await client.detect(photo)).requestId,
  replaced: (await client.detect(photo, { requestId: "order/18" })).requestId,
  bad: shown(await errorOf(client.detect(Buffer.from("no"), { requestId: "bad-1" }))),
  stranger: shown(await errorOf(client.detect(photo, {
    requestId: "stranger-1", headers: { authorization: "Bearer nobody" }, retries: 0,
  }))),
}));
await client.close();`;

test("results and errors have the id that the gateway has logged", async () => {
  const { url, ca, key } = await server.gateway();
  const folder = join(PACKAGE, "build", "gateway");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "script.mjs");
  writeFileSync(file, SCRIPT);
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
  const { stdout } = await promisify(execFile)(process.execPath, [file, url, key, ASTRONAUT], {
    env,
  });
  rmSync(folder, { recursive: true });
  const { own, made, replaced, bad, stranger } = JSON.parse(stdout);
  assert.equal(own, "order-17");
  assert.match(made, /^[0-9a-f-]{36}$/);
  assert.match(replaced, /^[0-9a-f]{32}$/); // its own, as a slash is not allowed there
  const [one, two] = ["bad-1", "stranger-1"].map((id) => ({ requestId: id, header: id }));
  assert.deepEqual(bad, {
    name: "InvalidImageError",
    code: "invalid_image",
    status: 400,
    ...one,
  });
  assert.deepEqual([stranger.name, stranger.status], ["AccessDeniedError", 401]);
  assert.deepEqual([stranger.requestId, stranger.header], [two!.requestId, two!.header]);
  const ids = [own, made, replaced, "bad-1", "stranger-1"].sort();
  await until(async () => (await server.access()).length >= ids.length);
  assert.deepEqual((await server.access()).sort(), ids);
});
