/**
 * All looks of the detector at one photo: at several scales, at each face again, and turned, as
 * aurum/pipeline/look.py.
 */

import type { Checked } from "../options.js";
import { cutForSecondLook, mapBack } from "./align.js";
import {
  bestApart,
  bestReadings,
  type Candidate,
  type Found,
  isComplete,
  largestFirst,
  promised,
  type Turn,
  WHOLE,
  withoutFragments,
} from "./faces.js";
import type { Graphs } from "./graphs.js";
import { fitted, type Letterbox, SMALLEST } from "./letterbox.js";
import { look, Picture } from "./look.js";
import type { Photo } from "./photo.js";
import { type Plan, plan, workOf } from "./views.js";

const TURNS: readonly Turn[] = [90, 180, 270];
/** So many of a photo's largest faces are looked at once more. */
const MAX_SECOND_LOOKS = 256;
/** How high, in pixels of the detector's input, a face is looked at to learn which turn it has. */
const TELLING = 64;
/** What has fewer pixels in a coarser look's input, the finer one sees better. */
const LEAST_COARSE = 24;
/** Of the size: what noise hides is seen where it is averaged. */
const AVERAGED = 0.3;
/** All that a photo costs, in looks at the size that was asked for, whatever is in it. */
const MOST_WORK = 4;
/** What only a turned look sees is a face where it fits so well. */
const TURNED_FIT = 0.75;

/** One photo, looked at as often as its faces need. */
export class Looks {
  /** The detector's id, once it has looked. */
  detector = "";
  /** False: a list of candidates filled up, or the photo's shape asks for more tiles. */
  complete: boolean;
  private upright = 0;
  private workLeft: number;
  private readonly plan: Plan;
  private readonly picture: Picture;
  private readonly minConfidence: number;

  constructor(
    private readonly photo: Photo,
    private readonly options: Checked,
    private readonly nmsIou: number,
    private readonly graphs: Pick<Graphs, "detect" | "refine">,
  ) {
    this.picture = new Picture(photo);
    this.plan = plan(photo.width, photo.height, options.detectionSize, options.tiles);
    this.workLeft = MOST_WORK * workOf(this.plan.levels[0]!);
    this.complete = this.plan.complete;
    this.minConfidence = Math.fround(options.minConfidence); // as scores are
  }

  /** The photo's faces, largest first, as many as the options want. */
  async faces(): Promise<Found[]> {
    let found = await this.see(this.plan);
    if (found.length === 0) found = await this.see(this.plan.turned(0, AVERAGED));
    const faces = await this.refined(this.first(found));
    const best = bestFit(faces);
    const doubtful = faces.length === 0 || best < this.upright;
    if (this.options.orientation !== "auto" || !doubtful) return faces;
    return this.first(await this.withTurned(faces, best));
  }

  private first(faces: Found[]): Found[] {
    return faces.slice(0, this.options.maxFaces || faces.length);
  }

  /** The faces of all levels, each once, largest first. */
  private async see(planned: Plan): Promise<Found[]> {
    this.workLeft -= planned.work;
    const detect = (input: Letterbox) => this.detect(input);
    let faces: Found[] = [];
    let finer = Number.POSITIVE_INFINITY; // pixels, above which faces are torn apart
    for (const views of planned.levels) {
      let found: Found[] = [];
      for (const view of views) {
        found.push(...(await look(this.picture, view, detect, this.minConfidence, this.nmsIou)));
      }
      if (views !== planned.levels[0]) {
        const { scale } = views[0]!;
        found = found.filter(({ box }) => Math.max(box[2], box[3]) * scale >= LEAST_COARSE);
      }
      faces = bestApart([...withoutFragments(faces, found, finer), ...found], this.nmsIou);
      finer = WHOLE / views[0]!.scale;
    }
    return largestFirst(faces);
  }

  private async detect(input: Letterbox): Promise<Candidate[]> {
    const { candidates: listed, detector, upright } = await this.graphs.detect(input);
    this.detector = detector;
    this.upright = upright;
    const candidates = promised(listed);
    this.complete &&= isComplete(candidates, this.minConfidence);
    return candidates;
  }

  /** The largest faces' landmarks from a second look at each; fits tell how sure it is. */
  private async refined(faces: Found[]): Promise<Found[]> {
    if (!this.options.refine || faces.length === 0) return faces;
    const cuts = faces
      .slice(0, MAX_SECOND_LOOKS)
      .map((face) => ({ face, ...cutForSecondLook(this.photo, face) }));
    const seen = await this.graphs.refine(cuts.map(({ crop }) => crop));
    const again = cuts.map(({ face, matrix }, i) => {
      const { landmarks, score } = seen[i]!;
      return {
        ...face,
        landmarks: score > 0 ? mapBack(landmarks, matrix) : face.landmarks,
        fit: Math.fround((face.fit + score) / 2),
      };
    });
    return [...again, ...faces.slice(MAX_SECOND_LOOKS)];
  }

  /** What three turned looks see better, or see alone, beside the faces found so far. */
  private async withTurned(faces: Found[], best: number): Promise<Found[]> {
    const shrink = this.telling(faces);
    const turns: { turn: Turn; seen: Found[] }[] = [];
    for (const turn of TURNS) {
      turns.push({
        turn,
        seen: await this.refined(await this.see(this.plan.turned(turn, shrink))),
      });
    }
    const readings = [...faces];
    for (const { turn, seen: coarse } of turns.sort((a, b) => bestFit(b.seen) - bestFit(a.seen))) {
      if (bestFit(coarse) <= best || bestFit(coarse) < TURNED_FIT) break;
      let seen = coarse;
      const again = this.plan.turned(turn, 1);
      if (shrink < 1 && again.work <= this.workLeft) {
        const both = bestApart([...(await this.see(again)), ...coarse], this.nmsIou);
        seen = await this.refined(largestFirst(both));
      }
      readings.push(...seen.filter(({ fit }) => fit >= TURNED_FIT));
    }
    return largestFirst(bestReadings(readings, this.nmsIou));
  }

  /** At what share of the finest look's size the turned looks are enough. */
  private telling(faces: Found[]): number {
    const { side, longSide, scale } = this.plan.finest;
    const least = Math.min(SMALLEST / fitted(side, longSide), 0.5);
    if (faces.length === 0) return least;
    const { box } = faces.reduce((best, face) => (face.fit > best.fit ? face : best));
    const share = Math.min(Math.max(TELLING / (Math.max(box[2], box[3]) * scale), least), 1);
    // Turned looks at full size still have to leave the photo within its work.
    const whole = workOf(this.plan.levels[0]!);
    return Math.min(share, Math.sqrt(this.workLeft / (TURNS.length * whole)));
  }
}

function bestFit(faces: Found[]): number {
  return Math.max(0, ...faces.map(({ fit }) => fit));
}
