/** Decoding of photos to upright RGB pixels, with the service's limits and refusals. */

import type { Format } from "../encoded/formats.js";
import { ACCEPTED, formatOf, refused, unsupported } from "../encoded/refusal.js";
import { type ByteLimits, tooManyBytes, unwrapped } from "../encoded/text.js";
import { UnavailableError } from "../errors.js";
import { checkOneImage, damagedHeader } from "./heif.js";
import { END, frameOf, hasTooManyScans, lacksOnlyItsEnd, withRowsBelow } from "./jpeg.js";
import type { Photo } from "./photo.js";
import { readPng } from "./png.js";
import { framesOf } from "./webp.js";

type Sharp = typeof import("sharp");
type Metadata = import("sharp").Metadata;

export interface ImageLimits extends ByteLimits {
  /** The most pixels of a photo that is not a JPEG. */
  maxImagePixels: number;
  /** The most pixels of a JPEG. */
  maxJpegPixels: number;
}

/**
 * Decode a photo and apply its EXIF orientation.
 *
 * @throws InvalidImageError: it is empty, too large, animated, damaged, or of another format.
 * @throws UnavailableError: the service can decode it, but this libvips can't.
 */
export async function decode(sharp: Sharp, given: Uint8Array, limits: ImageLimits): Promise<Photo> {
  if (given.byteLength === 0) throw refused(`the image is empty (0 bytes); ${ACCEPTED}`);
  const file = unwrapped(given, limits);
  if (file.length > limits.maxImageBytes) throw tooManyBytes(file.length, limits.maxImageBytes);
  const format = formatOf(file);
  if (format === "JPEG") checkPrecision(file);
  const { data, frames } = unpacked(format, file);
  if (format === "WEBP") checkOneFrame(format, frames);
  const header = await opened(sharp, data)
    .metadata()
    .catch((error) => {
      if (format === "HEIF") throw damagedHeader(error);
      throw refused(`the ${format} image is corrupt or truncated; ${ACCEPTED}`, error);
    });
  const kind = format === "HEIF" ? codingOf(header) : format;
  checkPixels(kind, header, limits);
  checkOneFrame(kind, frames);
  return pixelsOf(sharp, kind, data);
}

type Kind = Exclude<Format, "HEIF"> | "HEIC" | "AVIF";
type FailOn = "error" | "warning";

function checkPrecision(jpeg: Buffer): void {
  const precision = frameOf(jpeg)?.precision;
  if (precision === 12 || precision === 16) throw unsupported(`${precision}-bit JPEG images`);
}

function codingOf({ compression }: Metadata): Kind {
  if (compression === "av1") return "AVIF";
  if (compression === "hevc") return "HEIC";
  throw unsupported(`HEIF images of '${compression}'`);
}

/** Check and convert what libvips can't detect or reads differently from the service. */
function unpacked(format: Format, file: Buffer): { data: Buffer; frames: number } {
  if (format === "HEIF") checkOneImage(file);
  if (format === "JPEG" && hasTooManyScans(file)) throw damaged(format);
  if (format === "WEBP") return { data: file, frames: framesOf(file) };
  const found = format === "PNG" ? readPng(file) : { data: file, frames: 1 };
  if (found === null) throw damaged(format);
  return found;
}

function checkPixels(kind: Kind, { width, height }: Metadata, limits: ImageLimits): void {
  const [most, setting] =
    kind === "JPEG"
      ? [limits.maxJpegPixels, "AURUM_MAX_JPEG_PIXELS"]
      : [limits.maxImagePixels, "AURUM_MAX_IMAGE_PIXELS"];
  if (width * height > most) {
    throw refused(
      `the image has ${width}x${height} = ${width * height} pixels; at most ${most} are ` +
        `allowed (${setting})`,
    );
  }
}

function checkOneFrame(kind: string, frames: number): void {
  if (frames <= 1) return;
  throw refused(
    `the image is an animated ${kind} of ${frames} frames; send the one frame that is meant`,
  );
}

async function pixelsOf(sharp: Sharp, kind: Kind, data: Buffer): Promise<Photo> {
  try {
    return kind === "JPEG" ? await jpegPixels(sharp, data) : await pixels(sharp, data, "error");
  } catch (error) {
    // Other builds of libvips than sharp's own may have HEVC.
    if (kind === "HEIC" && messageOf(error).includes("has not been built in")) {
      throw new UnavailableError(
        "HEIC photos can't be decoded here: sharp's libvips has no HEVC; the service accepts them",
      );
    }
    throw damaged(kind);
  }
}

/** Treat warnings as damage, except for stray bytes, which cheap cameras add, and a missing end. */
async function jpegPixels(sharp: Sharp, data: Buffer): Promise<Photo> {
  try {
    return await pixels(sharp, data, "warning");
  } catch (error) {
    const message = messageOf(error);
    if (message.includes("premature end of JPEG image") && lacksOnlyItsEnd(data)) {
      const ended = Buffer.concat([data, END]);
      const higher = withRowsBelow(ended);
      if (higher) await pixels(sharp, higher, "warning");
      return await pixels(sharp, ended, "warning");
    }
    const stray = message.includes("extraneous bytes before marker");
    if (!stray && /corrupt|premature/i.test(message)) throw error;
    return await pixels(sharp, data, "error");
  }
}

/** Decode and rotate. For HEIF, libheif applies the rotation and EXIF is ignored. */
async function pixels(sharp: Sharp, data: Buffer, failOn: FailOn): Promise<Photo> {
  const image = opened(sharp, data, failOn).autoOrient().removeAlpha().toColourspace("srgb");
  const decoded = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  return { width: decoded.info.width, height: decoded.info.height, data: decoded.data };
}

/** Open with our own limits, and without color profiles, which the service ignores. */
function opened(sharp: Sharp, data: Buffer, failOn: FailOn = "error") {
  return sharp(data, { failOn, ignoreIcc: true, limitInputPixels: false });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function damaged(kind: string) {
  return refused(`the ${kind} image is corrupt or truncated and can't be decoded`);
}
