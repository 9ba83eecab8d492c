/** Image formats by their magic bytes, like aurum/imaging/decoding/formats.py. */

/** An accepted format; HEIF is the container of HEIC and AVIF. */
export type Format = "JPEG" | "PNG" | "WEBP" | "HEIF";

type Magic<T> = [offset: number, bytes: string, name: T];

const ACCEPTED: Magic<Format>[] = [
  [0, "\xff\xd8\xff", "JPEG"],
  [0, "\x89PNG\r\n\x1a\n", "PNG"],
  [8, "WEBP", "WEBP"],
  [4, "ftyp", "HEIF"],
];
const REFUSED: Magic<string>[] = [
  [0, "GIF8", "GIF"],
  [0, "BM", "BMP"],
  [0, "II*\0", "TIFF"],
  [0, "MM\0*", "TIFF"],
  [0, "%PDF", "PDF"],
  [0, "\xff\x0a", "JPEG XL"],
  [0, "\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"],
  [0, "\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"],
  [0, "\xff\x4f\xff\x51", "JPEG 2000"],
  [0, "<svg", "SVG"],
];

/** The accepted format that `data` starts like. */
export function acceptedFormat(data: Buffer): Format | null {
  const format = nameOf(data, ACCEPTED);
  return format === "WEBP" && !begins(data, 0, "RIFF") ? null : format;
}

/** The name of a known format that is not accepted. */
export function refusedFormat(data: Buffer): string | null {
  return nameOf(data, REFUSED);
}

function nameOf<T>(data: Buffer, magics: Magic<T>[]): T | null {
  return magics.find(([offset, bytes]) => begins(data, offset, bytes))?.[2] ?? null;
}

function begins(data: Buffer, offset: number, bytes: string): boolean {
  return data.toString("latin1", offset, offset + bytes.length) === bytes;
}
