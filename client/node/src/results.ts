/**
 * What the calls return. Coordinates are pixels of the upright photo (its EXIF rotation applied),
 * origin at the top left, x to the right, y down. Faces come largest first.
 *
 * All results can go into JSON.stringify: typed arrays become lists.
 */

import type { Calibration } from "./calibration.js";
import { EMBEDDING_SIZE, LANDMARKS, RECOGNIZABLE, type Source } from "./contract.js";
import type { AurumError } from "./errors.js";

/** A rectangle in pixels; `x` and `y` are its top left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Which models made a result, as `name@12hex`; null for one that took no part. */
export interface ModelIds {
  detector: string | null;
  embedder: string | null;
}

/** The columns of `qualityParts`, in the wire's order. */
export const QUALITY_PARTS = [
  "resolution",
  "sharpness",
  "noise",
  "exposure",
  "contrast",
  "yaw",
  "pitch",
  "roll",
  "frontality",
  "symmetry",
  "visibility",
  "misfit",
  "borderCut",
  "confidence",
  "norm",
  "recognizability",
] as const;

/**
 * What a face's quality is made of; docs/design/quality.md of the service has formulas and sources.
 *
 * `resolution`: pixels between the eyes. `sharpness`, `exposure`, `frontality`, `confidence`:
 * 0 to 1, the more the better. `contrast`: 0 to 0.5. `symmetry`, `visibility`: -1 to 1, the more
 * the better. `noise`: gray levels. `yaw`, `pitch`, `roll`: degrees; positive looks to the photo's
 * right, up, and leans clockwise. `misfit`: pixels of the crop. `borderCut`: 0 to 1, the share of
 * the box outside the photo. `norm`: the embedding's length before it was normalized.
 * `recognizability`: how far the embedding is from those of faces that nobody recognizes; 0 for
 * embedders of which that is not known.
 */
export type QualityParts = Record<QualityPart, number>;
export type QualityPart = (typeof QUALITY_PARTS)[number];

class Result {
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this).map(([name, value]) => [
        name,
        value instanceof Float32Array ? Array.from(value) : value,
      ]),
    );
  }
}

/** One face. */
export class Face extends Result {
  readonly bbox: Box;
  /**
   * x and y of: image-left eye, image-right eye, nose, image-left and image-right mouth corner;
   * left and right as they are once the face is upright.
   */
  readonly landmarks: [x: number, y: number][];
  /** The detector's confidence, 0 to 1. */
  readonly score: number;
  /** The clockwise degrees that make the face upright: 0, 90, 180 or 270. */
  readonly rotation: number;
  /** 512 numbers of length 1; null after `detect`. */
  readonly embedding: Float32Array | null;
  /** How fit for recognition, 0 to 1; null where it was not judged, as by `detect`. */
  readonly quality: number | null;
  readonly qualityParts: QualityParts | null;
  /** Whether so much of it can be seen that a comparison means something; null: not told. */
  readonly recognizable: boolean | null;
  /** The quality part that says why it is not recognizable; else null. */
  readonly defect: QualityPart | null;

  constructor(face: Pick<Face, "bbox" | "landmarks" | "score"> & Partial<Judged>) {
    super();
    this.bbox = face.bbox;
    this.landmarks = face.landmarks;
    this.score = face.score;
    this.rotation = face.rotation ?? 0;
    this.embedding = face.embedding ?? null;
    this.quality = face.quality ?? null;
    this.qualityParts = face.qualityParts ?? null;
    this.recognizable = face.recognizable ?? null;
    this.defect = face.defect ?? null;
  }
}

type Judged = Pick<
  Face,
  "rotation" | "embedding" | "quality" | "qualityParts" | "recognizable" | "defect"
>;

/** What all answers say of how they were made. */
export class Answer extends Result {
  /** Who answered. */
  readonly source: Source;
  readonly models: ModelIds;
  /** True where faces are made up: by the last rung, or by a server of simulated models. */
  readonly simulated: boolean;
  /** Width and height of the upright photo. */
  readonly imageSize: [width: number, height: number];
  /** False: faces may be missing, as there are too many, or the photo is too long for its tiles. */
  readonly complete: boolean;

  constructor(answer: AnswerFields) {
    super();
    this.source = answer.source;
    this.models = answer.models;
    this.simulated =
      answer.source === "simulated" ||
      Object.values(answer.models).some((id) => id?.startsWith("simulated"));
    this.imageSize = answer.imageSize;
    this.complete = answer.complete ?? true;
  }
}

type AnswerFields = Pick<Answer, "source" | "models" | "imageSize"> &
  Partial<Pick<Answer, "complete">>;

export interface FacesFields extends AnswerFields {
  boxes: Float32Array;
  landmarks: Float32Array;
  scores: Float32Array;
  rotations: Int32Array;
}

/** The faces of one photo, the largest first, maybe none; iterate over it, or use `faces`. */
export class Faces extends Answer implements Iterable<Face> {
  /** [F,4]: x, y, width, height. */
  readonly boxes: Float32Array;
  /** [F,5,2]. */
  readonly landmarks: Float32Array;
  /** [F], 0 to 1. */
  readonly scores: Float32Array;
  /** [F]: the clockwise degrees that make each face upright. */
  readonly rotations: Int32Array;

  constructor(fields: FacesFields) {
    super(fields);
    this.boxes = fields.boxes;
    this.landmarks = fields.landmarks;
    this.scores = fields.scores;
    this.rotations = fields.rotations;
  }

  get length(): number {
    return this.scores.length;
  }

  get faces(): Face[] {
    return Array.from(this.scores.keys(), (index) => this.face(index));
  }

  [Symbol.iterator](): Iterator<Face> {
    return this.faces.values();
  }

  protected face(index: number): Face {
    const [x, y, width, height] = this.boxes.subarray(index * 4) as unknown as number[];
    const points = this.landmarks.subarray(index * LANDMARKS * 2);
    return new Face({
      bbox: { x: x!, y: y!, width: width!, height: height! },
      landmarks: Array.from({ length: LANDMARKS }, (_, i) => [points[2 * i]!, points[2 * i + 1]!]),
      score: this.scores[index]!,
      rotation: this.rotations[index]!,
    });
  }

  override toJSON(): Record<string, unknown> {
    const { source, simulated, models, imageSize, complete, faces } = this;
    return { source, simulated, models, imageSize, complete, faces };
  }
}

export interface AnalysisFields extends FacesFields {
  embeddings: Float32Array;
  quality: Float32Array | null;
  qualityParts: QualityParts[] | null;
  gate: Int32Array | null;
  calibration: Calibration | null;
}

/** `Faces` with their embeddings and their quality. */
export class Analysis extends Faces {
  /** [F,512], each row of length 1. */
  readonly embeddings: Float32Array;
  /** [F], 0 to 1; null where the source does not judge it. */
  readonly quality: Float32Array | null;
  readonly qualityParts: QualityParts[] | null;
  /** [F]: -1 for a recognizable face, else the index in QUALITY_PARTS of why it is not; or null. */
  readonly gate: Int32Array | null;
  /** What similarities of these embeddings mean, null where that is not known. */
  readonly calibration: Calibration | null;

  constructor(fields: AnalysisFields) {
    super(fields);
    this.embeddings = fields.embeddings;
    this.quality = fields.quality;
    this.qualityParts = fields.qualityParts;
    this.gate = fields.gate;
    this.calibration = fields.calibration;
  }

  /**
   * Whether `quality` is a probability: of being recognized, at a false accept rate of 1e-3, beside
   * a good photo of the same person. Otherwise it only orders faces.
   */
  get qualityCalibrated(): boolean {
    return this.gate !== null;
  }

  protected override face(index: number): Face {
    const gate = this.gate?.[index];
    return new Face({
      ...super.face(index),
      embedding: this.embeddings.subarray(index * EMBEDDING_SIZE, (index + 1) * EMBEDDING_SIZE),
      quality: this.quality?.[index] ?? null,
      qualityParts: this.qualityParts?.[index] ?? null,
      recognizable: gate === undefined ? null : gate === RECOGNIZABLE,
      defect: QUALITY_PARTS[gate ?? RECOGNIZABLE] ?? null,
    });
  }

  override toJSON(): Record<string, unknown> {
    const { faces, ...rest } = super.toJSON();
    return { ...rest, qualityCalibrated: this.qualityCalibrated, faces };
  }
}

/**
 * The embedding of one face. One that you kept can be made anew from its vector, its `models` and
 * its `calibration`, with a `Face` of what else you kept.
 */
export class Embedding extends Answer {
  /** 512 numbers of length 1. */
  readonly vector: Float32Array;
  /** Where that face is: for an aligned crop, the whole crop. */
  readonly face: Face;
  readonly calibration: Calibration | null;

  constructor(
    embedding: AnswerFields &
      Pick<Embedding, "face" | "vector"> &
      Partial<Pick<Embedding, "calibration">>,
  ) {
    super(embedding);
    this.vector = embedding.vector;
    this.face = embedding.face;
    this.calibration = embedding.calibration ?? null;
  }

  /** The face's quality; null where it was not judged, as by servers of version 0.1.0. */
  get quality(): number | null {
    return this.face.quality;
  }

  get qualityParts(): QualityParts | null {
    return this.face.qualityParts;
  }

  /** As of `Face`. */
  get recognizable(): boolean | null {
    return this.face.recognizable;
  }

  /** As of `Face`. */
  get defect(): QualityPart | null {
    return this.face.defect;
  }

  /** As of `Analysis`. */
  get qualityCalibrated(): boolean {
    return this.face.recognizable !== null;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), qualityCalibrated: this.qualityCalibrated };
  }
}

export type BreakerState = "closed" | "open" | "halfOpen";

/** How one endpoint is, from its own word and from one real inference. */
export interface EndpointHealth {
  url: string;
  live: boolean;
  ready: boolean;
  /** Milliseconds that the inference of a tiny image took, null if it failed. */
  latencyMs: number | null;
  /** Who answered it, null if it failed. */
  models: ModelIds | null;
  breaker: BreakerState;
  /** The first thing that went wrong. */
  error: AurumError | null;
}

export interface Health {
  /** Whether at least one endpoint is live, ready and proven to infer. */
  ok: boolean;
  /** The rung that the next call begins with, null if there is none. */
  mode: Source | null;
  endpoints: EndpointHealth[];
  /** The local rung, null where there is none. */
  local: { ready: boolean; models: ModelIds | null; error: AurumError | null } | null;
  /** Whether made-up answers are allowed as the last rung. */
  simulated: boolean;
}

/** An input or output of a model; a size of -1 in `shape` may vary. */
export interface TensorInfo {
  name: string;
  datatype: string;
  shape: number[];
}

/** One of the server's public models, from Triton's metadata. */
export interface ModelInfo {
  name: string;
  /** Empty where the server does not have it. */
  versions: string[];
  ready: boolean;
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  /** The `name@12hex` behind `face_detection` or `face_embedding`; null for the pipelines. */
  id: string | null;
}
