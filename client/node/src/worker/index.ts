/** Photos through a BullMQ queue in Redis; needs the packages bullmq and ioredis. */

import { createHash } from "node:crypto";
import {
  type ConnectionOptions,
  DelayedError,
  type Job,
  type JobsOptions,
  Queue,
  UnrecoverableError,
  Worker,
} from "bullmq";
import type { FaceClient } from "../client.js";
import {
  ClientClosedError,
  ConnectionFailedError,
  InvalidRequestError,
  UnavailableError,
} from "../errors.js";
import { type FaceJob, type FaceScore, scoreFace } from "./score.js";

export { type FaceJob, type FaceScore, scoreFace } from "./score.js";

export const QUEUE_NAME = "faceScoring";

export type FaceQueue = Queue<FaceJob, FaceScore>;
export type FaceWorker = Worker<FaceJob, FaceScore>;

const HOUR = 3600; // seconds

const JOB_OPTIONS: JobsOptions = {
  // Of failures that may be the photo's. While all servers are down, no attempt is counted.
  attempts: 5,
  backoff: { type: "exponential", delay: 500, jitter: 0.5 },
  removeOnComplete: { age: 24 * HOUR, count: 100_000 },
  removeOnFail: false, // the dead letters
};

/** Postponed while no rung of the ladder can answer: at most this long, in milliseconds. */
const LONGEST_WAIT_MS = 5_000;

export interface QueueOptions {
  connection: ConnectionOptions;
  /** Default: faceScoring. */
  name?: string | undefined;
  /** Goes before BullMQ's, for several apps on one Redis. */
  prefix?: string | undefined;
}

/** Open the queue, to put photos into it and to look after its dead letters. */
export function openQueue({ connection, name = QUEUE_NAME, prefix }: QueueOptions): FaceQueue {
  return new Queue(name, {
    connection,
    ...(prefix === undefined ? {} : { prefix }),
    defaultJobOptions: JOB_OPTIONS,
  });
}

/**
 * Put a photo into the queue. When the promise resolves, Redis has it.
 *
 * A photo in base64 is a job once: put in again, the same job is returned, finished or not, and a
 * dead letter gets another chance. Files may change, so each call with a path is a job of its own,
 * unless it gets a `jobId`.
 */
export async function enqueue(
  queue: FaceQueue,
  data: FaceJob,
  options: JobsOptions = {},
): Promise<Job<FaceJob, FaceScore>> {
  const jobId = options.jobId ?? (data.isBase64 ? digest(data.image) : undefined);
  const job = await queue.add(QUEUE_NAME, data, { ...options, ...(jobId ? { jobId } : {}) });
  if (jobId && (await job.isFailed())) await job.retry("failed", { resetAttemptsMade: true });
  return job as Job<FaceJob, FaceScore>;
}

export interface WorkerOptions extends QueueOptions {
  /** Its ladder answers; it stays the caller's to close, after the worker. */
  client: FaceClient;
  /** Photos at a time. Default: 8. */
  concurrency?: number | undefined;
  /** Where paths of jobs begin, and which they may not leave. Default: any path. */
  imageFolder?: string | undefined;
  /** Told of lost connections to Redis and the like. Default: console.error. */
  onError?: ((error: Error) => void) | undefined;
}

/** Work on the queue until `close()`, which finishes what is under way. */
export function startWorker(options: WorkerOptions): FaceWorker {
  const { client, connection, prefix, concurrency = 8, imageFolder } = options;
  const worker: FaceWorker = new Worker(
    options.name ?? QUEUE_NAME,
    async (job, token) => {
      try {
        return await scoreFace(client, job.data, { imageFolder, requestId: `job-${job.id}` });
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
  worker.on("error", options.onError ?? console.error);
  return worker;
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

export interface DeadLetter {
  jobId: string;
  /** Why, such as "[no_face] there is no face in the photo". */
  reason: string;
  attempts: number;
  failedAt: Date | null;
  data: FaceJob;
}

/** The jobs that failed for good, the latest first; `queue.getJob(jobId)` has the rest. */
export async function deadLetters(queue: FaceQueue, start = 0, end = 99): Promise<DeadLetter[]> {
  const jobs = await queue.getFailed(start, end);
  return jobs.map((job) => ({
    jobId: job.id!,
    reason: job.failedReason,
    attempts: job.attemptsMade,
    failedAt: job.finishedOn === undefined ? null : new Date(job.finishedOn),
    data: job.data,
  }));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
