/**
 * All detection passes over one photo: at several scales, refined per face, and rotated, like
 * aurum/pipeline/look.py.
 */

import type { CheckedOptions } from "../options.js";
import { cutForRefiner, mapBack } from "./align.js";
import {
  bestRotations,
  type Candidate,
  type DetectedFace,
  guaranteed,
  isComplete,
  largestFirst,
  type Rotation,
  suppressOverlaps,
  WHOLE,
  withoutFragments,
} from "./faces.js";
import type { Graphs } from "./graphs.js";
import { fitted, type Letterbox, SMALLEST } from "./letterbox.js";
import { look, Picture } from "./look.js";
import type { Photo } from "./photo.js";
import { type Plan, plan, workOf } from "./views.js";

const ROTATIONS: readonly Rotation[] = [90, 180, 270];
/** The most faces of a photo that are refined, the largest first. */
const MAX_REFINED = 256;
/** The height of a face, in pixels of the detector's input, that shows its rotation. */
const ROTATION_SIZE = 64;
/** Faces with fewer pixels than this at a coarse scale are left to the finer one. */
const MIN_COARSE = 24;
/** The scale of a last pass if no face is found: averaging reveals faces hidden by noise. */
const DENOISING_SCALE = 0.3;
/** The most work per photo, in passes at the requested size. */
const MAX_WORK = 4;
/** The lowest fit of a face that only a rotated pass detects. */
const MIN_ROTATED_FIT = 0.75;

/** Face detection in one photo, with as many passes as its faces need. */
export class Looks {
  /** The detector's id; empty before the first pass. */
  detector = "";
  /** False: a list of candidates was full, or the photo's shape needs more tiles. */
  complete: boolean;
  private upright = 0;
  private workLeft: number;
  private readonly plan: Plan;
  private readonly picture: Picture;
  private readonly minConfidence: number;

  constructor(
    private readonly photo: Photo,
    private readonly options: CheckedOptions,
    private readonly nmsIou: number,
    private readonly graphs: Pick<Graphs, "detect" | "refine">,
  ) {
    this.picture = new Picture(photo);
    this.plan = plan(photo.width, photo.height, options.detectionSize, options.tiles);
    this.workLeft = MAX_WORK * workOf(this.plan.levels[0]!);
    this.complete = this.plan.complete;
    this.minConfidence = Math.fround(options.minConfidence); // scores are float32
  }

  /** Detect the photo's faces, largest first, up to `maxFaces`. */
  async faces(): Promise<DetectedFace[]> {
    let found = await this.see(this.plan);
    if (found.length === 0) found = await this.see(this.plan.rotated(0, DENOISING_SCALE));
    const faces = await this.refined(this.first(found));
    const best = bestFit(faces);
    const doubtful = faces.length === 0 || best < this.upright;
    if (this.options.orientation !== "auto" || !doubtful) return faces;
    return this.first(await this.withRotated(faces, best));
  }

  private first(faces: DetectedFace[]): DetectedFace[] {
    return faces.slice(0, this.options.maxFaces || faces.length);
  }

  /** Detect faces on all levels and merge them, largest first. */
  private async see(planned: Plan): Promise<DetectedFace[]> {
    this.workLeft -= planned.work;
    const detect = (input: Letterbox) => this.detect(input);
    let faces: DetectedFace[] = [];
    let finer = Number.POSITIVE_INFINITY; // pixels, above which faces may be split
    for (const views of planned.levels) {
      let found: DetectedFace[] = [];
      for (const view of views) {
        found.push(...(await look(this.picture, view, detect, this.minConfidence, this.nmsIou)));
      }
      if (views !== planned.levels[0]) {
        const { scale } = views[0]!;
        found = found.filter(({ box }) => Math.max(box[2], box[3]) * scale >= MIN_COARSE);
      }
      faces = suppressOverlaps([...withoutFragments(faces, found, finer), ...found], this.nmsIou);
      finer = WHOLE / views[0]!.scale;
    }
    return largestFirst(faces);
  }

  private async detect(input: Letterbox): Promise<Candidate[]> {
    const { candidates: listed, detector, upright } = await this.graphs.detect(input);
    this.detector = detector;
    this.upright = upright;
    const candidates = guaranteed(listed);
    this.complete &&= isComplete(candidates, this.minConfidence);
    return candidates;
  }

  /** Refine the landmarks of the largest faces, and average their fits. */
  private async refined(faces: DetectedFace[]): Promise<DetectedFace[]> {
    if (!this.options.refine || faces.length === 0) return faces;
    const cuts = faces
      .slice(0, MAX_REFINED)
      .map((face) => ({ face, ...cutForRefiner(this.photo, face) }));
    const seen = await this.graphs.refine(cuts.map(({ crop }) => crop));
    const again = cuts.map(({ face, matrix }, i) => {
      const { landmarks, score } = seen[i]!;
      return {
        ...face,
        landmarks: score > 0 ? mapBack(landmarks, matrix) : face.landmarks,
        fit: Math.fround((face.fit + score) / 2),
      };
    });
    return [...again, ...faces.slice(MAX_REFINED)];
  }

  /** Add faces from three rotated passes that fit better than `faces`, or that only these show. */
  private async withRotated(faces: DetectedFace[], best: number): Promise<DetectedFace[]> {
    const scale = this.rotatedScale(faces);
    const passes: { rotation: Rotation; seen: DetectedFace[] }[] = [];
    for (const rotation of ROTATIONS) {
      passes.push({
        rotation,
        seen: await this.refined(await this.see(this.plan.rotated(rotation, scale))),
      });
    }
    const readings = [...faces];
    for (const { rotation, seen: coarse } of passes.sort(
      (a, b) => bestFit(b.seen) - bestFit(a.seen),
    )) {
      if (bestFit(coarse) <= best || bestFit(coarse) < MIN_ROTATED_FIT) break;
      let seen = coarse;
      const again = this.plan.rotated(rotation, 1);
      if (scale < 1 && again.work <= this.workLeft) {
        const both = suppressOverlaps([...(await this.see(again)), ...coarse], this.nmsIou);
        seen = await this.refined(largestFirst(both));
      }
      readings.push(...seen.filter(({ fit }) => fit >= MIN_ROTATED_FIT));
    }
    return largestFirst(bestRotations(readings, this.nmsIou));
  }

  /** The scale of the rotated passes, as a share of the finest pass. */
  private rotatedScale(faces: DetectedFace[]): number {
    const { side, longSide, scale } = this.plan.finest;
    const least = Math.min(SMALLEST / fitted(side, longSide), 0.5);
    if (faces.length === 0) return least;
    const { box } = faces.reduce((best, face) => (face.fit > best.fit ? face : best));
    const share = Math.min(Math.max(ROTATION_SIZE / (Math.max(box[2], box[3]) * scale), least), 1);
    // Even at full size, the rotated passes must not exceed the photo's work.
    const whole = workOf(this.plan.levels[0]!);
    return Math.min(share, Math.sqrt(this.workLeft / (ROTATIONS.length * whole)));
  }
}

function bestFit(faces: DetectedFace[]): number {
  return Math.max(0, ...faces.map(({ fit }) => fit));
}
