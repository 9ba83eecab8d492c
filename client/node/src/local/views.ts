/**
 * The detection passes over a photo: their parts, scales and rotations, like
 * aurum/imaging/views.py.
 */

import { DETECTION_STEP, MAX_TILES } from "../contract.js";
import { type Rotation, WHOLE } from "./faces.js";
import { fitted, SMALLEST, wholeCells } from "./letterbox.js";
import { roundHalfEven } from "./resize.js";

/** A photo longer than this many times its width is split into tiles of twice its width. */
const LONG = 2.5;
/**
 * The largest detector input, in pixels, because the detector's memory grows with it. Larger views
 * are split into parts that overlap by a fifth of this size.
 */
const LARGEST = 1280;
const OVERLAP = 256;
/** Faces of this many pixels are found in the whole photo, so tiles overlap by as much. */
const SEEN = 32;

interface Rectangle {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** A part of the photo, and its scale and rotation for the detector. */
export class View {
  constructor(
    readonly place: Readonly<Rectangle>,
    /** The most pixels of its longer side in the detector's input. */
    readonly longSide: number,
    /** Clockwise, in degrees. */
    readonly rotation: Rotation = 0,
  ) {}

  get width(): number {
    return this.place.right - this.place.left;
  }

  get height(): number {
    return this.place.bottom - this.place.top;
  }

  get side(): number {
    return Math.max(this.width, this.height);
  }

  /** Pixels of the input per pixel of the photo. */
  get scale(): number {
    return fitted(this.side, this.longSide) / this.side;
  }

  /** Pixels of the detector's input. */
  get work(): number {
    return wholeCells(this.width * this.scale) * wholeCells(this.height * this.scale);
  }

  /** The same part, rotated, at no more than `scale` times the size. */
  rotated(rotation: Rotation, scale: number): View {
    if (scale === 1) return new View(this.place, this.longSide, rotation);
    const side = Math.trunc(fitted(this.side, this.longSide) * scale);
    return new View(this.place, Math.max(DETECTION_STEP, side - (side % DETECTION_STEP)), rotation);
  }
}

/** The detection passes over a photo in one rotation. */
export class Plan {
  constructor(
    /** One list of views per scale, the finest first; each list covers the whole photo. */
    readonly levels: readonly (readonly View[])[],
    /** False: the photo's shape needs more than MAX_TILES tiles. */
    readonly complete: boolean,
  ) {}

  /** One of the finest views, which have the same scale. */
  get finest(): View {
    return this.levels[0]![0]!;
  }

  /** Pixels of the detector's input. */
  get work(): number {
    return workOf(this.levels.flat());
  }

  /** The finest views, rotated, at `scale` times their size. */
  rotated(rotation: Rotation, scale: number): Plan {
    const views = this.levels[0]!.map((view) => view.rotated(rotation, scale));
    return new Plan([views], this.complete);
  }
}

export function workOf(views: readonly View[]): number {
  return views.reduce((sum, view) => sum + view.work, 0);
}

/**
 * Plan the passes over a photo without rotation: the whole photo at `detectionSize`; if that
 * exceeds WHOLE pixels, again at SMALLEST, for faces too large for the first pass; and, as a finer
 * level, `tiles` parts, each at `detectionSize`.
 */
export function plan(width: number, height: number, detectionSize: number, tiles: number): Plan {
  const place = { left: 0, top: 0, right: width, bottom: height };
  const whole = new View(place, detectionSize);
  const side = fitted(whole.side, detectionSize);
  const levels = [[whole]];
  if (side > LARGEST) levels.push([new View(place, wholeCells(side / 2))]);
  if (side > WHOLE) levels.push([new View(place, SMALLEST)]);
  const { finer, complete } = tilesOf(whole, tiles);
  if (finer.length > 0) levels.unshift(finer);
  return new Plan(
    levels.map((views) => views.flatMap(split)),
    complete,
  );
}

/** At most MAX_TILES tiles; none if they would add no detail. */
function tilesOf(whole: View, wanted: number): { finer: View[]; complete: boolean } {
  const { width, height } = whole;
  const long = whole.side;
  const short = Math.min(width, height);
  const none = { finer: [], complete: true };
  if (long <= whole.longSide) return none;
  const overlap = Math.max(1, roundHalfEven(SEEN / whole.scale));
  if (wanted > 1) {
    const [columns, rows] = grid(width, height, wanted);
    return { finer: cover(whole, columns, rows, overlap), complete: true };
  }
  if (wanted === 1 || long <= LONG * short) return none;
  const tile = Math.max(2 * short, whole.longSide);
  const shared = Math.min(overlap, short);
  const needed = Math.ceil((long - shared) / Math.max(1, tile - shared));
  const count = Math.min(needed, MAX_TILES);
  const [columns, rows] = width >= height ? [count, 1] : [1, count];
  return { finer: cover(whole, columns, rows, shared), complete: count === needed };
}

/** The grid of at most `count` tiles that minimizes the longest tile side. */
function grid(width: number, height: number, count: number): [columns: number, rows: number] {
  const longest = ([columns, rows]: [number, number]) => Math.max(width / columns, height / rows);
  return Array.from({ length: count }, (_, i): [number, number] => [
    i + 1,
    Math.floor(count / (i + 1)),
  ]).reduce((best, other) => {
    const gain = longest(best) - longest(other) || best[0] * best[1] - other[0] * other[1];
    return gain > 0 ? other : best;
  });
}

function cover(view: View, columns: number, rows: number, overlap: number): View[] {
  const { left, top, right, bottom } = view.place;
  const across = spans(left, right, columns, overlap);
  return spans(top, bottom, rows, overlap).flatMap(([top, bottom]) =>
    across.map(([left, right]) => new View({ left, top, right, bottom }, view.longSide)),
  );
}

/** `count` spans of equal length from `start` to `end`, each overlapping the next. */
function spans(
  start: number,
  end: number,
  count: number,
  overlap: number,
): [start: number, end: number][] {
  const length = end - start;
  // Neighbors never overlap by more than half, which would gain nothing.
  const shared = Math.min(overlap, Math.floor(length / (count + 1)));
  const span = Math.min(length, Math.ceil((length + shared * (count - 1)) / count));
  return Array.from({ length: count }, (_, index) => {
    const at = start + Math.floor(((length - span) * index) / Math.max(count - 1, 1));
    return [at, at + span];
  });
}

/** Split a view whose input would exceed LARGEST into parts of the same scale. */
function split(view: View): View[] {
  const { scale } = view;
  const parts = (side: number) =>
    side <= LARGEST ? 1 : Math.ceil((side - OVERLAP) / (LARGEST - OVERLAP));
  // Rounded, because 2900 * (1280 / 2900) is more than 1280.
  const scaled = (side: number) => Number((side * scale).toFixed(6));
  const columns = parts(scaled(view.width));
  const rows = parts(scaled(view.height));
  return cover(view, columns, rows, roundHalfEven(OVERLAP / scale)).map(
    (part) => new View(part.place, wholeCells(scaled(part.side))),
  );
}
