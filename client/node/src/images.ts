import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { brief } from "./brief.js";
import { refused } from "./encoded/refusal.js";
import { fromText, isBase64OfImage, isDataUrl } from "./encoded/text.js";

/**
 * An encoded photo: a path, a file URL, a data URL or base64; its bytes, or a stream or Blob of them.
 */
export type Image = string | URL | Uint8Array | ArrayBuffer | Blob | Readable;

/** Base64 of any face is longer; a path might begin like it. */
const SHORTEST_BASE64 = 64;
const SCHEME = /^\s*([a-z][a-z0-9+.-]+):\/\//i;

/**
 * Read the encoded bytes of `image`, without checking that they are an image.
 *
 * @throws InvalidImageError: it can't be read, or has another type.
 */
export async function readImage(image: Image): Promise<Uint8Array> {
  if (image instanceof Uint8Array) return image;
  if (image instanceof ArrayBuffer) return new Uint8Array(image);
  if (typeof image === "string") return readText(image);
  if (image instanceof URL) return readText(image.href);
  try {
    if (image instanceof Blob) return new Uint8Array(await image.arrayBuffer());
    if (typeof image?.[Symbol.asyncIterator] === "function") return await buffer(image);
  } catch (error) {
    throw unreadable(error as NodeJS.ErrnoException);
  }
  throw refused(
    "an image is a path, a file or data URL, base64, a Uint8Array, an ArrayBuffer, a Blob or a " +
      "stream of bytes",
  );
}

/**
 * A string is a data URL if it begins with `data:`. It is base64 if it has at least 64 characters,
 * begins like base64 of an image, and no file has this name. Otherwise it is a path.
 */
async function readText(text: string): Promise<Uint8Array> {
  if (isDataUrl(text)) return fromText(text);
  const path = pathOf(text);
  try {
    return await readFile(path);
  } catch (error) {
    if (text.length >= SHORTEST_BASE64 && isBase64OfImage(text)) return fromText(text);
    throw unreadable(error as NodeJS.ErrnoException, path);
  }
}

/** @throws InvalidImageError: it is the URL of something other than a local file. */
function pathOf(text: string): string {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return text;
  if (scheme !== "file") {
    throw refused(
      `${brief(scheme)} addresses are not supported: fetch the photo yourself and pass its bytes`,
    );
  }
  try {
    return fileURLToPath(text);
  } catch (error) {
    throw refused(`'${brief(text)}' is not the URL of a local file`, error);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
  ERR_INVALID_ARG_VALUE: "it is not a path",
  ENAMETOOLONG: "it is too long for a file's name, and not base64 of an image",
};

/** Node's own message, also as a cause, would repeat a path of any length. */
function unreadable(error: NodeJS.ErrnoException, path = error.path) {
  const { code = "" } = error;
  const why = REASONS[code] ?? (code || brief(error.message));
  if (path === undefined) return refused(`cannot read the image: ${why}`, error);
  return refused(`cannot read the image '${brief(path)}': ${why}`);
}
