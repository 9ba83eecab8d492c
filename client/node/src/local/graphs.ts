/** The served ONNX graphs in onnxruntime-node; docs/reference/contract.md describes them. */

import type { InferenceSession, Tensor } from "onnxruntime-node";
import {
  ALIGNED_SIZE,
  CALIBRATION_SIZE,
  DETECTOR,
  EMBEDDER,
  EMBEDDING_SIZE,
  LANDMARKER,
  LANDMARKS,
} from "../contract.js";
import { REFINER_SIZE } from "./align.js";
import type { Candidate } from "./faces.js";
import type { Letterbox } from "./letterbox.js";
import type { Photo } from "./photo.js";
import { graphFile } from "./requirements.js";

type Runtime = typeof import("onnxruntime-node");

/** The service's max_batch_size. */
const CHUNK = 8;

export interface Detections {
  /** All candidates, best first, in pixels of the letterbox. */
  candidates: Candidate[];
  detector: string;
  /** If no face fits this well, the photo may be rotated; 0 for detectors that handle that. */
  upright: number;
}

export interface CropEmbeddings {
  /** [F,512] */
  embeddings: Float32Array;
  /** [F]: their lengths before normalization. */
  norms: Float32Array;
  embedder: string;
  /** CALIBRATION_SIZE numbers, or none. */
  calibration: Float32Array;
}

export class Graphs {
  private constructor(
    private readonly runtime: Runtime,
    private readonly detector: InferenceSession,
    private readonly refiner: InferenceSession,
    private readonly embedder: InferenceSession,
  ) {}

  /** Load the graphs. @param models a model_repository: NAME/1/model.onnx */
  static async load(runtime: Runtime, models: string): Promise<Graphs> {
    const open = (name: string) =>
      runtime.InferenceSession.create(graphFile(models, name), {
        executionProviders: ["cpu"],
        // One thread each: there is a session per core.
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
      });
    return new Graphs(runtime, await open(DETECTOR), await open(LANDMARKER), await open(EMBEDDER));
  }

  async detect(input: Letterbox): Promise<Detections> {
    const { Tensor } = this.runtime;
    const images = new Tensor("uint8", input.planes, [1, 3, input.height, input.width]);
    const answer = await this.detector.run({ images });
    const boxes = floats(answer, "boxes");
    const candidates = pointsOf(answer).map((point, i) => ({
      box: Array.from(boxes.subarray(4 * i, 4 * i + 4)) as Candidate["box"],
      ...point,
    }));
    const [upright] = floats(answer, "upright");
    return { candidates, detector: text(answer, "model"), upright: upright! };
  }

  /**
   * Run the refiner on crops: landmarks in the crop's pixels, and a score of 0 if no face is in the
   * middle.
   */
  async refine(crops: Photo[]): Promise<Pick<Candidate, "landmarks" | "score">[]> {
    const seen = [];
    for (const chunk of this.chunks(crops, REFINER_SIZE)) {
      seen.push(...pointsOf(await this.refiner.run({ crops: chunk })));
    }
    return seen;
  }

  /** Embed at least one aligned crop. */
  async embed(crops: Photo[]): Promise<CropEmbeddings> {
    const embeddings = new Float32Array(crops.length * EMBEDDING_SIZE);
    const norms = new Float32Array(crops.length);
    let filled = 0;
    let embedder = "";
    let calibration: Float32Array = new Float32Array();
    for (const chunk of this.chunks(crops, ALIGNED_SIZE)) {
      const answer = await this.embedder.run({ crops: chunk });
      const vectors = floats(answer, "embedding");
      embeddings.set(vectors, filled * EMBEDDING_SIZE);
      norms.set(floats(answer, "norm"), filled);
      filled += vectors.length / EMBEDDING_SIZE;
      embedder = text(answer, "model");
      calibration = floats(answer, "calibration").slice(0, CALIBRATION_SIZE);
    }
    // NaN stands for no calibration.
    const known = calibration.some(Number.isNaN) ? new Float32Array() : calibration;
    return { embeddings, norms, embedder, calibration: known };
  }

  private *chunks(crops: Photo[], side: number): Generator<Tensor> {
    for (let start = 0; start < crops.length; start += CHUNK) {
      const chunk = crops.slice(start, start + CHUNK);
      const pixels = new Uint8Array(Buffer.concat(chunk.map((crop) => crop.data)));
      yield new this.runtime.Tensor("uint8", pixels, [chunk.length, side, side, 3]);
    }
  }
}

type Tensors = InferenceSession.OnnxValueMapType;

/** The landmarks and score of each detection. */
function pointsOf(answer: Tensors): Pick<Candidate, "landmarks" | "score">[] {
  const landmarks = floats(answer, "landmarks");
  return Array.from(floats(answer, "scores"), (score, i) => ({
    landmarks: Array.from(landmarks.subarray(2 * LANDMARKS * i, 2 * LANDMARKS * (i + 1))),
    score,
  }));
}

function floats(answer: Tensors, name: string): Float32Array {
  return output(answer, name).data as Float32Array;
}

function text(answer: Tensors, name: string): string {
  return (output(answer, name).data as string[])[0]!;
}

function output(answer: Tensors, name: string): { data: unknown } {
  const tensor = answer[name];
  if (!tensor) throw new Error(`a graph has no output '${name}': run aurum models build`);
  return tensor as { data: unknown };
}
