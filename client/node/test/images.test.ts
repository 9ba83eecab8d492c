/** Photos given as strings: paths, data URLs, base64, and addresses, with a real tritonserver. */

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import { readImage } from "../src/images.js";
import { FaceClient, InvalidImageError } from "../src/index.js";
import { GRAY_PNG } from "../src/probe.js";
import { ASTRONAUT, CHECKOUT, TritonServer } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const base64 = photo.toString("base64");
let server: TritonServer;
let client: FaceClient;
let folder: string;

before(async () => {
  server = await TritonServer.start();
  client = new FaceClient({ urls: server.facts.url });
  folder = mkdtempSync(join(tmpdir(), "aurum-images-"));
});
after(async () => {
  process.chdir(CHECKOUT);
  rmSync(folder, { recursive: true, force: true });
  await client?.close();
  await server?.stop();
});

/** The error for this image, which must be one short line, wherever a log prints it. */
async function refusal(image: string | URL): Promise<string> {
  const error = await client.detect(image).then(
    () => assert.fail("accepted"),
    (error) => error,
  );
  assert.ok(error instanceof InvalidImageError, String(error));
  assert.equal(error.code, "invalid_image");
  assert.ok(error.message.length < 250 && !error.message.includes("\n"), error.message);
  const text = String(image);
  if (text.length > 80) assert.ok(!inspect(error).includes(text.slice(0, 81)), inspect(error));
  return error.message;
}

test("data URLs and base64 are the photo itself", async () => {
  const want = (await client.analyze(photo)).embeddings;
  const lines = base64.replace(/.{76}/g, "$&\r\n");
  const urlSafe = photo.toString("base64url"); // also without padding
  const images = [
    `data:image/jpeg;base64,${base64}`,
    ` DATA:;base64,${lines}`,
    new URL(`data:image/jpeg;base64,${base64}`),
    base64,
    `\n${base64}`,
    lines,
    urlSafe,
  ];
  for (const image of images) {
    assert.deepEqual((await client.analyze(image)).embeddings, want, String(image).slice(0, 30));
  }
  const { similarity } = await client.compare(base64, `data:image/jpeg;base64,${base64}`);
  assert.ok(similarity > 0.9999);
});

test("base64 that is short enough for a path or a file's name is base64, too", async () => {
  const tiny = Buffer.from(GRAY_PNG).toString("base64");
  assert.ok(tiny.length > 64 && tiny.length < 4096, `${tiny.length}`);
  assert.equal((await client.detect(tiny)).length, 0);
  assert.deepEqual(Buffer.from(await readImage(tiny)), Buffer.from(GRAY_PNG));
});

test("a file is read, even if base64 could look like its path", async () => {
  const name = base64.slice(0, 80).replaceAll("/", "_"); // the URL-safe alphabet
  assert.ok(name.startsWith("_9j_"));
  copyFileSync(ASTRONAUT, join(folder, name));
  process.chdir(folder);
  assert.equal((await client.detect(name)).length, 1);
  assert.equal((await client.detect(`file://${ASTRONAUT}`)).length, 1);
});

test("strings that are no photo are refused, each for its reason", async () => {
  for (const [image, reason] of [
    ["missing.jpg", /'missing\.jpg': there is no such file$/],
    ["", /there is no such file$/],
    ["two\nlines.jpg", /'two lines\.jpg': there is no such file$/],
    ["nul\0.jpg", /it is not a path$/],
    [`${"x".repeat(70)}.jpg`, /x: there is no such file$|x\.jpg': there is no such file$/],
    [`${"x/".repeat(200)}y.jpg`, /\.\.\.': there is no such file$/],
    ["%".repeat(300), /too long for a file's name, and not base64 of an image$/],
    ["%".repeat(200_000), /too long for a file's name, and not base64 of an image$/],
    [`${base64}!`, /damaged base64 \(it has other characters\)/],
    [base64.slice(0, -4).concat("A"), /damaged base64 \(it is cut off\)/],
    ["A".repeat(100), /A\.\.\.': there is no such file$/],
    [Buffer.from(`GIF89a${"x".repeat(99)}`).toString("base64"), /GIF images are not supported/],
    ["data:image/jpeg,notbase64", /the data URL is not base64/],
    [`data:image/jpeg;base64,${base64}*`, /damaged base64/],
    [tmpdir(), /it is a folder$/],
    ["file://elsewhere/photo.jpg", /is not the URL of a local file$/],
  ] as const) {
    assert.match(await refusal(image), reason);
  }
});

test("addresses are refused by their scheme, and not repeated: they may hold keys", async () => {
  const signed = `https://example.com/photo.jpg?signature=${"secret".repeat(50)}`;
  for (const [image, scheme] of [
    [signed, /^https addresses are not supported: fetch the photo/],
    [new URL(signed), /^https addresses/],
    ["HTTP://example.com/photo.jpg", /^http addresses/],
    ["s3://bucket/photo.jpg", /^s3 addresses/],
  ] as const) {
    const message = await refusal(image);
    assert.match(message, scheme);
    assert.doesNotMatch(message, /example|secret|bucket/);
  }
});
