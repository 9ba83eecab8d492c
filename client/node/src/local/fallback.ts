/** The first fallback: the service's graphs, in threads of this process. */

import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Piscina } from "piscina";
import { DEFAULTS, faceOptions } from "../contract.js";
import { withDeadline } from "../deadline.js";
import {
  type AurumError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  NoFaceError,
  ServerError,
  UnavailableError,
} from "../errors.js";
import type { Inference, InferenceRequest, InferenceSource } from "../inference-source.js";
import type { Limits } from "../options.js";
import { parseModelIds } from "../parse.js";
import { GRAY_PNG, grayPng } from "../probe.js";
import type { Health, ModelIds } from "../results.js";
import type { Outputs } from "../tensors.js";
import type { ImageLimits } from "./decode.js";
import { checkRequirements } from "./requirements.js";

export interface LocalOptions extends Partial<{ [K in keyof Limits]: Limits[K] | undefined }> {
  /** The service's `model_repository`, as `aurum models build` fills it. */
  models: string;
  /** Threads, each with its own copy of the graphs. Default: one per core, at most 4. */
  threads?: number | undefined;
  /** The most photos waiting for a thread; further calls fail. Default: 256. */
  maxQueue?: number | undefined;
  /** IoU above which the weaker of two boxes is dropped. Default: 0.3. */
  nmsIou?: number | undefined;
  /** The largest encoded photo, in bytes. Default: 25000000. */
  maxImageBytes?: number | undefined;
  /** The largest photo sent as base64, in bytes of the decoded file. Default: 10000000. */
  maxBase64Bytes?: number | undefined;
  /** The largest photo except JPEGs, in pixels; read from its header. Default: 50000000. */
  maxImagePixels?: number | undefined;
  /** The largest JPEG, in pixels. Default: 110000000. */
  maxJpegPixels?: number | undefined;
}

/** The settings of the threads: LocalOptions with the service's defaults filled in. */
export interface LocalSettings extends Limits, ImageLimits {
  models: string;
  nmsIou: number;
}

// Errors lose their class between threads, so the threads send its name.
const ERRORS = {
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  NoFaceError,
  UnavailableError,
};

export type LocalAnswer =
  | { outputs: Outputs }
  | { refused: keyof typeof ERRORS; message: string; code: string | undefined };

export interface LocalTask {
  pipeline: InferenceRequest["pipeline"];
  image: Uint8Array;
  options: InferenceRequest["options"];
}

export class LocalFallback implements InferenceSource {
  readonly source = "local";
  /** Settles when the graphs are ready or failed to load. Never rejects. */
  private readonly loaded: Promise<void>;
  private pool: Piscina | null = null;
  private models: ModelIds | null = null;
  private failure: AurumError | null = null;

  /**
   * @param changed called once loading succeeded or failed
   * @param failed called with the reason why this fallback will answer no call
   */
  constructor(
    private readonly options: LocalOptions,
    private readonly timeoutMs: number,
    changed: () => void,
    failed: (error: AurumError) => void,
  ) {
    // Load now, not on first use: loading takes longer than a user should wait for a fallback.
    this.loaded = this.load()
      .catch((error) => {
        const { message } = (error instanceof ServerError ? error.cause : error) as Error;
        const [reason] = message.split("\n"); // packages add a page of advice
        const failure = new UnavailableError(`no local inference: ${reason}`, { cause: error });
        this.failure ??= failure;
        failed(failure);
      })
      .finally(changed);
  }

  get usable(): boolean {
    return this.models !== null && this.failure === null;
  }

  /** Wait until the graphs are ready. @throws UnavailableError: they can't be used */
  async warmUp(): Promise<void> {
    await this.loaded;
    if (this.failure) throw this.failure;
  }

  async infer(request: InferenceRequest): Promise<Inference> {
    const timeoutMs = request.timeoutMs ?? this.timeoutMs;
    return withDeadline(timeoutMs, request.signals, async (deadline) => {
      await deadline.race(this.warmUp());
      // A thread finishes what it started: ending it would lose its graphs.
      return { outputs: await deadline.race(this.run(request)), response: null };
    });
  }

  async health(): Promise<NonNullable<Health["local"]>> {
    return { ready: this.usable, models: this.models, error: this.failure };
  }

  async close(): Promise<void> {
    this.failure ??= new UnavailableError("local inference was closed");
    await this.loaded;
    // Waiting photos are dropped; running ones are finished, because onnxruntime-node aborts the
    // process if a thread ends during an inference.
    await this.pool?.close({ force: true });
  }

  private async load(): Promise<void> {
    const {
      models,
      threads = Math.min(4, availableParallelism()),
      maxQueue = 256,
      ...limits
    } = this.options;
    const settings: LocalSettings = {
      models,
      ...DEFAULTS,
      ...defined(limits),
    };
    checkRequirements(models);
    // Otherwise onnxruntime stores a device id in the home folder and sends telemetry to Microsoft.
    // Set before the threads start, because onnxruntime doesn't see their copies of the
    // environment.
    process.env.ORT_DISABLE_TELEMETRY = "1";
    const { Piscina } = await import("piscina");
    this.pool = new Piscina({
      filename: join(__dirname, "thread.js"),
      workerData: settings,
      minThreads: threads,
      maxThreads: threads,
      maxQueue,
    });
    // Warm up each thread at full size: the first run of a graph takes several times as long.
    const side = settings.detectionSize;
    const large: LocalTask = { pipeline: "detect_faces", image: grayPng(side), options: {} };
    const crop: LocalTask = { pipeline: "embed_face", image: GRAY_PNG, options: { aligned: true } };
    const everyThread = (task: LocalTask) =>
      Promise.all(Array.from({ length: threads }, () => this.run(task)));
    await everyThread(large);
    const [outputs] = await everyThread(crop);
    this.models = parseModelIds(outputs!);
  }

  private async run({ pipeline, image, options }: LocalTask): Promise<Outputs> {
    // Only the face options: signals can't be sent to a thread.
    const task: LocalTask = { pipeline, image, options: faceOptions(options) };
    let answer: LocalAnswer;
    try {
      answer = await this.pool!.run(task);
    } catch (error) {
      const isFull = (error as Error).message.includes("queue is at limit");
      if (isFull) throw new UnavailableError("too many photos wait for local inference");
      throw new ServerError(`local inference failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if ("outputs" in answer) return answer.outputs;
    throw new ERRORS[answer.refused](answer.message, { code: answer.code });
  }
}

function defined<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]: NonNullable<T[K]> };
}
