/** The chunks of a WebP (RFC 9649): how many frames it has. */

const HEADER = 12;
const BEFORE = 8;

/**
 * 1 where it is not animated. Counted here, as libwebp's own count takes time in proportion to the
 * square of the frames.
 */
export function framesOf(data: Buffer): number {
  let frames = 0;
  const end = Math.min(data.length, BEFORE + data.readUInt32LE(4));
  for (let at = HEADER; at + BEFORE <= end; ) {
    if (data.toString("latin1", at, at + 4) === "ANMF") frames++;
    const length = data.readUInt32LE(at + 4);
    at += BEFORE + length + (length % 2);
  }
  return Math.max(1, frames);
}
