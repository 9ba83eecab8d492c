/** The queue worker: scores each job with a client, and decides how to handle failures. */

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

/** The longest delay of a job while no source can answer. */
const MAX_DELAY_MS = 5_000;
const SWEEP_MS = 3_600_000;

export interface WorkerOptions extends QueueOptions {
  /** Answers the jobs. The caller must close it, after the worker. */
  client: FaceClient;
  /** Photos processed at the same time. Default: 8. */
  concurrency?: number | undefined;
  /** The folder that jobs' paths start from and may not leave. Default: any path is allowed. */
  imageFolder?: string | undefined;
}

/** Process the queue until `close()`, which finishes running jobs. */
export function startWorker(options: WorkerOptions): FaceWorker {
  const { client, connection, prefix, concurrency = 8, imageFolder } = options;
  const limits = limitsOf(options);
  const onError = options.onError ?? limitedLog();
  const worker: FaceWorker = new Worker(
    options.name ?? QUEUE_NAME,
    async (job, token) => {
      try {
        // The characters and the length that the gateway takes.
        const requestId = `job-${job.id}`.replace(/[^\w.-]/g, "_").slice(0, 64);
        return await scoreFace(client, job.data, { imageFolder, requestId, limits });
      } catch (error) {
        throw await jobError(error, job, token);
      }
    },
    {
      connection,
      ...(prefix === undefined ? {} : { prefix }),
      concurrency,
      // Other workers take over the jobs of a killed worker after this time.
      lockDuration: 10_000,
      stalledInterval: 5_000,
      maxStalledCount: 5, // a photo that kills its workers becomes a dead letter
    },
  );
  worker.on("error", onError);
  backOff(worker);
  sweepWhile(worker, { ...options, onError });
  return worker;
}

function sweepWhile(worker: FaceWorker, options: WorkerOptions): void {
  const queue = openQueue(options);
  const clean = () => sweep(queue, options).catch(() => {}); // the queue reports errors
  const timer = setInterval(clean, SWEEP_MS);
  worker.once("ready", clean);
  worker.once("closing", () => {
    clearInterval(timer);
    queue.close().catch(() => {});
  });
}

/** Convert a failure to the error that tells BullMQ how to handle it. */
async function jobError(error: unknown, job: Job, token: string | undefined): Promise<unknown> {
  if (error instanceof InvalidRequestError) {
    // The same photo would fail again.
    return new UnrecoverableError(error.code ? `[${error.code}] ${error.message}` : error.message);
  }
  const down =
    error instanceof ConnectionFailedError ||
    error instanceof UnavailableError ||
    error instanceof ClientClosedError;
  if (!down) return error;
  const longest = Math.min(MAX_DELAY_MS, 250 * 2 ** job.attemptsStarted);
  await job.moveToDelayed(Date.now() + longest * (0.5 + 0.5 * Math.random()), token);
  return new DelayedError();
}
