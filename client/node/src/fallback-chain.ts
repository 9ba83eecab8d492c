import { EventEmitter } from "node:events";
import type { Source } from "./contract.js";
import { type AurumError, isServersFault, UnavailableError } from "./errors.js";
import type { InferenceRequest, InferenceSource } from "./inference-source.js";
import { parseModelIds } from "./parse.js";
import type { Outputs } from "./tensors.js";

/** The events of `FaceClient.events`. */
export interface FallbackEvents {
  /** A source answered a call; `ms` is the time that this source alone took. */
  answer: [{ source: Source; pipeline: string; ms: number }];
  /** A source failed to answer a call, which went to the next one. */
  fallback: [{ from: Source; to: Source; error: AurumError }];
  /** Calls now start with another source; null: no source is usable. */
  switch: [{ from: Source | null; to: Source | null }];
}

/** @deprecated Renamed to `FallbackEvents`; version 0.3.0 removes this name. */
export type LadderEvents = FallbackEvents;

export interface Counters {
  /** Answers by source. */
  answers: Record<string, number>;
  /** Calls that went to the next source, under names such as "triton>local". */
  fallbacks: Record<string, number>;
  /** Changes of the source that calls start with, under names such as "triton>local". */
  switches: Record<string, number>;
}

/** Sources from best to worst: each is asked only if the one before it failed by its own fault. */
export class FallbackChain {
  readonly events = new EventEmitter<FallbackEvents>();
  readonly counters: Counters = { answers: {}, fallbacks: {}, switches: {} };
  private current: Source | null;
  /** The embedder that the service last reported. */
  private servedEmbedder: string | null = null;

  constructor(private readonly sources: readonly InferenceSource[]) {
    this.current = this.mode;
  }

  /** The source that the next call starts with. */
  get mode(): Source | null {
    return this.sources.find(({ usable }) => usable)?.source ?? null;
  }

  /** Call this whenever a source became usable or unusable. */
  update(): void {
    const from = this.current;
    const to = this.mode;
    if (from === to) return;
    this.current = to;
    count(this.counters.switches, `${from}>${to}`);
    this.events.emit("switch", { from, to });
  }

  /**
   * Ask one source after the other.
   *
   * @throws the first source's error, with the others' messages appended, if all fail; or at once
   *   the error of a source that finds fault with the request.
   */
  async infer(request: InferenceRequest): Promise<{ outputs: Outputs; source: Source }> {
    let failure: AurumError | undefined;
    for (const [index, candidate] of this.sources.entries()) {
      const { source } = candidate;
      const start = performance.now();
      try {
        const outputs = await candidate.infer(request);
        this.checkEmbeddingSpace(source, outputs);
        count(this.counters.answers, source);
        const ms = performance.now() - start;
        this.events.emit("answer", { source, pipeline: request.pipeline, ms });
        return { outputs, source };
      } catch (error) {
        if (!isServersFault(error)) throw error;
        if (failure === undefined) failure = error;
        else failure.message += `; then ${source}: ${error.message}`;
        const next = this.sources[index + 1];
        if (next) {
          count(this.counters.fallbacks, `${source}>${next.source}`);
          this.events.emit("fallback", { from: source, to: next.source, error });
        }
      }
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.close()));
  }

  /** Local embeddings must be comparable with stored embeddings that the service made. */
  private checkEmbeddingSpace(source: Source, outputs: Outputs): void {
    if (source === "simulated") return;
    const { embedder } = parseModelIds(outputs);
    if (!embedder) return;
    if (source === "triton") this.servedEmbedder = embedder;
    else if (this.servedEmbedder && embedder !== this.servedEmbedder) {
      throw new UnavailableError(
        `the local embedder is ${embedder}, the service's is ${this.servedEmbedder}: ` +
          "they have different embedding spaces",
      );
    }
  }
}

function count(counters: Record<string, number>, name: string): void {
  counters[name] = (counters[name] ?? 0) + 1;
}
