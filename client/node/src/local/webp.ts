/** Frame count of a WebP, from its chunks (RFC 9649). */

const HEADER = 12;
const BEFORE = 8;

/**
 * Count the frames: 1 if it is not animated. Counted here because libwebp takes time proportional
 * to the square of the number of frames.
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
