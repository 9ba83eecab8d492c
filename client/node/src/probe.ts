import { deflateSync } from "node:zlib";
import { ALIGNED_SIZE } from "./contract.js";
import { chunk } from "./encoded/chunk.js";

/**
 * A tiny image that tests whether a server can infer: gray, without a face, and of the size of an
 * aligned crop, so that the embedder takes it as well.
 */
export const GRAY_PNG: Uint8Array = grayPng(ALIGNED_SIZE);

/** Encode a square, uniformly gray, 8-bit grayscale PNG. */
export function grayPng(side: number): Uint8Array {
  const header = Buffer.alloc(13); // 8 bits a sample, grayscale, no interlacing
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.writeUInt8(8, 8);
  // Each row starts with its filter type, 0 for none.
  const row = Buffer.alloc(side + 1, 0x80);
  row[0] = 0;
  const pixels = deflateSync(Buffer.concat(Array(side).fill(row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
