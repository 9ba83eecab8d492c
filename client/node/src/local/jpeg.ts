/** Frame and scans of a JPEG (ITU-T T.81), like aurum/imaging/decoding/jpeg.py; no decoding. */

export const END = Buffer.from([0xff, 0xd9]);
const MAX_SEGMENTS = 10_000;
/** Progressive JPEGs have about ten scans. Each costs a pass over all pixels, for some 40 bytes. */
const MAX_SCANS = 100;
const SCAN = 0xda;
/** Start of frame: baseline to arithmetic, without the markers in between (DHT, JPG, DAC). */
const isFrame = (code: number) => code >= 0xc0 && code < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(code);
const PROGRESSIVE = [0xc2, 0xca];
const HUFFMAN = [0xc0, 0xc1, 0xc2];
const COEFFICIENTS = 64;

interface Segment {
  code: number;
  /** The bytes after the length field. */
  content: Buffer;
  /** Whether the segment is complete. */
  whole: boolean;
}

interface Frame {
  /** The marker, which tells the kind of coding. */
  code: number;
  /** Bits per sample. */
  precision: number;
  /** The ids of the components. */
  components: number[];
  /** Rows of blocks in each coded unit. */
  down: number;
  /** Offset of its content in the file. */
  at: number;
}

/** Read the frame header; null if it is damaged, or after more segments than any encoder writes. */
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
 * Whether a JPEG lacks its end marker but may have all coefficients to the last bit. The data of
 * the last scan is not read: with an end marker appended, a decoder notices missing Huffman codes.
 * It wouldn't notice missing arithmetic codes, so arithmetic coding requires the end marker.
 */
export function lacksOnlyItsEnd(data: Buffer): boolean {
  const frame = frameOf(data);
  if (!frame || !HUFFMAN.includes(frame.code)) return false;
  // For each component, the lowest known bit of each coefficient; none yet.
  const known = new Map(frame.components.map((id) => [id, new Uint8Array(COEFFICIENTS).fill(255)]));
  for (const { code, content, whole } of segments(data)) {
    if (code === END[1] || !whole) return false;
    if (code === SCAN && !addScan(known, content, PROGRESSIVE.includes(frame.code))) return false;
  }
  return [...known.values()].every((bits) => bits.every((bit) => bit === 0));
}

/**
 * Declare the photo eight rows higher; null if that isn't needed. libvips checks for damage before
 * every eight rows that it reads, so it misses damage in the last rows unless it read them ahead.
 */
export function withRowsBelow(data: Buffer): Buffer | null {
  const frame = frameOf(data);
  if (!frame || frame.down > 1 || PROGRESSIVE.includes(frame.code)) return null;
  const higher = Buffer.from(data);
  higher.writeUInt16BE(Math.min(data.readUInt16BE(frame.at + 1) + 8, 0xffff), frame.at + 1);
  return higher;
}

/** Record the bits that a scan adds; false if its header is invalid. */
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

/** The segments up to and including the end marker. */
function* segments(data: Buffer): Generator<Segment> {
  let at = data.indexOf(0xff, 2);
  for (; at >= 0; at = data.indexOf(0xff, at)) {
    while (data[at] === 0xff) at++; // optional fill bytes
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
