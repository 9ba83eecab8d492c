import {
  AccessDeniedError,
  type AurumError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelNotFoundError,
  NoFaceError,
  RequestTimeoutError,
  ServerError,
  UnavailableError,
} from "./errors.js";

type Kind = typeof AurumError;

const BY_CODE: Record<string, Kind> = {
  invalid_image: InvalidImageError,
  no_face: NoFaceError,
  low_quality: LowQualityError,
  invalid_parameter: InvalidRequestError,
  overloaded: UnavailableError,
  unavailable: UnavailableError,
};

const BY_STATUS: Record<number, Kind> = {
  400: InvalidRequestError,
  401: AccessDeniedError,
  403: AccessDeniedError,
  404: ModelNotFoundError,
  408: RequestTimeoutError,
  413: InvalidRequestError, // a gateway's limit on the size of the body
  429: UnavailableError,
  502: UnavailableError, // a gateway that finds no server behind it
  503: UnavailableError,
  504: RequestTimeoutError,
};

// Triton puts where it happened ("[request id: r-1] in ensemble 'analyze_faces', ") before the
// server's own message, which begins with a code where a program can act on the reason.
const MESSAGE =
  /^(?:in ensemble '[^']*', |\[request id: [^\]]*\] )*(?:\[([a-z][a-z0-9_]*)\] )?(.*)$/s;

// How Triton 2.51 words what will pass, as 404 or 500: its models while it stops, and a model whose
// process has died. A model that it does not have "is not found".
const PASSING = /has no available versions|not (at )?ready|is not healthy|is stopping/;

/** The error for an HTTP status and Triton's message; the server's own code goes first. */
export function errorFromStatus(status: number, message: string): AurumError {
  const [, code, text] = MESSAGE.exec(message) ?? [];
  const Kind =
    (code && BY_CODE[code]) ||
    ((status === 404 || status === 500) && PASSING.test(message) && UnavailableError) ||
    BY_STATUS[status] ||
    ServerError;
  return new Kind(text || "the server gave no reason", { code, status });
}
