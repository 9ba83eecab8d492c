/** The two served graphs in onnxruntime-node; their contract is in docs/contract.md. */

import { join } from "node:path";
import type { InferenceSession } from "onnxruntime-node";
import { CALIBRATED, EMBEDDING_SIZE, LANDMARKS } from "../contract.js";
import { SIDE } from "./align.js";
import type { Found } from "./faces.js";
import type { Letterbox } from "./letterbox.js";
import type { Photo } from "./photo.js";

type Runtime = typeof import("onnxruntime-node");

/** The service's max_batch_size. */
const CHUNK = 8;

export interface Embedded {
  /** [F,512] */
  embeddings: Float32Array;
  embedder: string;
  /** Six numbers, or none. */
  calibration: Float32Array;
}

export class Graphs {
  private constructor(
    private readonly runtime: Runtime,
    private readonly detector: InferenceSession,
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
    return new Graphs(runtime, await open("face_detection"), await open("face_embedding"));
  }

  /** All candidates, best first, in pixels of the letterbox. */
  async detect(input: Letterbox): Promise<{ candidates: Found[]; detector: string }> {
    const { Tensor } = this.runtime;
    const images = new Tensor("uint8", input.planes, [1, 3, input.height, input.width]);
    const answer = await this.detector.run({ images });
    const boxes = floats(answer, "boxes");
    const landmarks = floats(answer, "landmarks");
    const candidates = Array.from(floats(answer, "scores"), (score, i) => ({
      box: Array.from(boxes.subarray(4 * i, 4 * i + 4)) as Found["box"],
      landmarks: Array.from(landmarks.subarray(2 * LANDMARKS * i, 2 * LANDMARKS * (i + 1))),
      score,
    }));
    return { candidates, detector: text(answer, "model") };
  }

  /** Embed at least one aligned crop. */
  async embed(crops: Photo[]): Promise<Embedded> {
    const embeddings = new Float32Array(crops.length * EMBEDDING_SIZE);
    let embedder = "";
    let calibration: Float32Array = new Float32Array();
    for (let start = 0; start < crops.length; start += CHUNK) {
      const chunk = crops.slice(start, start + CHUNK);
      const pixels = new Uint8Array(Buffer.concat(chunk.map((crop) => crop.data)));
      const { Tensor } = this.runtime;
      const answer = await this.embedder.run({
        crops: new Tensor("uint8", pixels, [chunk.length, SIDE, SIDE, 3]),
      });
      embeddings.set(floats(answer, "embedding"), start * EMBEDDING_SIZE);
      embedder = text(answer, "model");
      calibration = floats(answer, "calibration").slice(0, CALIBRATED);
    }
    // NaN: not calibrated.
    const known = calibration.some(Number.isNaN) ? new Float32Array() : calibration;
    return { embeddings, embedder, calibration: known };
  }
}

type Answer = InferenceSession.OnnxValueMapType;

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
