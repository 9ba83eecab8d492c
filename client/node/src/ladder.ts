import { EventEmitter } from "node:events";
import type { Source } from "./contract.js";
import { type AurumError, isServersFault, UnavailableError } from "./errors.js";
import { parseModelIds } from "./parse.js";
import type { Ask, Rung } from "./rung.js";
import type { Outputs } from "./tensors.js";

export interface LadderEvents {
  /** A call was answered, by whom, and in how many milliseconds (of that rung alone). */
  answer: [{ source: Source; pipeline: string; ms: number }];
  /** One call was handed down to the next rung, and why. */
  fallback: [{ from: Source; to: Source; error: AurumError }];
  /** From now on calls begin with another rung; null: with none. */
  switch: [{ from: Source | null; to: Source | null }];
}

export interface Counters {
  /** Answers by source. */
  answers: Record<string, number>;
  /** Calls handed down, such as "triton>local". */
  fallbacks: Record<string, number>;
  /** Switches, such as "triton>local". */
  switches: Record<string, number>;
}

/** The rungs from best to worst: a call goes down only through the fault of the rung above. */
export class Ladder {
  readonly events = new EventEmitter<LadderEvents>();
  readonly counters: Counters = { answers: {}, fallbacks: {}, switches: {} };
  private current: Source | null;
  /** The embedder that the service last named. */
  private served: string | null = null;

  constructor(private readonly rungs: readonly Rung[]) {
    this.current = this.mode;
  }

  /** The rung that the next call begins with. */
  get mode(): Source | null {
    return this.rungs.find((rung) => rung.usable)?.source ?? null;
  }

  /** To be called whenever a rung became usable or stopped being it. */
  update(): void {
    const from = this.current;
    const to = this.mode;
    if (from === to) return;
    this.current = to;
    count(this.counters.switches, `${from}>${to}`);
    this.events.emit("switch", { from, to });
  }

  /**
   * @throws the error of the highest rung, if all fail, with what the others said; at once, if the
   *   request is at fault.
   */
  async infer(ask: Ask): Promise<{ outputs: Outputs; source: Source }> {
    let failure: AurumError | undefined;
    for (const [index, rung] of this.rungs.entries()) {
      const start = performance.now();
      try {
        const outputs = await rung.infer(ask);
        this.checkSpace(rung.source, outputs);
        count(this.counters.answers, rung.source);
        const ms = performance.now() - start;
        this.events.emit("answer", { source: rung.source, pipeline: ask.pipeline, ms });
        return { outputs, source: rung.source };
      } catch (error) {
        if (!isServersFault(error)) throw error;
        if (failure === undefined) failure = error;
        else failure.message += `; then ${rung.source}: ${error.message}`;
        const next = this.rungs[index + 1];
        if (next) {
          count(this.counters.fallbacks, `${rung.source}>${next.source}`);
          this.events.emit("fallback", { from: rung.source, to: next.source, error });
        }
      }
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.rungs.map((rung) => rung.close()));
  }

  /** Local embeddings must compare with those that the service made and somebody stored. */
  private checkSpace(source: Source, outputs: Outputs): void {
    if (source === "simulated") return;
    const { embedder } = parseModelIds(outputs);
    if (!embedder) return;
    if (source === "triton") this.served = embedder;
    else if (this.served && embedder !== this.served) {
      throw new UnavailableError(
        `the local embedder is ${embedder}, the service's ${this.served}: other embedding spaces`,
      );
    }
  }
}

function count(counters: Record<string, number>, name: string): void {
  counters[name] = (counters[name] ?? 0) + 1;
}
