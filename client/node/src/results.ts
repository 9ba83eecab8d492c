/**
 * The results of the calls. Coordinates are pixels of the upright photo (after its EXIF rotation),
 * with the origin at the top left, x to the right and y down. Faces are ordered by size, the
 * largest first.
 *
 * JSON.stringify accepts all results: typed arrays become lists.
 */

import type { Calibration } from "./calibration.js";
import {
  EMBEDDING_SIZE,
  LANDMARKS,
  LIVE_FROM,
  QUALITY_PARTS,
  type QualityPart,
  RECOGNIZABLE,
  type Source,
} from "./contract.js";
import type { AurumError } from "./errors.js";
import type { ResponseInfo } from "./headers.js";

/** A rectangle in pixels; `x` and `y` are those of its top left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The models that made a result, as `name@12hex`; null for a model that was not used. */
export interface ModelIds {
  detector: string | null;
  embedder: string | null;
}

/**
 * The parts of a face's quality. The service's docs/design/quality.md has formulas and sources.
 *
 * `resolution`: pixels between the eyes. `sharpness`, `exposure`, `frontality`, `confidence`:
 * 0 to 1, higher is better. `contrast`: 0 to 0.5. `symmetry`, `visibility`: -1 to 1, higher is
 * better. `noise`: gray levels. `yaw`, `pitch`, `roll`: degrees; a positive angle looks to the
 * right of the photo, looks up, leans clockwise. `misfit`: the landmark residual, in pixels of the
 * crop. `borderCut`: 0 to 1, the share of the box outside the photo. `norm`: the embedding's length
 * before normalization. `recognizability`: the distance of the embedding from those of
 * unrecognizable faces; 0 for embedders for which that is unknown.
 */
export type QualityParts = Record<QualityPart, number>;

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

/** One face, as `detect` finds it or as an app stored it. */
export class Face extends Result {
  readonly bbox: Box;
  /**
   * x and y of the image-left eye, image-right eye, nose, image-left and image-right mouth corner;
   * left and right are those of the upright face.
   */
  readonly landmarks: [x: number, y: number][];
  /** The detector's confidence, 0 to 1. */
  readonly score: number;
  /** The clockwise rotation that makes the face upright: 0, 90, 180 or 270 degrees. */
  readonly rotation: number;
  /** A unit vector of 512 numbers; null after `detect`. */
  readonly embedding: Float32Array | null;
  /** Suitability for recognition, 0 to 1; null if not assessed, as by `detect`. */
  readonly quality: number | null;
  readonly qualityParts: QualityParts | null;
  /** Whether enough of the face is visible for a meaningful comparison; null if unknown. */
  readonly recognizable: boolean | null;
  /** The quality part that makes it unrecognizable; else null. */
  readonly defect: QualityPart | null;
  /**
   * How likely the face is before the camera rather than a photo of it on paper or on a screen, 0
   * to 1. Absent unless the server runs with AURUM_LIVENESS=1.
   */
  declare readonly livenessScore?: number;
  /**
   * Whether `livenessScore` is at least 0.5; absent without it. This is advice: some real faces
   * fail it, and some attacks pass it. The service's docs/guides/liveness.md has the error rates.
   */
  declare readonly isLive?: boolean;

  constructor(face: Pick<Face, "bbox" | "landmarks" | "score"> & Partial<Assessed>) {
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
    if (face.livenessScore !== undefined) {
      this.livenessScore = face.livenessScore;
      this.isLive = face.livenessScore >= LIVE_FROM;
    }
  }
}

type Assessed = Pick<
  Face,
  | "rotation"
  | "embedding"
  | "quality"
  | "qualityParts"
  | "recognizable"
  | "defect"
  | "livenessScore"
>;

/** One face of an `Analysis`. */
export class AnalyzedFace extends Face {
  /** A unit vector of 512 numbers. */
  declare readonly embedding: Float32Array;

  constructor(face: ConstructorParameters<typeof Face>[0] & Pick<AnalyzedFace, "embedding">) {
    super(face);
  }
}

/** The base of all results: how they were made. */
export class Answer extends Result {
  /** The source that answered. */
  readonly source: Source;
  readonly models: ModelIds;
  /** Whether faces are made up, by the last fallback or by a server of simulated models. */
  readonly simulated: boolean;
  /** Width and height of the upright photo. */
  readonly imageSize: [width: number, height: number];
  /** False: faces may be missing, because of their number or because the photo is too long. */
  readonly complete: boolean;
  /** The id of the call in the server's logs and traces; null in restored results. */
  readonly requestId: string | null;
  /** The server's response; null if a fallback answered. Not part of the JSON. */
  readonly response: ResponseInfo | null;

  constructor(answer: AnswerFields) {
    super();
    this.source = answer.source;
    this.models = answer.models;
    this.simulated =
      answer.source === "simulated" ||
      Object.values(answer.models).some((id) => id?.startsWith("simulated"));
    this.imageSize = answer.imageSize;
    this.complete = answer.complete ?? true;
    this.requestId = answer.requestId ?? null;
    this.response = answer.response ?? null;
  }

  override toJSON(): Record<string, unknown> {
    const { response, ...json } = super.toJSON();
    return json;
  }
}

type AnswerFields = Pick<Answer, "source" | "models" | "imageSize"> &
  Partial<Pick<Answer, "complete" | "requestId" | "response">>;

export interface FacesFields extends AnswerFields {
  boxes: Float32Array;
  landmarks: Float32Array;
  scores: Float32Array;
  rotations: Int32Array;
}

/** The faces of one photo, the largest first; may be empty. Iterate over it, or use `faces`. */
export class Faces extends Answer implements Iterable<Face> {
  /** [F,4]: x, y, width, height. */
  readonly boxes: Float32Array;
  /** [F,5,2]. */
  readonly landmarks: Float32Array;
  /** [F], 0 to 1. */
  readonly scores: Float32Array;
  /** [F]: the clockwise rotation that makes each face upright, in degrees. */
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
    const { source, simulated, models, imageSize, complete, requestId, faces } = this;
    return { source, simulated, models, imageSize, complete, requestId, faces };
  }
}

export interface AnalysisFields extends FacesFields {
  embeddings: Float32Array;
  quality: Float32Array | null;
  qualityParts: QualityParts[] | null;
  gate: Int32Array | null;
  liveness?: Float32Array | null;
  calibration: Calibration | null;
}

/** `Faces` with embeddings and quality. */
export class Analysis extends Faces {
  /** [F,512]: a unit vector per face. */
  readonly embeddings: Float32Array;
  /** [F], 0 to 1; null if the source doesn't assess it. */
  readonly quality: Float32Array | null;
  readonly qualityParts: QualityParts[] | null;
  /** [F]: -1 for a recognizable face, else the index of its defect in QUALITY_PARTS; or null. */
  readonly gate: Int32Array | null;
  /** [F]: see `livenessScore` of `Face`; null if it isn't scored. */
  readonly liveness: Float32Array | null;
  /** The meaning of similarities of these embeddings; null if unknown. */
  readonly calibration: Calibration | null;

  constructor(fields: AnalysisFields) {
    super(fields);
    this.embeddings = fields.embeddings;
    this.quality = fields.quality;
    this.qualityParts = fields.qualityParts;
    this.gate = fields.gate;
    this.liveness = fields.liveness ?? null;
    this.calibration = fields.calibration;
  }

  /**
   * Whether `quality` is a probability: that the face matches a good photo of the same person at a
   * false accept rate of 1e-3. Otherwise it only ranks faces.
   */
  get qualityCalibrated(): boolean {
    return this.gate !== null;
  }

  override get faces(): AnalyzedFace[] {
    return super.faces as AnalyzedFace[]; // each from face()
  }

  override [Symbol.iterator](): Iterator<AnalyzedFace> {
    return this.faces.values();
  }

  protected override face(index: number): AnalyzedFace {
    const gate = this.gate?.[index];
    return new AnalyzedFace({
      ...super.face(index),
      embedding: this.embeddings.subarray(index * EMBEDDING_SIZE, (index + 1) * EMBEDDING_SIZE),
      quality: this.quality?.[index] ?? null,
      qualityParts: this.qualityParts?.[index] ?? null,
      recognizable: gate === undefined ? null : gate === RECOGNIZABLE,
      defect: QUALITY_PARTS[gate ?? RECOGNIZABLE] ?? null,
      ...(this.liveness ? { livenessScore: this.liveness[index]! } : {}),
    });
  }

  override toJSON(): Record<string, unknown> {
    const { faces, ...rest } = super.toJSON();
    return { ...rest, qualityCalibrated: this.qualityCalibrated, faces };
  }
}

/**
 * The embedding of one face. To restore a stored one, construct it from its vector, `models` and
 * `calibration`, with a `Face` of the other stored fields.
 */
export class Embedding extends Answer {
  /** A unit vector of 512 numbers. */
  readonly vector: Float32Array;
  /** The embedded face; for an aligned crop, its box is the whole crop. */
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

  /** The face's quality; null if not assessed, as by servers of version 0.1.0. */
  get quality(): number | null {
    return this.face.quality;
  }

  get qualityParts(): QualityParts | null {
    return this.face.qualityParts;
  }

  /** See `Face`. */
  get recognizable(): boolean | null {
    return this.face.recognizable;
  }

  /** See `Face`. */
  get defect(): QualityPart | null {
    return this.face.defect;
  }

  /** See `Face`; undefined if liveness isn't scored, as for an aligned crop. */
  get livenessScore(): number | undefined {
    return this.face.livenessScore;
  }

  /** See `Face`; undefined if liveness isn't scored, as for an aligned crop. */
  get isLive(): boolean | undefined {
    return this.face.isLive;
  }

  /** See `Analysis`. */
  get qualityCalibrated(): boolean {
    return this.face.recognizable !== null;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), qualityCalibrated: this.qualityCalibrated };
  }
}

export type BreakerState = "closed" | "open" | "halfOpen";

/** The health of one server, by its own report and by one real inference. */
export interface EndpointHealth {
  url: string;
  live: boolean;
  ready: boolean;
  /** Latency of the inference of a tiny image, in milliseconds; null if it failed. */
  latencyMs: number | null;
  /** The models that answered it; null if it failed. */
  models: ModelIds | null;
  breaker: BreakerState;
  /** The first error. */
  error: AurumError | null;
}

export interface Health {
  /** Whether at least one server is live, ready and answered the inference. */
  ok: boolean;
  /** The source that the next call starts with; null if none is usable. */
  mode: Source | null;
  endpoints: EndpointHealth[];
  /** The local fallback; null if it is off. */
  local: { ready: boolean; models: ModelIds | null; error: AurumError | null } | null;
  /** Whether made-up answers are allowed as the last fallback. */
  simulated: boolean;
}

/** An input or output of a model; -1 in `shape` is a variable size. */
export interface TensorInfo {
  name: string;
  datatype: string;
  shape: number[];
}

/** One of the server's public models, from Triton's metadata. */
export interface ModelInfo {
  name: string;
  /** Empty if the server doesn't have the model. */
  versions: string[];
  ready: boolean;
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  /** The `name@12hex` of `face_detection` or `face_embedding`; null for pipelines. */
  id: string | null;
}
