/** Who works on the queue: each job to the client's ladder, each failure to its verdict. */

import { DelayedError, type Job, UnrecoverableError, Worker } from "bullmq";
import type { FaceClient } from "../client.js";
import {
  ClientClosedError,
  ConnectionFailedError,
  InvalidRequestError,
  UnavailableError,
} from "../errors.js";
import { backOff } from "./backoff.js";
import type { FaceJob } from "./job.js";
import { limitedLog } from "./log.js";
import { limitsOf, openQueue, QUEUE_NAME, type QueueOptions, sweep } from "./queue.js";
import { type FaceScore, scoreFace } from "./score.js";

export type FaceWorker = Worker<FaceJob, FaceScore>;

/** Postponed while no rung of the ladder can answer: at most this long, in milliseconds. */
const LONGEST_WAIT_MS = 5_000;
const SWEEP_MS = 3_600_000;

export interface WorkerOptions extends QueueOptions {
  /** Its ladder answers; it stays the caller's to close, after the worker. */
  client: FaceClient;
  /** Photos at a time. Default: 8. */
  concurrency?: number | undefined;
  /** Where paths of jobs begin, and which they may not leave. Default: any path. */
  imageFolder?: string | undefined;
}

/** Work on the queue until `close()`, which finishes what is under way. */
export function startWorker(options: WorkerOptions): FaceWorker {
  const { client, connection, prefix, concurrency = 8, imageFolder } = options;
  const limits = limitsOf(options);
  const onError = options.onError ?? limitedLog();
  const worker: FaceWorker = new Worker(
    options.name ?? QUEUE_NAME,
    async (job, token) => {
      try {
        const requestId = `job-${job.id}`;
        return await scoreFace(client, job.data, { imageFolder, requestId, limits });
      } catch (error) {
        throw await verdict(error, job, token);
      }
    },
    {
      connection,
      ...(prefix === undefined ? {} : { prefix }),
      concurrency,
      // A worker that is killed holds its jobs for this long, then others take them.
      lockDuration: 10_000,
      stalledInterval: 5_000,
      maxStalledCount: 5, // a photo that kills its worker again and again is a dead letter
    },
  );
  worker.on("error", onError);
  backOff(worker);
  sweepWhile(worker, { ...options, onError });
  return worker;
}

function sweepWhile(worker: FaceWorker, options: WorkerOptions): void {
  const queue = openQueue(options);
  const clean = () => sweep(queue, options).catch(() => {}); // said by the queue, or tried again
  const timer = setInterval(clean, SWEEP_MS);
  worker.once("ready", clean);
  worker.once("closing", () => {
    clearInterval(timer);
    queue.close().catch(() => {});
  });
}

/** What BullMQ is to do about a failure. */
async function verdict(error: unknown, job: Job, token: string | undefined): Promise<unknown> {
  if (error instanceof InvalidRequestError) {
    // The photo will not get any better.
    return new UnrecoverableError(error.code ? `[${error.code}] ${error.message}` : error.message);
  }
  const down =
    error instanceof ConnectionFailedError ||
    error instanceof UnavailableError ||
    error instanceof ClientClosedError;
  if (!down) return error;
  const longest = Math.min(LONGEST_WAIT_MS, 250 * 2 ** job.attemptsStarted);
  await job.moveToDelayed(Date.now() + longest * (0.5 + 0.5 * Math.random()), token);
  return new DelayedError();
}
