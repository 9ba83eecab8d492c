import type { EventEmitter } from "node:events";
import { checkFar, checkPrior } from "./calibration.js";
import { type CompareOptions, Comparison } from "./comparison.js";
import type { FaceOptions, Pipeline, Source } from "./contract.js";
import { withDeadline } from "./deadline.js";
import { type BreakerOptions, Endpoint } from "./endpoint.js";
import { AurumError, ClientClosedError, InvalidRequestError, isServersFault } from "./errors.js";
import { HttpTransport } from "./http.js";
import { type Image, readImage } from "./images.js";
import { type Counters, Ladder, type LadderEvents } from "./ladder.js";
import { type LocalOptions, LocalRung } from "./local/rung.js";
import { checkCallNames, checkClientNames } from "./names.js";
import { parseAnalysis, parseEmbedding, parseFaces } from "./parse.js";
import type { Analysis, Embedding, Faces, Health, ModelInfo } from "./results.js";
import type { Rung } from "./rung.js";
import { SimulatedRung } from "./simulated.js";
import { TritonRung } from "./triton.js";

export interface FaceClientOptions {
  /** Servers, the preferred first: http(s)://host:port. Default: http://127.0.0.1:8000. */
  urls?: string | readonly string[] | undefined;
  /** Milliseconds that a call may take on the servers, retries included. Default: 10000. */
  timeoutMs?: number | undefined;
  /** Rounds over the servers after the first, where connections fail or a 503 comes. Default: 2. */
  retries?: number | undefined;
  /** HTTP headers to send with every request. */
  headers?: Record<string, string> | undefined;
  /** Goes before the platform's fetch: for proxies or private certificates. */
  fetch?: typeof fetch | undefined;
  breaker?: BreakerOptions | undefined;
  /** The second rung: the served graphs in this process. Off unless given. */
  local?: LocalOptions | undefined;
  /** The last rung: made-up answers whose scores are at most `maxConfidence`. Off unless given. */
  simulated?: { maxConfidence?: number | undefined } | undefined;
  /** false: ask neither the servers nor the local graphs. Default: true. */
  useRealMl?: boolean | undefined;
}

export interface CallOptions {
  /** Milliseconds for this call on each rung, for the client's. */
  timeoutMs?: number | undefined;
  /** A name for the server's logs and traces. */
  requestId?: string | undefined;
  /** Gives the call up; it rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export type DetectOptions = CallOptions & Omit<FaceOptions, "aligned" | "minQuality">;
export type AnalyzeOptions = CallOptions & Omit<FaceOptions, "aligned">;
export type EmbedOptions = CallOptions & Omit<FaceOptions, "maxFaces">;
export type AnalyzeManyOptions = AnalyzeOptions & {
  /** How many at a time. Default: 8. */
  concurrency?: number | undefined;
  /** Called after each image. What it throws ends the call. */
  progress?: ((done: number, of: number) => void) | undefined;
};

const DEFAULT_URL = "http://127.0.0.1:8000";

/** Finds, embeds and compares faces; on servers, or by the ladder of rungs below them. */
export class FaceClient {
  private readonly endpoints: readonly Endpoint[];
  private readonly local: LocalRung | null;
  private readonly simulated: SimulatedRung | null;
  private readonly ladder: Ladder;
  private readonly timeoutMs: number;
  private readonly closing = new AbortController();

  /** @throws RangeError: an option is unknown, or has a value that is not allowed. */
  constructor(options: FaceClientOptions = {}) {
    checkClientNames(options);
    const { urls = DEFAULT_URL, timeoutMs = 10_000, retries = 2, useRealMl = true } = options;
    checkNumber("timeoutMs", timeoutMs, timeoutMs > 0);
    checkNumber("retries", retries, Number.isSafeInteger(retries) && retries >= 0);
    this.timeoutMs = timeoutMs;
    const list = typeof urls === "string" ? [urls] : urls;
    if (list.length === 0) throw new RangeError("urls is empty: name at least one server");
    const transports = list.map((url) => new HttpTransport(url, options));
    const maxConfidence = options.simulated?.maxConfidence ?? 0.5;
    checkNumber("simulated.maxConfidence", maxConfidence, maxConfidence >= 0 && maxConfidence <= 1);
    this.simulated = options.simulated ? new SimulatedRung(maxConfidence) : null;
    if (!useRealMl && !this.simulated) {
      throw new RangeError(
        "useRealMl is false and simulated answers are not allowed: none is left",
      );
    }
    const changed = () => this.ladder.update();
    this.endpoints = useRealMl
      ? transports.map((transport) => new Endpoint(transport, options.breaker ?? {}, changed))
      : [];
    this.local =
      useRealMl && options.local ? new LocalRung(options.local, timeoutMs, changed) : null;
    const below = [this.local, this.simulated].filter((rung): rung is LocalRung => rung !== null);
    const servers = new TritonRung(this.endpoints, timeoutMs, retries, below.length > 0);
    this.ladder = new Ladder(useRealMl ? [servers, ...below] : below);
  }

  /** Tells of answers, fallbacks and switches. */
  get events(): EventEmitter<LadderEvents> {
    return this.ladder.events;
  }

  /** How often what happened. */
  get counters(): Readonly<Counters> {
    return this.ladder.counters;
  }

  /** The rung that the next call begins with, null if there is none. */
  get mode(): Source | null {
    return this.ladder.mode;
  }

  /** Find the faces: boxes, five landmarks each, scores; none is a success, too. */
  async detect(image: Image, options: DetectOptions = {}): Promise<Faces> {
    return this.infer("detect_faces", image, options, parseFaces);
  }

  /** Find the faces, embed each and say how fit for recognition it is, and whether it is at all. */
  async analyze(image: Image, options: AnalyzeOptions = {}): Promise<Analysis> {
    return this.infer("analyze_faces", image, options, parseAnalysis);
  }

  /**
   * Embed the largest face, or, with `aligned`, the image as the aligned crop it is.
   *
   * @throws NoFaceError: there is no face in the image.
   * @throws LowQualityError: its quality is below `minQuality`.
   */
  async embed(image: Image, options: EmbedOptions = {}): Promise<Embedding> {
    return this.infer("embed_face", image, options, parseEmbedding);
  }

  /**
   * Embed the largest face of each image, at the same time, and compare the two.
   *
   * @throws ModelMismatchError: different embedders answered, or one answer is simulated.
   * @throws NoFaceError, LowQualityError, InvalidImageError: for either; the message says which.
   */
  async compare(
    a: Image,
    b: Image,
    options: EmbedOptions & CompareOptions = {},
  ): Promise<Comparison> {
    const { far, prior, ...rest } = options;
    if (far !== undefined) checkFar(far);
    checkPrior(prior);
    const other = new AbortController();
    const givenUp = [other.signal, ...(rest.signal ? [rest.signal] : [])];
    const embed = async (image: Image, index: number) => {
      try {
        const asked = { ...rest, requestId: numbered(rest.requestId, index) };
        return await this.infer("embed_face", image, asked, parseEmbedding, givenUp);
      } catch (error) {
        other.abort(error); // the other answer is of no use any more
        if (error instanceof InvalidRequestError) {
          error.message += ` (in the ${index ? "second" : "first"} image of compare())`;
        }
        throw error;
      }
    };
    const [first, second] = await Promise.all([embed(a, 0), embed(b, 1)]);
    return Comparison.between(first, second, { far, prior });
  }

  /**
   * Analyze many images, `concurrency` at a time; the answers keep their order. An image that
   * fails has its error in its place, and the others go on.
   */
  async analyzeMany(
    images: Iterable<Image>,
    options: AnalyzeManyOptions = {},
  ): Promise<(Analysis | AurumError)[]> {
    this.checkOpen();
    const { concurrency = 8, progress, ...rest } = options;
    checkNumber("concurrency", concurrency, Number.isSafeInteger(concurrency) && concurrency > 0);
    const todo = [...images];
    const answers = new Array<Analysis | AurumError>(todo.length);
    const queue = todo.entries();
    const stop = new AbortController();
    const givenUp = [stop.signal, ...(rest.signal ? [rest.signal] : [])];
    let done = 0;
    // The workers share the iterator: each takes the next image when it is free.
    const work = async () => {
      for (const [index, image] of queue) {
        const asked = { ...rest, requestId: numbered(rest.requestId, index) };
        try {
          answers[index] = await this.infer("analyze_faces", image, asked, parseAnalysis, givenUp);
        } catch (error) {
          if (!(error instanceof AurumError)) throw error;
          answers[index] = error;
        }
        progress?.(++done, todo.length);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(concurrency, todo.length) }, work));
    } catch (error) {
      stop.abort(error); // what is under way has nobody to go to
      throw error;
    }
    return answers;
  }

  /** Ask all rungs how they are, each server with a real inference; nothing is retried. */
  async health(options: Pick<CallOptions, "timeoutMs" | "signal"> = {}): Promise<Health> {
    this.checkOpen();
    const endpoints = await withDeadline(
      options.timeoutMs ?? this.timeoutMs,
      this.givenUp(options.signal),
      (deadline) => Promise.all(this.endpoints.map((endpoint) => endpoint.health(deadline))),
    );
    return {
      ok: endpoints.some(({ live, ready, latencyMs }) => live && ready && latencyMs !== null),
      mode: this.mode,
      endpoints,
      local: (await this.local?.health()) ?? null,
      simulated: this.simulated !== null,
    };
  }

  /** Describe the public models of the first server that answers. */
  async models(options: Pick<CallOptions, "timeoutMs" | "signal"> = {}): Promise<ModelInfo[]> {
    this.checkOpen();
    let failure: unknown = new RangeError("useRealMl is false: there is no server to describe");
    for (const endpoint of this.endpoints) {
      try {
        return await withDeadline(
          options.timeoutMs ?? this.timeoutMs,
          this.givenUp(options.signal),
          (deadline) => endpoint.models(deadline),
        );
      } catch (error) {
        if (!isServersFault(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Wait until the local rung is loaded, if there is one; its failure is in health(). */
  async warmUp(): Promise<void> {
    await this.local?.loaded;
  }

  /** End what is under way (ClientClosedError) and stop all timers and threads. Harmless twice. */
  async close(): Promise<void> {
    this.closing.abort(new ClientClosedError("the client is closed"));
    await this.ladder.close();
  }

  private async infer<T>(
    pipeline: Pipeline,
    image: Image,
    options: CallOptions & FaceOptions,
    parse: (outputs: Awaited<ReturnType<Rung["infer"]>>, source: Source) => T,
    givenUp: readonly AbortSignal[] = options.signal ? [options.signal] : [],
  ): Promise<T> {
    this.checkOpen();
    checkCallNames(options);
    if (options.timeoutMs !== undefined) {
      checkNumber("timeoutMs", options.timeoutMs, options.timeoutMs > 0);
    }
    const { outputs, source } = await this.ladder.infer({
      pipeline,
      image: await readImage(image),
      options,
      requestId: options.requestId,
      timeoutMs: options.timeoutMs,
      givenUp: [this.closing.signal, ...givenUp],
    });
    return parse(outputs, source);
  }

  private givenUp(signal: AbortSignal | undefined): AbortSignal[] {
    return signal ? [this.closing.signal, signal] : [this.closing.signal];
  }

  private checkOpen(): void {
    this.closing.signal.throwIfAborted();
  }
}

function checkNumber(name: string, value: number, allowed: boolean): void {
  if (!allowed || !Number.isFinite(value)) throw new RangeError(`${name}=${value} is not allowed`);
}

function numbered(requestId: string | undefined, index: number): string | undefined {
  return requestId === undefined ? undefined : `${requestId}-${index}`;
}
