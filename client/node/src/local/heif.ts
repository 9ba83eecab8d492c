/** The top-level boxes of HEIC and AVIF (ISO/IEC 14496-12), like aurum/imaging/decoding/heif.py. */

import { ACCEPTED, refused, unsupported } from "../encoded/refusal.js";

const MAX_BOXES = 5000;
const MAX_BRANDS = 32;
/** Brands of image sequences (ISO/IEC 23008-12, 10; AV1 Image File Format, 6). */
const SEQUENCES = ["avis", "msf1", "hevc", "hevx", "hevm", "hevs"];
const IMAGES = ["avif", "mif1", "heic", "heix", "heim", "heis"];

/** @throws InvalidImageError: the file is no image, a sequence of images, or damaged. */
export function checkOneImage(data: Buffer): void {
  const boxes = topLevelBoxes(data);
  const brands = brandsOf(boxes.get("ftyp")!);
  if (!brands.some((brand) => IMAGES.includes(brand) || SEQUENCES.includes(brand))) {
    throw unsupported(`files of the kind '${brands[0]?.trim()}'`);
  }
  if (SEQUENCES.includes(brands[0]!) || boxes.has("moov")) {
    const kind = brands.some((brand) => brand === "avis" || brand === "avif") ? "AVIF" : "HEIC";
    throw refused(`the image is a sequence (${kind}); send the one frame that is meant`);
  }
}

/** The first box of each name, up to those that an image needs. */
function topLevelBoxes(data: Buffer): Map<string, Buffer> {
  const boxes = new Map<string, Buffer>();
  for (let at = 0, count = 0; !(boxes.has("meta") && boxes.has("mdat")); count++) {
    if (at === data.length) break;
    if (at + 16 > data.length || count === MAX_BOXES) throw damagedHeader();
    const [short, name] = [data.readUInt32BE(at), data.toString("latin1", at + 4, at + 8)];
    const start = at + (short === 1 ? 16 : 8);
    const size = short === 1 ? Number(data.readBigUInt64BE(at + 8)) : short;
    const end = short === 0 ? data.length : at + size;
    if (end < start || end > data.length) throw damagedHeader();
    if (!boxes.has(name)) boxes.set(name, data.subarray(start, end));
    at = end;
  }
  return boxes;
}

function brandsOf(ftyp: Buffer): string[] {
  const brands: string[] = [];
  for (let at = 0; at + 4 <= ftyp.length && brands.length < MAX_BRANDS; at += 4) {
    if (at !== 4) brands.push(ftyp.toString("latin1", at, at + 4)); // 4: the minor version
  }
  return brands;
}

export function damagedHeader(cause?: unknown) {
  const what = "the image is corrupt or truncated (its HEIF header)";
  return refused(`${what}; ${ACCEPTED}`, cause);
}
