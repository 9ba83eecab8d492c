/** A JPEG's frame and scans (ITU-T T.81), read without decoding, as aurum/imaging/decoding/jpeg.py. */

export const END = Buffer.from([0xff, 0xd9]);
const MAX_SEGMENTS = 10_000;
/** Progressive JPEGs have about ten; each costs a pass over all pixels, for some 40 bytes. */
const MAX_SCANS = 100;
const SCAN = 0xda;
/** Start of frame: baseline to arithmetic, without the tables that lie between (DHT, JPG, DAC). */
const isFrame = (code: number) => code >= 0xc0 && code < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(code);
const PROGRESSIVE = [0xc2, 0xca];
const HUFFMAN = [0xc0, 0xc1, 0xc2];
const COEFFICIENTS = 64;

interface Segment {
  code: number;
  /** Without its length. */
  content: Buffer;
  /** Whether all of it is there. */
  whole: boolean;
}

interface Frame {
  /** The kind of coding. */
  code: number;
  /** Bits a sample. */
  precision: number;
  /** The ids of the components. */
  components: number[];
  /** Rows of blocks that are coded at a time. */
  down: number;
  /** Where its content begins in the file. */
  at: number;
}

/** Null where it can't be read, or comes after more segments than any encoder writes. */
export function frameOf(data: Buffer): Frame | null {
  let count = 0;
  for (const { code, content } of segments(data)) {
    if (++count > MAX_SEGMENTS || code === SCAN) return null;
    if (!isFrame(code)) continue;
    const components = content[5];
    if (!components || content.length < 6 + 3 * components) return null;
    const each = Array.from({ length: components }, (_, i) => 6 + 3 * i);
    return {
      code,
      precision: content[0]!,
      components: each.map((at) => content[at]!),
      down: Math.max(...each.map((at) => content[at + 1]! & 15)),
      at: content.byteOffset - data.byteOffset,
    };
  }
  return null;
}

export function hasTooManyScans(data: Buffer): boolean {
  let scans = 0;
  for (const { code } of segments(data)) {
    if (code === SCAN && ++scans > MAX_SCANS) return true;
  }
  return false;
}

/**
 * Whether a JPEG has no end marker, and yet each coefficient to its last bit. The bits of the last
 * scan are not looked at: a decoder that is given an end marker tells whether some are missing, of
 * Huffman codes. Arithmetic codes may lack their last bytes, so those need their end.
 */
export function mayLackItsEndAlone(data: Buffer): boolean {
  const frame = frameOf(data);
  if (!frame || !HUFFMAN.includes(frame.code)) return false;
  // For each component the lowest bit that is known of its coefficients; none yet.
  const known = new Map(frame.components.map((id) => [id, new Uint8Array(COEFFICIENTS).fill(255)]));
  for (const { code, content, whole } of segments(data)) {
    if (code === END[1] || !whole) return false;
    if (code === SCAN && !addScan(known, content, PROGRESSIVE.includes(frame.code))) return false;
  }
  return [...known.values()].every((bits) => bits.every((bit) => bit === 0));
}

/**
 * The same photo said to be eight rows higher, or null where it isn't needed: libvips looks for
 * damage before each eight rows that it reads, and so overlooks it in the last ones, unless those
 * were read ahead.
 */
export function withRowsBelow(data: Buffer): Buffer | null {
  const frame = frameOf(data);
  if (!frame || frame.down > 1 || PROGRESSIVE.includes(frame.code)) return null;
  const higher = Buffer.from(data);
  higher.writeUInt16BE(Math.min(data.readUInt16BE(frame.at + 1) + 8, 0xffff), frame.at + 1);
  return higher;
}

/** Note what a scan brings; false where its header makes no sense. */
function addScan(known: Map<number, Uint8Array>, scan: Buffer, progressive: boolean): boolean {
  const components = scan[0] ?? 0;
  const at = 1 + 2 * components;
  if (scan.length < at + 3) return false;
  const [first, last, bits] = progressive ? [scan[at]!, scan[at + 1]!, scan[at + 2]!] : [0, 63, 0];
  if (last >= COEFFICIENTS) return false;
  for (let i = 1; i < at; i += 2) {
    const of = known.get(scan[i]!);
    if (!of) return false;
    of.fill(bits & 15, first, last + 1);
  }
  return true;
}

/** The segments up to the end marker, and that itself. */
function* segments(data: Buffer): Generator<Segment> {
  let at = data.indexOf(0xff, 2);
  for (; at >= 0; at = data.indexOf(0xff, at)) {
    while (data[at] === 0xff) at++; // fill bytes may come before the code
    const code = data[at++];
    if (code === undefined) return;
    if (code <= 0x01 || (code >= 0xd0 && code <= 0xd8)) continue; // stuffing, restarts
    const length = at + 2 <= data.length ? data.readUInt16BE(at) : 0;
    const whole = length >= 2 && at + length <= data.length;
    yield { code, content: data.subarray(at + 2, at + length), whole };
    if (code === END[1]) return;
    at += length;
  }
}
