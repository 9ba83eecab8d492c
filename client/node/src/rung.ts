import type { FaceOptions, Pipeline, Source } from "./contract.js";
import type { Outputs } from "./tensors.js";

/** One question to a pipeline. */
export interface Ask {
  pipeline: Pipeline;
  image: Uint8Array;
  options: FaceOptions;
  requestId?: string | undefined;
  /** Goes before the rung's own. */
  timeoutMs?: number | undefined;
  /** Any of them ends the call with its reason. */
  givenUp: readonly AbortSignal[];
}

/** Something that answers as the service does, with the service's outputs. */
export interface Rung {
  readonly source: Source;
  /** Whether it is worth asking now. */
  readonly usable: boolean;
  infer(ask: Ask): Promise<Outputs>;
  close(): Promise<void>;
}
