/** The second rung: the graphs that the service serves, in threads of this process. */

import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Piscina } from "piscina";
import { faceOptions } from "../contract.js";
import { withDeadline } from "../deadline.js";
import { BYTE_LIMITS } from "../encoded/text.js";
import {
  type AurumError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  NoFaceError,
  ServerError,
  UnavailableError,
} from "../errors.js";
import { LIMITS, type Limits } from "../options.js";
import { parseModelIds } from "../parse.js";
import { GRAY_PNG, grayPng } from "../probe.js";
import type { Health, ModelIds } from "../results.js";
import type { Ask, Rung } from "../rung.js";
import type { Outputs } from "../tensors.js";
import type { ImageLimits } from "./decode.js";

export interface LocalOptions extends Partial<{ [K in keyof Limits]: Limits[K] | undefined }> {
  /** The service's `model_repository`, as `aurum models build` fills it. */
  models: string;
  /** Threads, each with all graphs. Default: one a core, at most 4. */
  threads?: number | undefined;
  /** Photos that may wait for a thread; beyond it a call fails. Default: 256. */
  maxQueue?: number | undefined;
  /** IoU above which the weaker of two boxes is dropped. Default: 0.3. */
  nmsIou?: number | undefined;
  /** Largest encoded photo, in bytes. Default: 25000000. */
  maxImageBytes?: number | undefined;
  /** Largest encoded photo that may come as base64, in bytes. Default: 10000000. */
  maxBase64Bytes?: number | undefined;
  /** Largest photo but for JPEG, in pixels; read from its header. Default: 50000000. */
  maxImagePixels?: number | undefined;
  /** Largest JPEG, in pixels. Default: 110000000. */
  maxJpegPixels?: number | undefined;
}

/** What the threads are told: all of LocalOptions, with the service's defaults filled in. */
export interface LocalSettings extends Limits, ImageLimits {
  models: string;
  nmsIou: number;
}

// Errors lose their class on the way between threads, so the threads send its name.
const REFUSALS = {
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  NoFaceError,
  UnavailableError,
};

export type LocalAnswer =
  | { outputs: Outputs }
  | { refused: keyof typeof REFUSALS; message: string; code: string | undefined };

export interface LocalTask {
  pipeline: Ask["pipeline"];
  image: Uint8Array;
  options: Ask["options"];
}

export class LocalRung implements Rung {
  readonly source = "local";
  /** Settles when the graphs have answered for the first time, or can't. Never rejects. */
  readonly loaded: Promise<void>;
  private pool: Piscina | null = null;
  private models: ModelIds | null = null;
  private failure: AurumError | null = null;

  /** @param changed is called when it became usable, or never will be */
  constructor(
    private readonly options: LocalOptions,
    private readonly timeoutMs: number,
    changed: () => void,
  ) {
    // At once, not when it is needed: loading takes longer than a user should wait for a fallback.
    this.loaded = this.load()
      .catch((error) => {
        this.failure = new UnavailableError(`no local inference: ${error.message}`, {
          cause: error,
        });
      })
      .finally(changed);
  }

  get usable(): boolean {
    return this.models !== null && this.failure === null;
  }

  async infer(ask: Ask): Promise<Outputs> {
    return withDeadline(ask.timeoutMs ?? this.timeoutMs, ask.givenUp, async (deadline) => {
      await deadline.race(this.loaded);
      if (this.failure) throw this.failure;
      // What a thread has begun it finishes: ending it would cost its graphs.
      return deadline.race(this.run(ask));
    });
  }

  async health(): Promise<NonNullable<Health["local"]>> {
    return { ready: this.usable, models: this.models, error: this.failure };
  }

  async close(): Promise<void> {
    this.failure ??= new UnavailableError("local inference was closed");
    await this.loaded;
    // Photos that wait are dropped; those begun are finished, because onnxruntime-node takes the
    // whole process down when a thread is ended in the midst of it.
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
      ...LIMITS,
      nmsIou: 0.3,
      ...BYTE_LIMITS,
      maxImagePixels: 50_000_000,
      maxJpegPixels: 110_000_000,
      ...defined(limits),
    };
    // Or onnxruntime keeps a device id in the home folder and reports to its makers. Set before the
    // threads start: what they change in their copies of the environment it does not see.
    process.env.ORT_DISABLE_TELEMETRY = "1";
    const { Piscina } = await import("piscina");
    this.pool = new Piscina({
      filename: join(__dirname, "thread.js"),
      workerData: settings,
      minThreads: threads,
      maxThreads: threads,
      maxQueue,
    });
    // Each thread, and at full size: the first run of a graph takes several times as long.
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
    // Not the whole of `options`: signals can't go to a thread.
    const task: LocalTask = { pipeline, image, options: faceOptions(options) };
    let answer: LocalAnswer;
    try {
      answer = await this.pool!.run(task);
    } catch (error) {
      const full = (error as Error).message.includes("queue is at limit");
      if (full) throw new UnavailableError("too many photos wait for local inference");
      throw new ServerError(`local inference failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
    if ("outputs" in answer) return answer.outputs;
    throw new REFUSALS[answer.refused](answer.message, { code: answer.code });
  }
}

function defined<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]: NonNullable<T[K]> };
}
