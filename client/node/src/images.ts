import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { InvalidImageError } from "./errors.js";

/** An encoded photo: a path, a file URL, its bytes, or a stream or Blob of them. */
export type Image = string | URL | Uint8Array | ArrayBuffer | Blob | Readable;

/**
 * Read the encoded bytes of `image`, without checking that they are an image.
 *
 * @throws InvalidImageError: it can't be read, or has another type.
 */
export async function readImage(image: Image): Promise<Uint8Array> {
  if (image instanceof Uint8Array) return image;
  if (image instanceof ArrayBuffer) return new Uint8Array(image);
  try {
    if (typeof image === "string" || image instanceof URL) return await readFile(image);
    if (image instanceof Blob) return new Uint8Array(await image.arrayBuffer());
    if (typeof image?.[Symbol.asyncIterator] === "function") return await buffer(image);
  } catch (error) {
    // Shortened: the path may be base64 that was passed by mistake.
    const reason = (error as Error).message.slice(0, 200);
    throw new InvalidImageError(`cannot read the image: ${reason}`, {
      code: "invalid_image",
      cause: error,
    });
  }
  throw new InvalidImageError(
    "an image is a path, a Uint8Array, an ArrayBuffer, a Blob or a stream of bytes",
    { code: "invalid_image" },
  );
}
