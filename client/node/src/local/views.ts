/**
 * Which parts of a photo the detector looks at, how large, and turned by how much, as
 * aurum/imaging/views.py.
 */

import { type Turn, WHOLE } from "./faces.js";
import { CELL, fitted, SMALLEST, wholeCells } from "./letterbox.js";
import { roundHalfEven } from "./resize.js";

const MAX_TILES = 16;
/** A photo longer than this many times its width is looked at in tiles of twice its width. */
const LONG = 2.5;
/**
 * The detector's memory grows with its input. A finer look is made in parts of this many pixels,
 * which overlap by a fifth where it is the finest that is allowed.
 */
const LARGEST = 1280;
const OVERLAP = 256;
/** Faces of this many pixels in the whole photo's look are found there: tiles overlap by as much. */
const SEEN = 32;

interface Rectangle {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** A part of the photo, and how the detector gets it. */
export class View {
  constructor(
    readonly place: Readonly<Rectangle>,
    /** Pixels of the detector's input that its longer side gets, at most. */
    readonly longSide: number,
    /** Degrees, clockwise. */
    readonly turn: Turn = 0,
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

  /** Pixels of the input for one of the photo's. */
  get scale(): number {
    return fitted(this.side, this.longSide) / this.side;
  }

  /** Pixels that the detector gets. */
  get work(): number {
    return wholeCells(this.width * this.scale) * wholeCells(this.height * this.scale);
  }

  /** The same part, turned, at no more than `shrink` times the size. */
  turned(turn: Turn, shrink: number): View {
    if (shrink === 1) return new View(this.place, this.longSide, turn);
    const side = Math.trunc(fitted(this.side, this.longSide) * shrink);
    return new View(this.place, Math.max(CELL, side - (side % CELL)), turn);
  }
}

/** The looks that a photo gets, for one turn of it. */
export class Plan {
  constructor(
    /** Views of one scale each, which together show the whole photo; the finest first. */
    readonly levels: readonly (readonly View[])[],
    /** False: the photo's shape asks for more than MAX_TILES tiles. */
    readonly complete: boolean,
  ) {}

  /** One of the finest views, which are alike. */
  get finest(): View {
    return this.levels[0]![0]!;
  }

  /** Pixels that the detector gets. */
  get work(): number {
    return workOf(this.levels.flat());
  }

  /** The finest views, turned, at `shrink` times their size. */
  turned(turn: Turn, shrink: number): Plan {
    return new Plan([this.levels[0]!.map((view) => view.turned(turn, shrink))], this.complete);
  }
}

export function workOf(views: readonly View[]): number {
  return views.reduce((sum, view) => sum + view.work, 0);
}

/**
 * The looks at a photo that is not turned: the whole photo at `detectionSize`; if that is more
 * than WHOLE pixels, again at SMALLEST, for faces too large for the first; and as a finer level
 * `tiles` parts, each at `detectionSize`.
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

/** At most MAX_TILES tiles, none where they would show no more than the whole photo. */
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

/** Columns and rows, at most `count` in all, whose largest tile side is the smallest. */
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
  // Neighbours never overlap by more than a half: else there would be as little gained as lost.
  const shared = Math.min(overlap, Math.floor(length / (count + 1)));
  const span = Math.min(length, Math.ceil((length + shared * (count - 1)) / count));
  return Array.from({ length: count }, (_, index) => {
    const at = start + Math.floor(((length - span) * index) / Math.max(count - 1, 1));
    return [at, at + span];
  });
}

/** A view whose input would exceed LARGEST, in parts of the same scale. */
function split(view: View): View[] {
  const { scale } = view;
  const parts = (side: number) =>
    side <= LARGEST ? 1 : Math.ceil((side - OVERLAP) / (LARGEST - OVERLAP));
  // Rounded: 2900 * (1280 / 2900) is more than 1280.
  const scaled = (side: number) => Number((side * scale).toFixed(6));
  const columns = parts(scaled(view.width));
  const rows = parts(scaled(view.height));
  return cover(view, columns, rows, roundHalfEven(OVERLAP / scale)).map(
    (part) => new View(part.place, wholeCells(scaled(part.side))),
  );
}
