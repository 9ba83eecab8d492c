/** Request ids, raw responses, and the headers, retries and events of single calls. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { after, afterEach, before, test } from "node:test";
import { Registry } from "prom-client";
import {
  type Analysis,
  AurumError,
  ConnectionFailedError,
  InvalidImageError,
  NoFaceError,
  RequestTimeoutError,
  UnavailableError,
} from "../src/index.js";
import { instrument } from "../src/metrics.js";
import { GRAY_PNG } from "../src/probe.js";
import { answer, closeServers, serve } from "./answers.js";
import { ASTRONAUT, closeClients, freePort, TritonServer } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
let server: TritonServer;

before(async () => {
  server = await TritonServer.start();
});
after(() => server?.stop());
afterEach(async () => {
  await closeClients();
  closeServers();
});

/** A server that fails its first `failures` inferences and answers the later ones. */
async function failing(
  failures: number,
  status = 503,
  headers: Record<string, string> = {},
): Promise<{ url: string; seen: () => number }> {
  let seen = 0;
  const { header, body } = answer(1);
  const url = await serve((_, response) => {
    if (seen++ < failures)
      response.writeHead(status, headers).end('{"error":"[some_code] not now"}');
    else response.setHeader("inference-header-content-length", header.length).end(body);
  });
  return { url, seen: () => seen };
}

const errorOf = (call: Promise<unknown>): Promise<AurumError> =>
  call.then(
    () => assert.fail("answered"),
    (error) => {
      assert.ok(error instanceof AurumError, String(error));
      return error;
    },
  );

test("every result and every error has a request id: the caller's, or a new one", async () => {
  const client = server.open();
  const [one, two] = [await client.analyze(photo), await client.detect(photo)];
  assert.match(one.requestId!, UUID);
  assert.notEqual(one.requestId, two.requestId);
  assert.equal(JSON.parse(JSON.stringify(one)).requestId, one.requestId);
  assert.equal((await client.embed(photo, { requestId: "order-17" })).requestId, "order-17");
  const header = { headers: { "X-Request-Id": "from-a-header" } };
  assert.equal((await client.detect(photo, header)).requestId, "from-a-header");
  const { a, b } = await client.compare(photo, photo, { requestId: "pair" });
  assert.deepEqual([a.requestId, b.requestId], ["pair-0", "pair-1"]);
  const many = await client.analyzeMany([photo, "missing.jpg"], { requestId: "many" });
  assert.deepEqual(
    many.map(({ requestId }) => requestId),
    ["many-0", "many-1"],
  );
  assert.match((await errorOf(client.embed(GRAY_PNG))).requestId!, UUID);
  const late = await errorOf(client.detect(photo, { timeoutMs: 0.5, requestId: "late" }));
  assert.ok(late instanceof RequestTimeoutError);
  assert.equal(late.requestId, "late");
  for (const requestId of ["", "two words", "é", "x".repeat(129), 7 as never]) {
    await assert.rejects(client.detect(photo, { requestId }), /^RangeError: requestId=.*1 to 128/);
  }
});

test("the id goes to the server as a header and in the body; a gateway's answer may change it", async () => {
  const seen: unknown[] = [];
  const { header, body } = answer(1);
  const listener: RequestListener = async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const length = Number(request.headers["inference-header-content-length"]);
    const { id } = JSON.parse(Buffer.concat(chunks).toString("utf8", 0, length));
    seen.push(request.headers["x-request-id"], id);
    response.setHeader("x-request-id", "the-gateways");
    if (request.url!.includes("embed")) response.writeHead(500).end();
    else response.setHeader("inference-header-content-length", header.length).end(body);
  };
  const client = server.open({ urls: await serve(listener), retries: 0 });
  assert.equal((await client.detect(photo, { requestId: "mine" })).requestId, "the-gateways");
  assert.deepEqual(seen, ["mine", "mine"]);
  assert.equal((await errorOf(client.embed(photo))).requestId, "the-gateways");
});

test("results and errors have the server's response", async () => {
  const client = server.open();
  const found = await client.analyze(photo);
  assert.deepEqual([found.response!.url, found.response!.status], [server.facts.url, 200]);
  assert.equal(found.response!.headers["content-type"], "application/octet-stream");
  assert.equal("response" in JSON.parse(JSON.stringify(found)), false);
  const { response, status, code } = await errorOf(client.embed(GRAY_PNG));
  assert.deepEqual([response!.status, status, code], [400, 400, "no_face"]);
  assert.ok(Number(response!.headers["content-length"]) > 0);
  const nobody = server.open({
    urls: `http://127.0.0.1:${await freePort()}`,
    retries: 0,
    simulated: {},
  });
  assert.equal((await nobody.detect(photo, { requestId: "made-up" })).response, null);
  assert.equal((await nobody.detect(photo, { requestId: "made-up" })).requestId, "made-up");
  const limited = await serve((_, response) => {
    response.writeHead(429, { "retry-after": "7" }).end("slowly");
  });
  const refused = await errorOf(server.open({ urls: limited, timeoutMs: 300 }).detect(photo));
  assert.equal(refused.response!.headers["retry-after"], "7");
});

test("a call's headers are sent with its requests only, and replace the client's", async () => {
  const seen: unknown[] = [];
  const { header, body } = answer(1);
  const url = await serve((request, response) => {
    seen.push([request.headers.authorization, request.headers["x-tenant"]]);
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
  const client = server.open({ urls: url, headers: { Authorization: "Bearer ours" } });
  await client.detect(photo, { headers: { authorization: "Bearer theirs", "X-Tenant": "7" } });
  await client.detect(photo);
  assert.deepEqual(seen, [
    ["Bearer theirs", "7"],
    ["Bearer ours", undefined],
  ]);
  for (const [headers, message] of [
    [{ "Content-Length": "5" }, /the client sets 'Content-Length' itself/],
    [{ "bad name": "x" }, /'bad name' has an invalid name or value/],
    [{ authorization: "Bearer secret\nx" }, /'authorization' has an invalid name or value/],
    [{ authorization: undefined as never }, /'authorization' has an invalid name or value/],
    [new Headers({ a: "b" }) as never, /must be an object of names and values/],
  ] as const) {
    const matches = (error: Error) =>
      error instanceof RangeError && message.test(error.message) && !/secret/.test(error.message);
    await assert.rejects(client.detect(photo, { headers }), matches);
    assert.throws(() => server.open({ headers }), matches);
  }
  assert.equal(seen.length, 2);
  const none = { headers: null as never };
  await assert.rejects(client.compare(photo, photo, none), RangeError);
  await assert.rejects(client.analyzeMany([], none), RangeError);
});

test("a call's retries replace the client's", async () => {
  const flaky = await failing(3);
  const client = server.open({ urls: flaky.url, retries: 0 });
  assert.equal((await client.detect(photo, { retries: 3 })).length, 1);
  assert.equal(flaky.seen(), 4);
  const down = await failing(Number.POSITIVE_INFINITY);
  const patient = server.open({ urls: down.url, retries: 5, simulated: {} });
  const { source } = await patient.detect(photo, { retries: 0 });
  assert.deepEqual([source, patient.counters.retries], ["simulated", {}]);
  for (const retries of [-1, 0.5, "2" as never]) {
    await assert.rejects(client.detect(photo, { retries }), RangeError);
  }
});

test("a hook sees each retry: why, where, and after which pause", async () => {
  const flaky = await failing(2);
  const client = server.open({ urls: flaky.url });
  const seen: unknown[] = [];
  client.events.on("retry", ({ delayMs, error, ...retry }) => {
    assert.ok(error instanceof UnavailableError && delayMs >= 0);
    seen.push(retry);
  });
  await client.detect(photo, { requestId: "r" });
  const retry = { pipeline: "detect_faces", requestId: "r", url: flaky.url };
  assert.deepEqual(seen, [
    { ...retry, attempt: 2 },
    { ...retry, attempt: 3 },
  ]);
  assert.deepEqual(client.counters.retries, { UnavailableError: 2 });
});

test("a request to the next server is a retry without a pause", async () => {
  const dead = `http://127.0.0.1:${await freePort()}`;
  const client = server.open({ urls: [dead, server.facts.url] });
  const seen: unknown[] = [];
  client.events.on("retry", ({ attempt, url, delayMs, error }) => {
    seen.push([attempt, url, delayMs, error instanceof ConnectionFailedError]);
  });
  assert.equal((await client.analyze(photo)).response!.url, server.facts.url);
  assert.deepEqual(seen, [[2, server.facts.url, 0, true]]);
});

for (const status of [429, 503]) {
  test(`a ${status} is retried no sooner than its Retry-After asks for`, async () => {
    const flaky = await failing(1, status, { "retry-after": "1" });
    const client = server.open({ urls: flaky.url });
    const delays: number[] = [];
    client.events.on("retry", ({ delayMs }) => delays.push(delayMs));
    assert.equal((await client.detect(photo)).length, 1);
    assert.equal(delays.length, 1);
    assert.ok(delays[0]! > 900, `${delays}`); // without it, the first pause is below 100 ms
  });

  test(`a ${status} that asks for more time than the call has is the call's error`, async () => {
    const down = await failing(Number.POSITIVE_INFINITY, status, { "retry-after": "3600" });
    const error = await errorOf(server.open({ urls: down.url }).detect(photo));
    assert.deepEqual([error.status, error.retryAfterMs, down.seen()], [status, 3_600_000, 1]);
  });
}

test("while one server wants no attempt, the others are retried", async () => {
  const resting = await failing(Number.POSITIVE_INFINITY, 503, { "retry-after": "3600" });
  const flaky = await failing(2);
  const client = server.open({ urls: [resting.url, flaky.url] });
  assert.equal((await client.detect(photo)).response!.url, flaky.url);
  assert.deepEqual([resting.seen(), flaky.seen()], [1, 3]);
});

test("Retry-After is seconds or a date", () => {
  const wait = (value?: string) => {
    const headers: Record<string, string> = value === undefined ? {} : { "retry-after": value };
    const response = { url: "http://127.0.0.1:8000", status: 503, headers };
    return new UnavailableError("x", { response }).retryAfterMs;
  };
  assert.deepEqual(["0", "3"].map(wait), [0, 3000]);
  for (const none of [undefined, "", "soon", "-1", "1.5", "nan", "soon GMT", "9".repeat(5000)]) {
    assert.equal(wait(none), null, none);
  }
  assert.equal(wait(new Date(0).toUTCString()), 0); // is over
  const soon = wait(new Date(Date.now() + 1_000_000).toUTCString())!;
  assert.ok(soon > 0 && soon <= 1_000_000, `${soon}`);
  assert.equal(new UnavailableError("x").retryAfterMs, null);
});

test("failures are counted by class, in counters and metrics, and a hook sees each", async () => {
  const client = server.open();
  const registry = new Registry();
  instrument(client, registry);
  const seen: [string, string, string | null][] = [];
  client.events.on("failure", ({ pipeline, error, requestId }) => {
    seen.push([pipeline, error.name, error.requestId]);
    assert.equal(error.requestId, requestId);
  });
  await assert.rejects(client.embed(GRAY_PNG, { requestId: "a" }), NoFaceError);
  await assert.rejects(client.detect("missing.jpg", { requestId: "b" }), InvalidImageError);
  await assert.rejects(client.detect(Buffer.from("no"), { requestId: "c" }), InvalidImageError);
  await assert.rejects(client.detect(photo, { signal: AbortSignal.abort() })); // no failure
  const pair = client.compare(photo, GRAY_PNG, { requestId: "d" });
  await assert.rejects(
    pair,
    (error: Error) => error.message.split("image of compare").length === 2,
  );
  assert.equal(((await client.analyze(photo)) as Analysis).length, 1);
  assert.deepEqual(seen, [
    ["embed_face", "NoFaceError", "a"],
    ["detect_faces", "InvalidImageError", "b"],
    ["detect_faces", "InvalidImageError", "c"],
    ["embed_face", "NoFaceError", "d-1"], // once, although it ended the other call as well
  ]);
  assert.deepEqual(client.counters.failures, { NoFaceError: 2, InvalidImageError: 2 });
  const metrics = await registry.metrics();
  const line = 'aurum_face_failures_total{error="InvalidImageError",pipeline="detect_faces"} 2';
  assert.ok(metrics.includes(line), metrics);
});
