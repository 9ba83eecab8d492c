/** The fallback chain with real servers that are killed, hang, recover, or serve other models. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { Registry } from "prom-client";
import {
  Comparison,
  FaceClient,
  type FaceClientOptions,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelMismatchError,
  NoFaceError,
  RequestTimeoutError,
  UnavailableError,
} from "../src/index.js";
import { instrument } from "../src/metrics.js";
import { GRAY_PNG } from "../src/probe.js";
import { HEADER_LENGTH } from "../src/tensors.js";
import { ASTRONAUT, closeClients, freePort, python, TritonServer, until } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const fronts: Server[] = [];
let server: TritonServer;
let simulated: TritonServer;

before(async () => {
  server = await TritonServer.start();
  simulated = await TritonServer.start("simulated");
});
after(async () => {
  await server?.stop();
  await simulated?.stop();
});
afterEach(async () => {
  await closeClients();
  for (const front of fronts.splice(0)) {
    front.closeAllConnections();
    front.close();
  }
});

const open = (options: FaceClientOptions): FaceClient =>
  server.open({ breaker: { resetTimeoutMs: 200, probeTimeoutMs: 1000 }, ...options });

const local = () => ({ models: server.facts.models, threads: 1 });
const nobody = async () => `http://127.0.0.1:${await freePort()}`;

/** A HEIC photo, like those of Apple's phones. */
function heic(): Buffer {
  return python(
    `
import sys, pillow_heif
from PIL import Image
pillow_heif.from_pillow(Image.new("RGB", (192, 128), "gray")).save(sys.stdout.buffer)`,
    "",
  );
}

/** The address of a proxy of our server that fails some paths with this status. */
async function proxy(fails: (path: string) => boolean, status = 500): Promise<string> {
  return front((path) => (fails(path) ? status : 200));
}

/** The address of a proxy of our server with these statuses: 200 forwards, null never answers. */
async function front(statusOf: (path: string) => number | null): Promise<string> {
  const front = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const status = statusOf(request.url!);
    if (status === null) return;
    if (status !== 200) {
      response.writeHead(status).end('{"error":"[some_code] why"}');
      return;
    }
    const answer = await fetch(server.facts.url + request.url, {
      method: request.method!,
      headers: { [HEADER_LENGTH]: `${request.headers[HEADER_LENGTH]}` },
      body: request.method === "POST" ? Buffer.concat(chunks) : null,
    });
    const length = answer.headers.get(HEADER_LENGTH);
    if (length) response.setHeader(HEADER_LENGTH, length);
    response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
  });
  fronts.push(front);
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
}

test("falls back to the local graphs while Triton is down", async () => {
  const client = open({ local: local() });
  const registry = new Registry();
  instrument(client, registry);
  const switches: string[] = [];
  client.events.on("switch", ({ from, to }) => switches.push(`${from}>${to}`));
  await client.warmUp();
  const before = await client.embed(photo);
  assert.equal(before.source, "triton");

  server.signal("SIGKILL");
  const answers = await client.analyzeMany(Array(20).fill(photo), { concurrency: 20 });
  assert.ok(answers.every((answer) => "source" in answer && answer.source === "local"));
  assert.equal(client.mode, "local");
  const during = await client.embed(photo);
  assert.deepEqual(during.models, before.models);
  assert.ok(Comparison.between(before, during).similarity > 0.999);
  const health = await client.health();
  assert.equal(health.ok, false);
  assert.equal(health.mode, "local");
  assert.equal(health.endpoints[0]!.live, false);
  assert.notEqual(health.endpoints[0]!.breaker, "closed");
  assert.equal(health.local!.ready, true);

  await server.restart();
  await until(() => client.mode === "triton");
  assert.equal((await client.analyze(photo)).source, "triton");
  assert.deepEqual(switches, ["triton>local", "local>triton"]);
  assert.deepEqual(client.counters.switches, { "triton>local": 1, "local>triton": 1 });
  assert.equal(client.counters.answers.local, 21);
  const metrics = await registry.metrics();
  assert.match(metrics, /aurum_face_switches_total\{from="triton",to="local"\} 1/);
  assert.match(metrics, /aurum_face_answer_seconds_count\{source="local".*analyze_faces"\} 20/);
  assert.match(metrics, /aurum_face_mode\{source="triton"\} 1/);
});

test("a server that hangs costs its share of the time, then calls skip it", async () => {
  const client = open({ local: local(), timeoutMs: 3000 });
  await client.warmUp();
  server.signal("SIGSTOP");
  try {
    assert.equal((await client.analyze(photo)).source, "local");
    await until(() => client.mode === "local");
    await client.analyze(photo);
    assert.equal(client.counters.answers.local, 2);
  } finally {
    server.signal("SIGCONT");
    await server.replace();
  }
  await until(() => client.mode === "triton");
});

test("a frozen server that dies is replaced, so that it doesn't affect other tests", async () => {
  server.signal("SIGSTOP");
  server.signal("SIGKILL"); // like the lock_exception that kills some when they resume
  await server.replace();
  assert.equal((await open({}).analyze(photo)).source, "triton");
});

test("calls go to the next server if one is down", async () => {
  const client = open({ urls: [await nobody(), server.facts.url] });
  const answers = await client.analyzeMany(Array(8).fill(photo));
  assert.ok(answers.every((answer) => "source" in answer && answer.source === "triton"));
  const { ok, endpoints } = await client.health();
  assert.deepEqual([ok, endpoints[0]!.live, endpoints[1]!.live], [true, false, true]);
  assert.equal((await client.models()).length, 5);
});

test("errors of the request go to the caller, and don't open the breaker", async () => {
  const client = open({ local: local(), simulated: {} });
  for (let i = 0; i < 10; i++) {
    await assert.rejects(client.detect(Buffer.from("no image")), InvalidImageError);
    await assert.rejects(client.detect(photo, { maxFaces: -1 }), InvalidRequestError);
    await assert.rejects(client.embed(GRAY_PNG), NoFaceError);
    await assert.rejects(client.embed(photo, { minQuality: 1 }), LowQualityError);
    await assert.rejects(client.embed(photo, { signal: AbortSignal.abort() }));
  }
  assert.equal(client.mode, "triton");
  assert.deepEqual(client.counters.fallbacks, {});
});

test("the local fallback assesses and refuses faces like the service", async () => {
  const client = open({ urls: await nobody(), local: local() });
  const served = open({});
  await client.warmUp();
  const comparison = await client.compare(photo, photo);
  assert.equal(comparison.a.source, "local");
  assert.equal(comparison.gated, !server.facts.simulated);
  assert.equal(comparison.decision, (await served.compare(photo, photo)).decision);
  assert.equal((await client.analyze(photo, { minQuality: 0.01 })).length, 1);
  const none = await client.analyze(photo, { minQuality: 1 });
  assert.deepEqual([none.source, none.length, none.gate], ["local", 0, null]);
  const words = (asked: FaceClient) =>
    asked.embed(photo, { minQuality: 1 }).catch((error) => {
      assert.ok(error instanceof LowQualityError, String(error));
      return [error.code, error.message];
    });
  assert.deepEqual(await words(client), await words(served));
  for (const wrong of [{ minQuality: 2 }, { minQuality: -0.1 }]) {
    await assert.rejects(client.analyze(photo, wrong), { code: "invalid_parameter" });
  }
  const detect = { minQuality: 0.5 } as object;
  await assert.rejects(client.detect(photo, detect), /detect_faces returns no quality/);
});

test("made-up faces have no quality, and calls with minQuality get none", async () => {
  const client = open({ urls: await nobody(), simulated: {} });
  const embedding = await client.embed(photo);
  assert.deepEqual([embedding.quality, embedding.recognizable], [null, null]);
  const analysis = await client.analyze(photo, { minQuality: 0 });
  assert.deepEqual([analysis.gate, analysis.qualityCalibrated], [null, false]);
  const { gated, decision } = await client.compare(photo, photo);
  assert.deepEqual([gated, decision], [false, "uncalibrated"]);
  const asks = [
    client.analyze(photo, { minQuality: 0.1 }),
    client.embed(photo, { minQuality: 0.1 }),
    client.compare(photo, photo, { minQuality: 0.1 }),
  ];
  for (const asked of asks) {
    await assert.rejects(asked, /then simulated: made-up faces have no quality/);
  }
  const detect = { minQuality: 0.5 } as object;
  await assert.rejects(client.detect(photo, detect), /detect_faces returns no quality/);
});

test("a HEIC that the local fallback can't decode is not the photo's fault", async () => {
  const client = open({ urls: await nobody(), local: local(), simulated: {} });
  await client.warmUp();
  const lossy = heic();
  const fellBack = new Promise<Error>((resolve) =>
    client.events.on("fallback", ({ from, error }) => from === "local" && resolve(error)),
  );
  const { source, imageSize } = await client.detect(lossy);
  assert.deepEqual([source, ...imageSize], ["simulated", 192, 128]);
  assert.match((await fellBack).message, /HEIC photos can't be decoded here/);
  assert.equal(client.mode, "local"); // other photos are answered there
});

test("a single failure uses the fallback once, without a switch", async () => {
  let fail = true;
  const url = await proxy((path) => fail && path.includes("analyze"));
  const client = open({ urls: url, local: local() });
  await client.warmUp();
  assert.equal((await client.analyze(photo)).source, "local");
  fail = false;
  await new Promise((resolve) => setTimeout(resolve, 300)); // the probe passes meanwhile
  assert.equal((await client.analyze(photo)).source, "triton");
  assert.deepEqual(client.counters.fallbacks, { "triton>local": 1 });
  assert.deepEqual(client.counters.switches, {});
});

test("rate-limited calls wait, and don't fall back to made-up answers", async () => {
  let refused = 0;
  const url = await proxy((path) => path.includes("analyze") && refused++ < 12, 429);
  const client = open({ urls: url, retries: 0, simulated: {} });
  const answers = await client.analyzeMany(Array(8).fill(photo));
  assert.ok(answers.every((answer) => "source" in answer && answer.source === "triton"));
  assert.ok(refused > 12);
  assert.equal((await client.health()).endpoints[0]!.breaker, "closed");
  assert.deepEqual(client.counters.switches, {});
  const hurried = open({ urls: await proxy(() => true, 429), timeoutMs: 300 });
  await assert.rejects(hurried.analyze(photo), isRateLimited);
});

const isRateLimited = (error: unknown) => error instanceof UnavailableError && error.status === 429;

test("a timeout in a later attempt doesn't hide the server's first error", async () => {
  const once = (status: number) => {
    let calls = 0;
    return front(() => (calls++ === 0 ? status : null));
  };
  const tooFast = open({ urls: await once(429), timeoutMs: 300 });
  await assert.rejects(tooFast.analyze(photo), isRateLimited);
  const hangs = open({ urls: await once(503), timeoutMs: 300 });
  await assert.rejects(hangs.analyze(photo), (error) => {
    assert.ok(error instanceof RequestTimeoutError);
    assert.equal(error.message, "no answer within 300 ms");
    return (error.cause as UnavailableError).status === 503;
  });
});

test("simulated answers are opt-in, and marked", async () => {
  const urls = await nobody();
  await assert.rejects(open({ urls, retries: 0 }).analyze(photo));
  const client = open({ urls, simulated: { maxConfidence: 0.4 } });
  const call = { requestId: "same" };
  const [one, two] = [await client.analyze(photo, call), await client.analyze(photo, call)];
  assert.equal(one.source, "simulated");
  assert.deepEqual([...one.rotations, one.complete], [0, true]);
  assert.equal(one.simulated, true);
  assert.deepEqual(JSON.stringify(one), JSON.stringify(two));
  assert.equal(one.length, 1);
  assert.ok(one.scores[0]! <= 0.4);
  assert.deepEqual(one.imageSize, [512, 512]);
  const text = Buffer.from(photo.toString("base64"));
  assert.deepEqual((await client.detect(text)).imageSize, [512, 512]);
  assert.ok(Math.abs(Math.hypot(...one.embeddings) - 1) < 1e-5);
  const { x, y, width, height } = one.faces[0]!.bbox;
  assert.ok(x >= 0 && y >= 0 && x + width <= 512 && y + height <= 512);
  assert.equal(one.quality, null);
  assert.equal((await client.detect(photo)).models.embedder, null);
  // Made-up faces don't reach the confidence that the caller asks for.
  assert.equal((await client.analyze(photo, { minConfidence: 0.6 })).length, 0);
  await assert.rejects(client.embed(photo, { minConfidence: 0.6 }), NoFaceError);
  await assert.rejects(client.analyze(Buffer.from("no image")), InvalidImageError);
  await assert.rejects(client.analyze(Buffer.from("GIF89a\x01\0\x01\0....")), InvalidImageError);
  await assert.rejects(client.embed(photo, { aligned: true }), { code: "not_aligned" });
  const { face } = await client.embed(GRAY_PNG, { aligned: true });
  assert.equal(face.bbox.width, 112);
  // ArcFace's template: an eye, and the opposite corner of the mouth
  assert.ok(Math.abs(face.landmarks[0]![0] - 38.3) < 0.2, String(face.landmarks));
  assert.ok(Math.abs(face.landmarks[4]![1] - 92.2) < 0.2, String(face.landmarks));
});

test("a simulated embedding can't be compared with a real one", async () => {
  const real = await open({}).embed(photo);
  const made = await open({ urls: await nobody(), simulated: {} }).embed(photo);
  assert.equal(Comparison.between(made, made).match, null);
  if (!server.facts.simulated) {
    assert.throws(() => Comparison.between(real, made), /simulated embedding/);
  }
  assert.throws(() => Comparison.between(made, real), ModelMismatchError);
});

test("without real ML no server is asked", async () => {
  assert.throws(() => new FaceClient({ useRealMl: false }), RangeError);
  const client = open({ useRealMl: false, simulated: {}, local: local() });
  assert.equal(client.mode, "simulated");
  assert.equal((await client.detect(photo)).source, "simulated");
  const health = await client.health();
  assert.deepEqual([health.ok, health.endpoints, health.local], [false, [], null]);
  await assert.rejects(client.models(), RangeError);
});

test("local graphs with another embedding space are not used", async (t) => {
  if (server.facts.simulated) return t.skip("both servers serve the same, simulated models");
  const client = open({ local: { models: simulated.facts.models, threads: 1 } });
  await client.warmUp();
  assert.equal((await client.analyze(photo)).source, "triton");
  server.signal("SIGKILL");
  await assert.rejects(client.embed(photo), (error) => {
    assert.match((error as Error).message, /then local: .*different embedding spaces/);
    return true;
  });
  await server.restart();
});

test("the local fallback refuses photos beyond maxQueue, and no others", async () => {
  const client = open({ urls: await nobody(), local: { ...local(), threads: 1, maxQueue: 2 } });
  await client.warmUp();
  const answers = await client.analyzeMany(Array(12).fill(photo), { concurrency: 12 });
  const refused = answers.filter((answer) => answer instanceof UnavailableError);
  assert.ok(refused.length > 0 && refused.length < 12);
  assert.match(refused[0]!.message, /too many photos wait/);
});

test("a server that passes probes but fails calls gets calls less and less often", async () => {
  const url = await proxy((path) => path.includes("analyze"));
  const client = open({ urls: url, simulated: {} });
  const waits: number[] = [];
  let left = 0;
  client.events.on("switch", ({ to }) => {
    if (to === "simulated") left = performance.now();
    else waits.push(performance.now() - left);
  });
  await until(async () => {
    await client.analyze(photo);
    return waits.length === 3;
  });
  // The first wait is resetTimeoutMs, each further one at least twice the last.
  for (const [index, least] of [200, 400, 800].entries()) {
    assert.ok(waits[index]! >= least - 5, `${waits}`);
  }
});
