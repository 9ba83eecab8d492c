/** Messages repeat at most 80 characters of what the caller gave: it may be a person's photo. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { inspect } from "node:util";
import { Comparison, Embedding, Face, FaceClient, optionsFromEnv } from "../src/index.js";
import { checkOptions } from "../src/options.js";
import { closeServers, serve } from "./answers.js";

afterEach(closeServers);

const photo = Buffer.from("a photo");
/** Without an 81 character run that occurs in another place of it. */
const LONG = Array.from({ length: 20_000 }, (_, i) => `${i}`).join("x");
const text = LONG as never;
const face = new Face({ bbox: { x: 0, y: 0, width: 1, height: 1 }, landmarks: [], score: 1 });
const embedding = new Embedding({
  source: "triton",
  models: { detector: null, embedder: "e@1" },
  imageSize: [1, 1],
  vector: new Float32Array(512),
  face,
});

/** Each place that takes something from the caller, given a text as long as a photo in base64. */
const PLACES: Record<string, (client: FaceClient) => unknown> = {
  path: (client) => client.detect(`/${LONG}.jpg`),
  "path below 4096 characters": (client) => client.detect(`${LONG.slice(0, 4000)}.jpg`),
  "file URL": (client) => client.detect(`file:///${LONG.slice(0, 4000)}`),
  "data URL": (client) => client.detect(`data:${LONG}`),
  address: (client) => client.detect(`http://${LONG}`),
  "image of another kind": (client) => client.detect({ [LONG]: LONG } as never),
  options: (client) => client.detect(photo, { [LONG]: 1 } as never),
  minConfidence: (client) => client.detect(photo, { minConfidence: text }),
  maxFaces: (client) => client.detect(photo, { maxFaces: text }),
  orientation: (client) => client.detect(photo, { orientation: { toString: () => LONG } as never }),
  timeoutMs: (client) => client.detect(photo, { timeoutMs: text }),
  retries: (client) => client.detect(photo, { retries: text }),
  requestId: (client) => client.detect(photo, { requestId: LONG }),
  "name of a header": (client) => client.detect(photo, { headers: { [`${LONG}(`]: "x" } }),
  "value of a header": (client) => client.detect(photo, { headers: { a: `${LONG}\n${LONG}` } }),
  concurrency: (client) => client.analyzeMany([photo], { concurrency: text }),
  far: (client) => client.compare(photo, photo, { far: text }),
  prior: (client) => client.compare(photo, photo, { prior: text }),
  "far of a comparison": () => Comparison.between(embedding, embedding, { far: text }),
  url: () => new FaceClient({ urls: `http://[${LONG}` }),
  "url with a password": () => new FaceClient({ urls: `http://user:${LONG}@localhost` }),
  "scheme of a url": () => new FaceClient({ urls: `${LONG}://localhost` }),
  "option of the client": () => new FaceClient({ [LONG]: 1 } as never),
  "timeout of the client": () => new FaceClient({ timeoutMs: text }),
  "header of the client": () => new FaceClient({ headers: { authorization: `${LONG}\n${LONG}` } }),
  "number in the environment": () => optionsFromEnv({ ML_SERVICE_TIMEOUT: LONG }),
  "boolean in the environment": () => optionsFromEnv({ USE_REAL_ML: LONG }),
  "orientation in the environment": () =>
    optionsFromEnv({ AURUM_LOCAL_MODELS: "m", AURUM_ORIENTATION: LONG }),
  "an option that a fallback refuses": () => checkOptions({ orientation: text }, "detect_faces"),
};
for (const [place, give] of Object.entries(PLACES)) {
  test(`echoes are cut: ${place}`, async () => {
    const url = await serve((_, response) => response.writeHead(500).end('{"error":"reached"}'));
    const client = new FaceClient({ urls: url, retries: 0 });
    try {
      const error: Error = await (async () => give(client))().then(
        () => assert.fail("accepted"),
        (error) => error,
      );
      assert.ok(error.message.length < 400, `${error.message.length} characters`);
      assert.doesNotMatch(error.message, /reached/, "it must be refused by the client");
      const printed = inspect(error); // as a log prints it: with its cause and its fields
      for (let at = 0; at + 81 <= LONG.length; at += 40) {
        assert.ok(!printed.includes(LONG.slice(at, at + 81)), printed.slice(0, 500));
      }
    } finally {
      await client.close();
    }
  });
}

test("a server's message is cut, too", async () => {
  const url = await serve((_, response) => {
    response.writeHead(400).end(JSON.stringify({ error: `[invalid_parameter] '${LONG}'` }));
  });
  const client = new FaceClient({ urls: url, retries: 0 });
  await assert.rejects(client.detect(photo), (error: Error) => error.message.length <= 500);
  await client.close();
});

test("a password in a server's URL is refused without repeating it", () => {
  const options = { urls: "http://user:hunter2@example.com" };
  assert.throws(
    () => new FaceClient(options),
    (error: Error) => {
      assert.match(error.message, /example\.com has a password: use headers/);
      assert.doesNotMatch(inspect(error), /hunter2/);
      return true;
    },
  );
});
