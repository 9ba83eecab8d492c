/** The served graphs in onnxruntime-node; their contract is in docs/reference/contract.md. */

import { join } from "node:path";
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { CALIBRATED, EMBEDDING_SIZE, LANDMARKS } from "../contract.js";
import { SECOND_SIDE, SIDE } from "./align.js";
import type { Candidate } from "./faces.js";
import type { Letterbox } from "./letterbox.js";
import type { Photo } from "./photo.js";

type Runtime = typeof import("onnxruntime-node");

/** The service's max_batch_size. */
const CHUNK = 8;

export interface Seen {
  /** All candidates, best first, in pixels of the letterbox. */
  candidates: Candidate[];
  detector: string;
  /** Where no face fits this well, the photo may be turned. 0: it reads turned faces rightly. */
  upright: number;
}

export interface Embedded {
  /** [F,512] */
  embeddings: Float32Array;
  /** [F]: their lengths before they were normalized. */
  norms: Float32Array;
  embedder: string;
  /** Six numbers, or none. */
  calibration: Float32Array;
}

export class Graphs {
  private constructor(
    private readonly runtime: Runtime,
    private readonly detector: InferenceSession,
    private readonly refiner: InferenceSession,
    private readonly embedder: InferenceSession,
  ) {}

  /** @param models a model_repository: NAME/1/model.onnx */
  static async load(runtime: Runtime, models: string): Promise<Graphs> {
    const open = (name: string) =>
      runtime.InferenceSession.create(join(models, name, "1", "model.onnx"), {
        executionProviders: ["cpu"],
        // One thread each: there are as many sessions as cores.
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
      });
    return new Graphs(
      runtime,
      await open("face_detection"),
      await open("face_landmarks"),
      await open("face_embedding"),
    );
  }

  async detect(input: Letterbox): Promise<Seen> {
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
   * Look once more at faces that are cut out: landmarks in the crop's pixels, and a score of 0
   * where no face is seen in the middle.
   */
  async refine(crops: Photo[]): Promise<Pick<Candidate, "landmarks" | "score">[]> {
    const seen = [];
    for (const chunk of this.chunks(crops, SECOND_SIDE)) {
      seen.push(...pointsOf(await this.refiner.run({ crops: chunk })));
    }
    return seen;
  }

  /** Embed at least one aligned crop. */
  async embed(crops: Photo[]): Promise<Embedded> {
    const embeddings = new Float32Array(crops.length * EMBEDDING_SIZE);
    const norms = new Float32Array(crops.length);
    let filled = 0;
    let embedder = "";
    let calibration: Float32Array = new Float32Array();
    for (const chunk of this.chunks(crops, SIDE)) {
      const answer = await this.embedder.run({ crops: chunk });
      const vectors = floats(answer, "embedding");
      embeddings.set(vectors, filled * EMBEDDING_SIZE);
      norms.set(floats(answer, "norm"), filled);
      filled += vectors.length / EMBEDDING_SIZE;
      embedder = text(answer, "model");
      calibration = floats(answer, "calibration").slice(0, CALIBRATED);
    }
    // NaN: not calibrated.
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

type Answer = InferenceSession.OnnxValueMapType;

/** Landmarks and score of each thing seen. */
function pointsOf(answer: Answer): Pick<Candidate, "landmarks" | "score">[] {
  const landmarks = floats(answer, "landmarks");
  return Array.from(floats(answer, "scores"), (score, i) => ({
    landmarks: Array.from(landmarks.subarray(2 * LANDMARKS * i, 2 * LANDMARKS * (i + 1))),
    score,
  }));
}

function floats(answer: Answer, name: string): Float32Array {
  return output(answer, name).data as Float32Array;
}

function text(answer: Answer, name: string): string {
  return (output(answer, name).data as string[])[0]!;
}

function output(answer: Answer, name: string): { data: unknown } {
  const tensor = answer[name];
  if (!tensor) throw new Error(`a graph has no output '${name}': run aurum models build`);
  return tensor as { data: unknown };
}
