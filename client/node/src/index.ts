export { Calibration, FARS, type Far } from "./calibration.js";
export {
  type AnalyzeManyOptions,
  type AnalyzeOptions,
  type CallOptions,
  type DetectOptions,
  type EmbedOptions,
  FaceClient,
  type FaceClientOptions,
} from "./client.js";
export { type CompareOptions, Comparison, type Decision } from "./comparison.js";
export { optionsFromEnv } from "./config.js";
export {
  type FaceOptions,
  type Orientation,
  QUALITY_PARTS,
  type QualityPart,
  type Source,
} from "./contract.js";
export type { BreakerOptions } from "./endpoint.js";
export {
  AccessDeniedError,
  AurumError,
  ClientClosedError,
  ConnectionFailedError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelMismatchError,
  ModelNotFoundError,
  NoFaceError,
  ProtocolError,
  RequestTimeoutError,
  ServerError,
  UnavailableError,
} from "./errors.js";
export type { Counters, FallbackEvents, LadderEvents } from "./fallback-chain.js";
export type { Image } from "./images.js";
export type { LocalOptions } from "./local/fallback.js";
export {
  Analysis,
  type Box,
  type BreakerState,
  Embedding,
  type EndpointHealth,
  Face,
  Faces,
  type Health,
  type ModelIds,
  type ModelInfo,
  type QualityParts,
  type TensorInfo,
} from "./results.js";
