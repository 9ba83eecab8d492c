/** Queue jobs while tritonserver is killed twice and the worker once: each has one result. */

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { QueueEvents } from "bullmq";
import { enqueue, openQueue, QUEUE_NAME } from "../src/worker/index.js";
import { ASTRONAUT, RedisServer, TritonServer, until, withComment } from "../test/support.js";

export interface JobsReport {
  jobs: number;
  results: number;
  /** Jobs that were reported complete more than once. */
  twice: number;
  failed: number;
  faceIds: number;
  /** Results by source. */
  sources: Record<string, number>;
  /** Jobs that the second worker took over from the killed one. */
  takenOver: number;
  seconds: number;
}

/** @param local whether the workers have the local fallback while tritonserver is down */
export async function jobsUnderKills(jobs: number, local: boolean): Promise<JobsReport> {
  const [server, redis] = await Promise.all([TritonServer.start(), RedisServer.start()]);
  const startWorker = () => spawnWorker(server, redis, local);
  let worker = startWorker();
  const queue = openQueue({ connection: redis.connection });
  const events = new QueueEvents(QUEUE_NAME, { connection: redis.connection });
  await events.waitUntilReady();
  const completions = new Map<string, number>();
  let stalled = 0;
  events.on("completed", ({ jobId }) => {
    completions.set(jobId, (completions.get(jobId) ?? 0) + 1);
  });
  events.on("stalled", () => {
    stalled++;
  });
  const photo = readFileSync(ASTRONAUT);
  const start = performance.now();
  for (let i = 0; i < jobs; i++) {
    const image = withComment(photo, `job ${i}`).toString("base64");
    await enqueue(queue, { image, isBase64: true });
  }
  const done = (share: number) => () => completions.size >= jobs * share;
  await until(done(0.2), 300);
  server.signal("SIGKILL");
  await server.restart();
  await until(done(0.4), 300);
  server.signal("SIGKILL");
  await server.restart();
  await until(done(0.6), 300);
  worker.kill("SIGKILL");
  worker = startWorker();
  await until(
    async () => (await queue.getCompletedCount()) + (await queue.getFailedCount()) >= jobs,
    300,
  );
  const seconds = (performance.now() - start) / 1000;
  const finished = await queue.getCompleted(0, -1);
  const failed = await queue.getFailedCount();
  const sources: Record<string, number> = {};
  for (const { returnvalue } of finished) {
    sources[returnvalue.source] = (sources[returnvalue.source] ?? 0) + 1;
  }
  await until(() => completions.size >= finished.length);
  await ended(worker);
  await events.close();
  await queue.close();
  await Promise.all([server.stop(), redis.stop()]);
  return {
    jobs,
    results: finished.length,
    twice: [...completions.values()].filter((count) => count > 1).length,
    failed,
    faceIds: new Set(finished.map(({ returnvalue }) => returnvalue.faceId)).size,
    sources,
    takenOver: stalled,
    seconds,
  };
}

function spawnWorker(server: TritonServer, redis: RedisServer, local: boolean): ChildProcess {
  return spawn(process.execPath, [join(__dirname, "..", "example", "worker.js")], {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...process.env,
      AURUM_TRITON_URL: server.facts.url,
      AURUM_LOCAL_MODELS: local ? server.facts.models : "",
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    },
  });
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exit;
}
