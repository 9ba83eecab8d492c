/** analyzeEach: images from any iterable, results as they come, bounded in flight. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import {
  Analysis,
  type AnalyzedImage,
  ClientClosedError,
  FaceClient,
  type Image,
  InvalidImageError,
} from "../src/index.js";
import { inParallel } from "../src/many.js";
import { GRAY_PNG } from "../src/probe.js";
import { answer, closeServers, serve } from "./answers.js";
import { ASTRONAUT, TritonServer, until } from "./support.js";

const photo = readFileSync(ASTRONAUT);
let server: TritonServer;
let client: FaceClient;

before(async () => {
  server = await TritonServer.start();
  client = new FaceClient({ urls: server.facts.url });
});
after(async () => {
  await client?.close();
  await server?.stop();
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const facesOf = (results: AnalyzedImage[]) =>
  results
    .sort((a, b) => a.index - b.index)
    .map(({ analysis, error }) => analysis?.length ?? error!.name);

test("images come from lists, generators and streams; a failed one doesn't affect others", async () => {
  const images = [photo, GRAY_PNG, Buffer.from("no"), ASTRONAUT, "missing.jpg"];
  const want = [1, 0, "InvalidImageError", 1, "InvalidImageError"];
  async function* generated() {
    yield* images;
  }
  for (const source of [images, new Set(images), generated(), Readable.from(images)]) {
    const results = await collect(client.analyzeEach(source, { concurrency: 2 }));
    assert.deepEqual(facesOf(results), want);
    assert.deepEqual(
      results.map(({ image }) => image),
      images,
    );
  }
  assert.deepEqual(await collect(client.analyzeEach([])), []);
});

test("analyzeMany takes them, too, and counts those read so far", async () => {
  async function* generated() {
    yield photo;
    yield GRAY_PNG;
  }
  const seen: number[] = [];
  const answers = await client.analyzeMany(generated(), {
    concurrency: 1,
    progress: (...counts) => seen.push(...counts),
  });
  assert.deepEqual(
    answers.map((answer) => (answer as Analysis).length),
    [1, 0],
  );
  assert.deepEqual(seen, [1, 1, 2, 2]);
});

test("results come as they are ready, even while the source waits for the next image", async () => {
  let taken = () => {};
  const wait = new Promise<void>((resolve) => {
    taken = resolve;
  });
  async function* images() {
    yield photo;
    await wait; // until the first result was taken
    yield photo;
  }
  const seen: number[] = [];
  for await (const { index, analysis } of client.analyzeEach(images(), { concurrency: 4 })) {
    assert.ok(analysis instanceof Analysis);
    seen.push(index);
    taken();
  }
  assert.deepEqual(seen, [0, 1]);
});

test("a slow consumer slows down the source", async () => {
  let read = 0;
  function* images(): Generator<Image> {
    for (;;) {
      read++;
      yield GRAY_PNG;
    }
  }
  let taken = 0;
  for await (const { error } of client.analyzeEach(images(), { concurrency: 3 })) {
    assert.equal(error, null);
    await new Promise((resolve) => setTimeout(resolve, 20)); // long enough to read ahead
    assert.ok(read <= taken + 3, `${read} read, ${taken} taken`);
    if (++taken === 10) break;
  }
  const last = read;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(read, last); // leaving the loop ends it
});

test("at most `concurrency` calls are in work", async () => {
  let working = 0;
  let most = 0;
  const work = async (item: number) => {
    most = Math.max(most, ++working);
    await new Promise((resolve) => setImmediate(resolve));
    working--;
    return item;
  };
  const answers = await collect(inParallel(Array(50).keys(), 4, work));
  assert.deepEqual([answers.length, most], [50, 4]);
});

test("leaving the loop aborts the calls in work and closes the source", async () => {
  let closed = false;
  async function* images() {
    try {
      for (;;) yield photo;
    } finally {
      closed = true;
    }
  }
  let requests = 0;
  let left = 0;
  const { header, body } = answer(1);
  const url = await serve((request, response) => {
    request.resume(); // a connection with unread data isn't seen to close
    if (requests++ === 7) {
      response.setHeader("inference-header-content-length", header.length).end(body);
    } else response.once("close", () => left++); // never answered
  });
  const own = new FaceClient({ urls: url });
  for await (const { analysis } of own.analyzeEach(images(), { concurrency: 8 })) {
    assert.ok(analysis);
    break;
  }
  assert.equal(closed, true);
  await until(() => left === 7);
  await own.close();
  closeServers();
});

test("it ends with the error of its source, of a signal, of an option, or of a closed client", async () => {
  const broken = new Error("the disk is gone");
  async function* images() {
    yield photo;
    throw broken;
  }
  const is = (reason: unknown) => (error: unknown) => error === reason;
  await assert.rejects(collect(client.analyzeEach(images())), is(broken));
  const controller = new AbortController();
  const reason = new Error("enough");
  const endless = (function* () {
    for (;;) yield photo;
  })();
  const stopped = (async () => {
    for await (const _ of client.analyzeEach(endless, { signal: controller.signal })) {
      controller.abort(reason);
    }
  })();
  await assert.rejects(stopped, is(reason));
  for (const options of [{ concurrency: 0 }, { minConfidense: 1 }, { requestId: "a b" }]) {
    await assert.rejects(collect(client.analyzeEach([], options as object)), RangeError);
  }
  const closing = new FaceClient({ urls: server.facts.url });
  const ended = (async () => {
    for await (const _ of closing.analyzeEach(Array(1000).fill(photo))) await closing.close();
  })();
  await assert.rejects(ended, ClientClosedError);
  await assert.rejects(collect(closing.analyzeEach([photo])), ClientClosedError);
  assert.ok((await client.analyzeMany(["none.jpg"]))[0] instanceof InvalidImageError);
});
