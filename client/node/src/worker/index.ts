/** Scoring of photos from a BullMQ queue in Redis; needs the packages bullmq and ioredis. */

export type { FaceJob } from "./job.js";
export {
  type DeadLetter,
  deadLetters,
  type EnqueueOptions,
  enqueue,
  type FaceQueue,
  type Keep,
  openQueue,
  QUEUE_NAME,
  type QueueOptions,
} from "./queue.js";
export { type FaceScore, scoreFace } from "./score.js";
export { type FaceWorker, startWorker, type WorkerOptions } from "./worker.js";
