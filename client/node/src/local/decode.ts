/** An encoded photo to upright RGB pixels, with the service's limits and refusals. */

import { InvalidImageError } from "../errors.js";
import type { Photo } from "./photo.js";

type Sharp = typeof import("sharp");

const ACCEPTED = "accepted are JPEG, PNG and WebP photos, as they are or as base64";
const FORMATS = ["jpeg", "png", "webp"];
/** How base64 of a JPEG, PNG or WebP file begins, and of a data URL. */
const BASE64 = ["/9j/", "iVBORw0KGgo", "UklGR", "data:image/"];

/** @throws InvalidImageError: empty, too large, not an image, another format, animated, damaged. */
export async function decode(
  sharp: Sharp,
  given: Uint8Array,
  maxBytes: number,
  maxPixels: number,
): Promise<Photo> {
  if (given.byteLength === 0) throw invalid(`the image is empty (0 bytes); ${ACCEPTED}`);
  const data = fromBase64(Buffer.from(given.buffer, given.byteOffset, given.byteLength));
  if (data.byteLength > maxBytes) {
    throw invalid(`the image has ${data.byteLength} bytes; at most ${maxBytes} are allowed`);
  }
  // The service ignores colour profiles. "error" refuses what is damaged or cut off, and passes
  // over stray bytes, as cheap cameras leave them.
  const image = sharp(data, { failOn: "error", ignoreIcc: true, limitInputPixels: false });
  const header = await image.metadata().catch((error: Error) => {
    throw invalid(`the bytes are not an image, or damaged (${error.message}); ${ACCEPTED}`);
  });
  const { format, width, height, pages = 1 } = header;
  if (!FORMATS.includes(format)) {
    throw invalid(`${format.toUpperCase()} images are not supported; ${ACCEPTED}`);
  }
  if (width * height > maxPixels) {
    throw invalid(`the image has ${width}x${height} pixels; at most ${maxPixels} are allowed`);
  }
  if (pages > 1 || (format === "png" && data.includes("acTL"))) {
    throw invalid(`the image is an animated ${format}; send the one frame that is meant`);
  }
  const raw = image.autoOrient().removeAlpha().toColourspace("srgb").raw({ depth: "uchar" });
  const decoded = await raw.toBuffer({ resolveWithObject: true }).catch((error: Error) => {
    throw invalid(`the ${format} image is corrupt or truncated (${error.message})`);
  });
  return { width: decoded.info.width, height: decoded.info.height, data: decoded.data };
}

function fromBase64(data: Buffer): Buffer {
  const start = data.subarray(0, 16).toString("latin1");
  if (!BASE64.some((prefix) => start.startsWith(prefix))) return data;
  const text = data.toString("latin1").trim();
  const [head, body] = text.startsWith("data:") ? text.split(",", 2) : ["base64", text];
  if (!head?.endsWith("base64") || !/^[A-Za-z0-9+/]*={0,2}$/.test(body ?? "")) {
    throw invalid(`the image is damaged base64; ${ACCEPTED}`);
  }
  return Buffer.from(body ?? "", "base64");
}

function invalid(message: string): InvalidImageError {
  return new InvalidImageError(message, { code: "invalid_image" });
}
