/** The queue with a Redis that is full, locked or encrypted, and with invalid jobs; no Triton. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { Redis } from "ioredis";
import { ConnectionFailedError, FaceClient, UnavailableError } from "../src/index.js";
import {
  deadLetters,
  enqueue,
  type FaceQueue,
  type FaceWorker,
  openQueue,
  QUEUE_NAME,
  type QueueOptions,
  startWorker,
} from "../src/worker/index.js";
import { limitedLog } from "../src/worker/log.js";
import { ASTRONAUT, freePort, RedisServer, until } from "./support.js";

const photo = readFileSync(ASTRONAUT).toString("base64");
const bad = (number: number) => ({ image: `missing-${number}.jpg` });
const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, 1000 * count));

const client = new FaceClient({ useRealMl: false, simulated: {} });
const queues: FaceQueue[] = [];
const workers: FaceWorker[] = [];
let redis: RedisServer;

before(async () => {
  redis = await RedisServer.start();
});
after(async () => {
  await client.close();
  await redis?.stop();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()));
  const admin = new Redis(redis.connection);
  await admin.config("SET", "maxmemory", "0");
  await admin.flushall();
  await admin.quit();
  await Promise.all(queues.splice(0).map((queue) => queue.close()));
});

function open(options: Partial<QueueOptions> = {}): FaceQueue {
  const queue = openQueue({ connection: redis.connection, onError() {}, ...options });
  queues.push(queue);
  return queue;
}

function work(options: Partial<QueueOptions> = {}): FaceWorker {
  const connection = redis.connection;
  const worker = startWorker({ client, connection, onError() {}, ...options });
  workers.push(worker);
  return worker;
}

test("a worker backs off while Redis is full, and continues when there is room", async () => {
  const queue = open();
  await enqueue(queue, { image: photo, isBase64: true });
  const admin = new Redis(redis.connection);
  await admin.config("SET", "maxmemory-policy", "noeviction");
  await admin.config("SET", "maxmemory", "1");
  const errors: Error[] = [];
  const worker = work({ onError: (error) => errors.push(error) });
  await until(() => errors.length > 0);
  await seconds(3);
  assert.ok(errors.length < 60, `${errors.length} errors`);
  assert.match(errors[0]!.message, /OOM command not allowed/);
  await assert.rejects(enqueue(queue, bad(0)), /OOM command not allowed/);
  const done = new Promise((resolve) => worker.once("completed", resolve));
  await admin.config("SET", "maxmemory", "0");
  await done;
  await admin.quit();
});

test("the log limits how often it repeats a reason", () => {
  const lines: string[] = [];
  const log = limitedLog((line) => lines.push(line));
  for (let i = 0; i < 10_000; i++) {
    log(new Error("full"));
    log(new Error("away"));
  }
  assert.deepEqual(lines, ["aurum-face-client: Error: full", "aurum-face-client: Error: away"]);
  for (let i = 0; i < 1000; i++) log(new Error("long ".repeat(1000) + i));
  assert.ok(lines.at(-1)!.length < 600);
});

test("enqueue and worker refuse invalid jobs, without repeating the photo", async () => {
  const queue = open();
  const jobs: Record<string, object> = {
    "unknown field 'isbase64'": { image: photo, isbase64: true },
    "at most 4096 are allowed (base64 needs isBase64: true)": { image: photo },
    "isBase64 is neither true nor false": { image: photo, isBase64: "true" },
    "there is no such file": { image: photo.slice(0, 200) },
    "not that of a file": { image: "/dev/zero" },
    "its image is missing": { picture: photo },
    "at most 10000000 are allowed as base64": { image: "A".repeat(14e6), isBase64: true },
    "at most 1000 are allowed (AURUM_MAX_IMAGE_BYTES)": { image: ASTRONAUT },
  };
  const workerOnly = ["no such file", "of a file", "MAX_IMAGE_BYTES"];
  for (const [message, job] of Object.entries(jobs)) {
    if (workerOnly.some((part) => message.includes(part))) continue;
    await assert.rejects(enqueue(queue, job as never), (error: Error) => {
      assert.ok(error.message.includes(message), error.message);
      return (error as { code?: string }).code === "invalid_image";
    });
  }
  for (const job of Object.values(jobs)) await queue.add(QUEUE_NAME, job as never);
  work({ maxImageBytes: 1000, maxBase64Bytes: 10_000_000 });
  await until(async () => (await queue.getFailedCount()) === Object.keys(jobs).length);
  const reasons = (await deadLetters(queue)).map(({ reason }) => reason);
  for (const message of Object.keys(jobs)) {
    if (message.includes("as base64")) continue; // the worker names its smaller limit
    assert.ok(
      reasons.some((reason) => reason.includes(message)),
      `${message}: ${reasons}`,
    );
  }
  for (const reason of reasons) {
    assert.match(reason, /^\[invalid_image\] /);
    assert.ok(reason.length < 300 && !reason.includes(photo.slice(0, 16)), reason);
  }
});

test("job ids that BullMQ can't use are refused, with the rule", async () => {
  const queue = open();
  for (const jobId of ["", "7", "-1", "a:b", "a:b:c", "x".repeat(256), 7 as never]) {
    await assert.rejects(enqueue(queue, bad(0), { jobId }), (error) => {
      assert.ok(error instanceof RangeError);
      assert.match(error.message, /1 to 255 characters without ':', and not a whole number$/);
      return true;
    });
  }
  for (const jobId of ["a", "7a", "0x10", "member 7/photo-1", "x".repeat(255)]) {
    assert.equal((await enqueue(queue, bad(0), { jobId })).id, jobId);
  }
});

test("enqueue rejects with the reason if Redis doesn't accept a job", async () => {
  const locked = await RedisServer.start({ requirepass: "right" });
  const put = (connection: object) => enqueue(open({ connection }), bad(0), { timeoutMs: 1000 });
  for (const [connection, why] of [
    [{ ...locked.connection, password: "wrong" }, /within 1000 ms: WRONGPASS/],
    [locked.connection, /within 1000 ms: NOAUTH/],
    [{ host: "127.0.0.1", port: await freePort() }, /ECONNREFUSED/],
    [{ ...locked.connection, password: "right", tls: {} }, /did not accept the job within 1000 ms/],
  ] as const) {
    await assert.rejects(put(connection), (error) => {
      assert.match((error as Error).message, why);
      return error instanceof ConnectionFailedError;
    });
  }
  await put({ ...locked.connection, password: "right" });
  await Promise.all(queues.splice(0).map((queue) => queue.close()));
  await locked.stop();
});

test("photos go through a Redis with a password and TLS, but not to an untrusted one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "aurum-tls-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", ...curve, ...subject, ...files], { stdio: "ignore" });
  const port = await freePort();
  const server = await RedisServer.start({
    "tls-port": port,
    "tls-cert-file": certificate,
    "tls-key-file": key,
    "tls-auth-clients": "no",
    requirepass: "right",
  });
  const trusted = { ca: readFileSync(certificate) };
  const connection = { host: "127.0.0.1", port, password: "right", tls: trusted };
  const untrusting = open({ connection: { ...connection, tls: {} } });
  await assert.rejects(enqueue(untrusting, bad(0), { timeoutMs: 1000 }), /self-signed certificate/);
  const queue = open({ connection });
  const worker = work({ connection });
  const done = new Promise<{ returnvalue: object }>((resolve) =>
    worker.once("completed", resolve as never),
  );
  await enqueue(queue, { image: photo, isBase64: true });
  assert.equal((await done).returnvalue && (await queue.getCompletedCount()), 1);
  await Promise.all(workers.splice(0).map((one) => one.close()));
  await Promise.all(queues.splice(0).map((one) => one.close()));
  await server.stop();
  rmSync(folder, { recursive: true });
});

test("enqueue rejects beyond maxWaiting", async () => {
  const queue = open({ maxWaiting: 3 });
  for (let i = 0; i < 3; i++) await enqueue(queue, bad(i));
  await assert.rejects(enqueue(queue, bad(3)), (error) => {
    assert.match(
      (error as Error).message,
      /^3 jobs are waiting; at most 3 are allowed \(maxWaiting\)$/,
    );
    return error instanceof UnavailableError;
  });
  work();
  await until(async () => (await queue.getFailedCount()) === 3);
  await enqueue(queue, bad(3));
});

test("dead letters are limited in number and age", async () => {
  const few = open({ deadLetters: { count: 2 } });
  for (let i = 0; i < 5; i++) await enqueue(few, bad(i));
  const worker = work();
  await until(async () => (await few.getWaitingCount()) + (await few.getActiveCount()) === 0);
  assert.equal((await deadLetters(few)).length, 2);
  await worker.close();
  await seconds(1.1);
  work({ deadLetters: { age: 1 } }); // nothing else fails meanwhile
  await until(async () => (await few.getFailedCount()) === 0);
});
