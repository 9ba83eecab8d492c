/** Workers with a real Redis and a real tritonserver, both of which get killed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { FaceClient } from "../src/index.js";
import {
  deadLetters,
  enqueue,
  type FaceQueue,
  type FaceWorker,
  openQueue,
  startWorker,
  type WorkerOptions,
} from "../src/worker/index.js";
import { ASTRONAUT, RedisServer, TritonServer, until, withComment } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const base64 = (bytes: Buffer) => ({ image: bytes.toString("base64"), isBase64: true });

let server: TritonServer;
let redis: RedisServer;
let client: FaceClient;
let queue: FaceQueue;
let workers: FaceWorker[] = [];

before(async () => {
  redis = await RedisServer.start(); // first, so that it is stopped even if the server fails
  server = await TritonServer.start();
  client = new FaceClient({ urls: server.facts.url, breaker: { resetTimeoutMs: 200 } });
  queue = openQueue({ connection: redis.connection });
  queue.on("error", () => {}); // Redis is killed below, which causes errors
});
after(async () => {
  await queue?.close();
  await client?.close();
  await Promise.all([server?.stop(), redis?.stop()]);
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  workers = [];
  await queue.obliterate({ force: true });
});

function work(options: Partial<WorkerOptions> = {}): FaceWorker {
  const worker = startWorker({ client, connection: redis.connection, onError() {}, ...options });
  workers.push(worker);
  return worker;
}

test("a job's result has the fields of FaceScore", async () => {
  work();
  const job = await enqueue(queue, base64(photo));
  await until(async () => job.isCompleted());
  const { returnvalue: score } = (await queue.getJob(job.id!))!;
  const direct = await client.analyze(photo, { maxFaces: 1 });
  assert.equal(score.embedding.length, 512);
  assert.deepEqual(score.embedding, Array.from(direct.embeddings));
  assert.equal(score.confidence, direct.scores[0]);
  assert.deepEqual(score.detectionData.bbox, direct.faces[0]!.bbox);
  assert.deepEqual(score.detectionData.landmarks, direct.faces[0]!.landmarks);
  assert.deepEqual(score.detectionData.imageSize, [512, 512]);
  assert.equal(score.detectionData.detector, direct.models.detector);
  assert.equal(score.model, direct.models.embedder);
  assert.equal(score.source, "triton");
  assert.match(score.faceId, /^[0-9a-f]{32}$/);
  const parts = direct.faces[0]!.qualityParts;
  for (const name of ["frontality", "symmetry", "resolution"] as const) {
    assert.equal(score[name], parts?.[name] ?? null);
  }
  assert.equal(score.quality, direct.faces[0]!.quality);
  assert.equal(score.qualityCalibrated, direct.qualityCalibrated);
  assert.equal(score.recognizable, direct.faces[0]!.recognizable);
  assert.equal(score.defect, direct.faces[0]!.defect);
});

test("a job's id is that of its request, in the characters that the gateway takes", async () => {
  work();
  const ids: string[] = [];
  const note = ({ requestId }: { requestId: string }) => ids.push(requestId);
  client.events.on("answer", note);
  const odd = await enqueue(queue, base64(photo), { jobId: "photo 1/ä" });
  await until(async () => odd.isCompleted());
  const hashed = await enqueue(queue, base64(withComment(photo, "id")));
  await until(async () => hashed.isCompleted());
  client.events.off("answer", note);
  assert.deepEqual(ids, ["job-photo_1__", `job-${hashed.id}`.slice(0, 64)]);
});

test("the same photo has one faceId, as any base64 or as a path", async () => {
  work({ imageFolder: dirname(ASTRONAUT) });
  const dataUrl = `DATA:;base64,${photo.toString("base64")}`;
  const lines = photo.toString("base64url").replace(/.{76}/g, "$&\r\n");
  const jobs = await Promise.all([
    enqueue(queue, base64(photo)),
    enqueue(queue, base64(photo)),
    enqueue(queue, { image: dataUrl, isBase64: true }),
    enqueue(queue, { image: lines, isBase64: true }),
    enqueue(queue, { image: "astronaut.jpg" }),
  ]);
  assert.equal(jobs[0].id, jobs[1].id);
  await until(async () => (await queue.getCompletedCount()) === 4);
  const done = await queue.getCompleted();
  assert.equal(new Set(done.map((job) => job.returnvalue.faceId)).size, 1);
});

test("a photo that can't be scored fails at once, with the reason", async () => {
  work({ imageFolder: dirname(ASTRONAUT) });
  const bad = {
    "not an image": base64(Buffer.from("no image at all")),
    truncated: base64(photo.subarray(0, 10_000)),
    "damaged base64": { image: "%%%", isBase64: true },
    "outside the workers' folder": { image: "../settings.py" },
    "cannot read": { image: "missing.jpg" },
  };
  const ids = new Map<string, string>();
  for (const [reason, data] of Object.entries(bad)) {
    ids.set((await enqueue(queue, data)).id!, reason);
  }
  await until(async () => (await queue.getFailedCount()) === ids.size);
  for (const letter of await deadLetters(queue)) {
    assert.match(letter.reason, /^\[invalid_image\] /);
    assert.ok(letter.reason.includes(ids.get(letter.jobId)!), letter.reason);
    assert.equal(letter.attempts, 1);
    assert.ok(letter.failedAt instanceof Date);
  }
});

test("adding a dead letter again retries it", async () => {
  const worker = work();
  const job = await enqueue(queue, { image: "missing.jpg" }, { jobId: "again" });
  await until(() => job.isFailed());
  await worker.close();
  await enqueue(queue, { image: "missing.jpg" }, { jobId: "again" });
  assert.equal(await job.isFailed(), false);
  assert.equal(await queue.getWaitingCount(), 1);
});

test("while Triton is down jobs wait, and no attempt is counted", async () => {
  work({ concurrency: 4 });
  server.signal("SIGKILL");
  const jobs = await Promise.all(
    Array.from({ length: 10 }, (_, i) => enqueue(queue, base64(withComment(photo, `down ${i}`)))),
  );
  await until(async () => (await queue.getDelayedCount()) > 0);
  await server.restart();
  await until(async () => (await queue.getCompletedCount()) === jobs.length);
  assert.equal(await queue.getFailedCount(), 0);
  for (const job of await queue.getCompleted()) assert.ok(job.attemptsMade <= 1);
});

test("jobs that Redis accepted survive kill -9, and the worker continues", async () => {
  work({ concurrency: 2 });
  const accepted = await Promise.all(
    Array.from({ length: 20 }, (_, i) => enqueue(queue, base64(withComment(photo, `redis ${i}`)))),
  );
  await until(async () => (await queue.getCompletedCount()) > 2);
  await redis.kill();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await redis.start();
  await until(async () => (await queue.getCompletedCount()) === accepted.length);
  assert.equal(await queue.getFailedCount(), 0);
});
