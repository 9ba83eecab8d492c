/** Validation of jobs, both when they are added and when they are processed. */

import { constants, open } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { refused } from "../encoded/refusal.js";
import { type ByteLimits, checkLength, fromText, tooManyBytes } from "../encoded/text.js";
import { InvalidImageError } from "../errors.js";

export interface FaceJob {
  /** A photo in base64 or as a data URL, or the path of its file on the worker's machine. */
  image: string;
  /** Whether `image` is base64. Default: false, a path. */
  isBase64?: boolean | undefined;
}

/** Linux's PATH_MAX; a longer path is usually base64 without `isBase64`. */
const LONGEST_PATH = 4096;
const LONGEST_ID = 255;
const FIELDS = ["image", "isBase64"];

/**
 * Check a job. Messages never contain the image, because they are stored and logged.
 *
 * @throws InvalidImageError
 */
export function checkJob(job: FaceJob, limits: ByteLimits): void {
  const what = "a job is { image, isBase64 }";
  if (typeof job?.image !== "string" || job.image === "") {
    throw refused(`${what}: its image is missing or not a string`);
  }
  const other = Object.keys(job).find((name) => !FIELDS.includes(name));
  if (other !== undefined) throw refused(`${what}: unknown field '${other.slice(0, 40)}'`);
  if (job.isBase64 !== undefined && typeof job.isBase64 !== "boolean") {
    throw refused(`${what}: isBase64 is neither true nor false`);
  }
  if (job.isBase64) checkLength(job.image, limits);
  else if (job.image.length > LONGEST_PATH) {
    throw refused(
      `the image's path has ${job.image.length} characters; at most ${LONGEST_PATH} are allowed ` +
        "(base64 needs isBase64: true)",
    );
  }
}

/** @throws RangeError: the job id is not valid for BullMQ or its keys in Redis. */
export function checkId(id: unknown): void {
  const fits =
    typeof id === "string" && /^[^:]{1,255}$/s.test(id) && `${Number.parseInt(id, 10)}` !== id;
  if (fits) return;
  const shown = typeof id === "string" ? `'${id.slice(0, 40)}'` : String(id);
  throw new RangeError(
    `the jobId ${shown} is not valid: it must be a string of 1 to ${LONGEST_ID} characters ` +
      "without ':', and not a whole number",
  );
}

/**
 * Read the bytes of a job's photo.
 *
 * @param folder the base of relative paths, which no path may leave
 * @throws InvalidImageError
 */
export async function imageOf(
  job: FaceJob,
  folder: string | undefined,
  limits: ByteLimits,
): Promise<Buffer> {
  checkJob(job, limits);
  if (job.isBase64) return fromText(job.image, limits);
  const path = resolve(folder ?? ".", job.image);
  if (folder !== undefined && !path.startsWith(resolve(folder) + sep)) {
    throw refused("the image is outside the workers' folder of images");
  }
  return read(path, limits.maxImageBytes);
}

/** Read a regular file of limited size; others might block or never end. */
async function read(path: string, most: number): Promise<Buffer> {
  // Without O_NONBLOCK, a named pipe would block the worker's thread.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(error);
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw refused("cannot read the image: its path is not that of a file");
    if (stat.size > most) throw tooManyBytes(stat.size, most);
    return await file.readFile();
  } catch (error) {
    throw error instanceof InvalidImageError ? error : unreadable(error as NodeJS.ErrnoException);
  } finally {
    await file.close();
  }
}

/** Report only the code: Node's message has the path, which may be a photo in base64. */
function unreadable(error: NodeJS.ErrnoException) {
  const why = error.code === "ENOENT" ? "there is no such file" : (error.code ?? "unknown error");
  return refused(`cannot read the image: ${why}`);
}
