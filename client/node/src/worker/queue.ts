/** The queue in Redis: adding photos, and retention of results and dead letters. */

import { createHash } from "node:crypto";
import { type ConnectionOptions, type Job, type JobsOptions, Queue } from "bullmq";
import { DEFAULTS } from "../contract.js";
import { withDeadline } from "../deadline.js";
import type { ByteLimits } from "../encoded/text.js";
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
/** The most expired jobs removed at a time. */
const SWEEP_SIZE = 1000;

/** How long to keep jobs, in seconds, and how many. */
export interface Keep {
  age: number;
  count: number;
}

export interface QueueOptions {
  /** Options of ioredis: host, port, username, password, tls; or `{ url }`. */
  connection: ConnectionOptions;
  /** The queue's name. Default: faceScoring. */
  name?: string | undefined;
  /** Replaces BullMQ's key prefix, for several apps on one Redis. */
  prefix?: string | undefined;
  /** The most waiting jobs; further calls of `enqueue` reject. Default: 10000. */
  maxWaiting?: number | undefined;
  /** How long, and how many, permanently failed jobs are kept. Default: 7 days, 1000. */
  deadLetters?: Partial<Keep> | undefined;
  /** The largest photo from a file, in bytes. Default: 25000000. */
  maxImageBytes?: number | undefined;
  /** The largest photo in base64, in bytes. Default: 10000000. */
  maxBase64Bytes?: number | undefined;
  /** Called with errors of Redis and its connection. Default: a rate-limited console.error. */
  onError?: ((error: Error) => void) | undefined;
}

interface Facts {
  maxWaiting: number;
  limits: ByteLimits;
  lastError: Error | null;
}

const facts = new WeakMap<object, Facts>();

/** Open the queue, to add photos and to inspect its dead letters. */
export function openQueue(options: QueueOptions): FaceQueue {
  const { connection, name = QUEUE_NAME, prefix } = options;
  const jobOptions: JobsOptions = {
    // For failures that the photo may have caused. While all servers are down, none is counted.
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

/** The photo limits of a queue or worker, with the service's defaults filled in. */
export function limitsOf({ maxImageBytes, maxBase64Bytes }: QueueOptions): ByteLimits {
  return {
    maxImageBytes: maxImageBytes ?? DEFAULTS.maxImageBytes,
    maxBase64Bytes: maxBase64Bytes ?? DEFAULTS.maxBase64Bytes,
  };
}

export interface EnqueueOptions extends JobsOptions {
  /** Milliseconds that Redis may take. Default: 10000. */
  timeoutMs?: number | undefined;
}

/**
 * Add a photo to the queue. When the promise resolves, Redis has accepted it.
 *
 * A photo in base64 becomes one job: adding it again returns the same job, finished or not, and
 * retries a dead letter. Files may change, so each call with a path adds a new job, unless it has a
 * `jobId`.
 *
 * @throws InvalidImageError: the job is not valid.
 * @throws RangeError: the jobId is not valid.
 * @throws UnavailableError: `maxWaiting` jobs are waiting.
 * @throws ConnectionFailedError: Redis did not accept the job within `timeoutMs`; the message says
 *     why. A slow Redis may still accept it later.
 */
export async function enqueue(
  queue: FaceQueue,
  data: FaceJob,
  options: EnqueueOptions = {},
): Promise<Job<FaceJob, FaceScore>> {
  const { timeoutMs = TIMEOUT_MS, ...jobOptions } = options;
  const fact = facts.get(queue);
  checkJob(data, fact?.limits ?? DEFAULTS);
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
    throw new ConnectionFailedError(`Redis did not accept the job within ${timeoutMs} ms: ${why}`, {
      cause: fact?.lastError ?? error,
    });
  }
}

/** Check `maxWaiting`; concurrent callers don't see each other's jobs. */
async function checkRoom(queue: FaceQueue, most: number): Promise<void> {
  const waiting = await queue.getJobCountByTypes("wait", "delayed", "prioritized");
  if (waiting < most) return;
  throw new UnavailableError(
    `${waiting} jobs are waiting; at most ${most} are allowed (maxWaiting)`,
  );
}

async function revive(job: Job): Promise<void> {
  if (await job.isFailed()) await job.retry("failed", { resetAttemptsMade: true });
}

export interface DeadLetter {
  jobId: string;
  /** The failure, such as "[no_face] there is no face in the photo". */
  reason: string;
  attempts: number;
  failedAt: Date | null;
  data: FaceJob;
}

/** List permanently failed jobs, the latest first; `queue.getJob(jobId)` has the details. */
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
 * Remove expired results and dead letters. BullMQ does so only when another job ends, but photos
 * and embeddings must not stay longer because no new ones arrive.
 */
export async function sweep(queue: FaceQueue, options: QueueOptions): Promise<void> {
  await queue.clean(1000 * RESULTS.age, SWEEP_SIZE, "completed");
  await queue.clean(1000 * deadLettersOf(options).age, SWEEP_SIZE, "failed");
}

function deadLettersOf({ deadLetters }: QueueOptions): Keep {
  return { ...DEAD_LETTERS, ...deadLetters };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
