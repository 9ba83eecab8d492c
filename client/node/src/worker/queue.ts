/** The queue in Redis: photos are put in, results and dead letters are kept for a time. */

import { createHash } from "node:crypto";
import { type ConnectionOptions, type Job, type JobsOptions, Queue } from "bullmq";
import { withDeadline } from "../deadline.js";
import { BYTE_LIMITS, type ByteLimits } from "../encoded/text.js";
import { ConnectionFailedError, RequestTimeoutError, UnavailableError } from "../errors.js";
import { checkId, checkJob, type FaceJob } from "./job.js";
import { limitedLog } from "./log.js";
import type { FaceScore } from "./score.js";

export const QUEUE_NAME = "faceScoring";

export type FaceQueue = Queue<FaceJob, FaceScore>;

const HOUR = 3600; // seconds
const MAX_WAITING = 10_000;
const TIMEOUT_MS = 10_000;
const RESULTS: Keep = { age: 24 * HOUR, count: 100_000 };
const DEAD_LETTERS: Keep = { age: 7 * 24 * HOUR, count: 1000 };
/** How many expired ones are removed at a time. */
const SWEPT = 1000;

/** How long, in seconds, and how many. */
export interface Keep {
  age: number;
  count: number;
}

export interface QueueOptions {
  /** As ioredis takes it: host, port, username, password, tls; or `{ url }`. */
  connection: ConnectionOptions;
  /** Default: faceScoring. */
  name?: string | undefined;
  /** Goes before BullMQ's, for several apps on one Redis. */
  prefix?: string | undefined;
  /** Jobs that may wait; beyond it `enqueue` rejects. Default: 10000. */
  maxWaiting?: number | undefined;
  /** How long, and how many, jobs that failed for good are kept. Default: 7 days, 1000. */
  deadLetters?: Partial<Keep> | undefined;
  /** Largest photo from a file, in bytes. Default: 25000000. */
  maxImageBytes?: number | undefined;
  /** Largest photo in base64, in bytes. Default: 10000000. */
  maxBase64Bytes?: number | undefined;
  /** Told of lost connections to Redis and the like. Default: console.error, now and then. */
  onError?: ((error: Error) => void) | undefined;
}

interface Facts {
  maxWaiting: number;
  limits: ByteLimits;
  lastError: Error | null;
}

const facts = new WeakMap<object, Facts>();

/** Open the queue, to put photos into it and to look after its dead letters. */
export function openQueue(options: QueueOptions): FaceQueue {
  const { connection, name = QUEUE_NAME, prefix } = options;
  const jobOptions: JobsOptions = {
    // Of failures that may be the photo's. While all servers are down, no attempt is counted.
    attempts: 5,
    backoff: { type: "exponential", delay: 500, jitter: 0.5 },
    removeOnComplete: RESULTS,
    removeOnFail: deadLettersOf(options),
  };
  const queue: FaceQueue = new Queue(name, {
    connection,
    ...(prefix === undefined ? {} : { prefix }),
    defaultJobOptions: jobOptions,
  });
  const own = { maxWaiting: options.maxWaiting ?? MAX_WAITING, limits: limitsOf(options) };
  const fact: Facts = { ...own, lastError: null };
  facts.set(queue, fact);
  const onError = options.onError ?? limitedLog();
  queue.on("error", (error) => {
    fact.lastError = error;
    onError(error);
  });
  return queue;
}

/** The limits of photos that a queue or a worker was given, with the service's defaults. */
export function limitsOf({ maxImageBytes, maxBase64Bytes }: QueueOptions): ByteLimits {
  return {
    maxImageBytes: maxImageBytes ?? BYTE_LIMITS.maxImageBytes,
    maxBase64Bytes: maxBase64Bytes ?? BYTE_LIMITS.maxBase64Bytes,
  };
}

export interface EnqueueOptions extends JobsOptions {
  /** How long Redis may take, in milliseconds. Default: 10000. */
  timeoutMs?: number | undefined;
}

/**
 * Put a photo into the queue. When the promise resolves, Redis has it.
 *
 * A photo in base64 is a job once: put in again, the same job is returned, finished or not, and a
 * dead letter gets another chance. Files may change, so each call with a path is a job of its own,
 * unless it gets a `jobId`.
 *
 * @throws InvalidImageError: what the job's image can't be.
 * @throws RangeError: a jobId that can't be one.
 * @throws UnavailableError: as many jobs wait as may.
 * @throws ConnectionFailedError: Redis did not take it within `timeoutMs`; the message says why. It
 *     may take it later, where it is only slow.
 */
export async function enqueue(
  queue: FaceQueue,
  data: FaceJob,
  options: EnqueueOptions = {},
): Promise<Job<FaceJob, FaceScore>> {
  const { timeoutMs = TIMEOUT_MS, ...jobOptions } = options;
  const fact = facts.get(queue);
  checkJob(data, fact?.limits ?? BYTE_LIMITS);
  if (jobOptions.jobId !== undefined) checkId(jobOptions.jobId);
  const jobId = jobOptions.jobId ?? (data.isBase64 ? digest(data.image) : undefined);
  const added = { ...jobOptions, ...(jobId ? { jobId } : {}) };
  try {
    return await withDeadline(timeoutMs, [], async (deadline) => {
      await deadline.race(checkRoom(queue, fact?.maxWaiting ?? MAX_WAITING));
      deadline.check();
      const job = await deadline.race(queue.add(QUEUE_NAME, data, added));
      if (jobId) await deadline.race(revive(job));
      return job as Job<FaceJob, FaceScore>;
    });
  } catch (error) {
    if (!(error instanceof RequestTimeoutError)) throw error;
    const why = fact?.lastError?.message ?? "it does not answer";
    throw new ConnectionFailedError(`Redis did not take the job within ${timeoutMs} ms: ${why}`, {
      cause: fact?.lastError ?? error,
    });
  }
}

/** Callers at the same moment each see the room that there was before. */
async function checkRoom(queue: FaceQueue, most: number): Promise<void> {
  const waiting = await queue.getJobCountByTypes("wait", "delayed", "prioritized");
  if (waiting < most) return;
  throw new UnavailableError(`${waiting} jobs wait; at most ${most} may (maxWaiting)`);
}

async function revive(job: Job): Promise<void> {
  if (await job.isFailed()) await job.retry("failed", { resetAttemptsMade: true });
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

/**
 * Remove results and dead letters that are too old: BullMQ does so only when another job ends.
 * Photos and embeddings must not stay because nobody sends any more.
 */
export async function sweep(queue: FaceQueue, options: QueueOptions): Promise<void> {
  await queue.clean(1000 * RESULTS.age, SWEPT, "completed");
  await queue.clean(1000 * deadLettersOf(options).age, SWEPT, "failed");
}

function deadLettersOf({ deadLetters }: QueueOptions): Keep {
  return { ...DEAD_LETTERS, ...deadLetters };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
