/**
 * Everything that can go wrong, as one tree, the Python client's:
 *
 *     AurumError
 *     ├── ClientClosedError        the client was used after (or closed during) the call
 *     ├── ConnectionFailedError    no connection, or it broke (retried)
 *     ├── RequestTimeoutError      no answer within the call's timeout
 *     ├── UnavailableError         the server is not ready or too busy (503; retried)
 *     ├── AccessDeniedError        the server wants other credentials (401, 403)
 *     ├── ModelNotFoundError       the server has no such model: is it an Aurum server?
 *     ├── InvalidRequestError      the request was refused: an option is out of its range
 *     │   ├── InvalidImageError    the image cannot be read or decoded
 *     │   ├── NoFaceError          there is no face in a photo that needs one
 *     │   └── LowQualityError      its face is of a lower quality than was asked for
 *     ├── ModelMismatchError       two embeddings are of different models, so they don't compare
 *     ├── ServerError              the server failed (500)
 *     └── ProtocolError            the answer isn't what the contract promises
 *
 * Wrong arguments (a timeout of -1) are RangeError or TypeError; a call that its caller aborts
 * rejects with the reason of the caller's signal.
 */

export interface ErrorDetails {
  /** The server's machine-readable reason ("invalid_image", "no_face", "low_quality", ...). */
  code?: string | undefined;
  /** The HTTP status, where an answer came. */
  status?: number | undefined;
  cause?: unknown;
}

export class AurumError extends Error {
  /** The server's machine-readable reason, or null where it gave none. */
  readonly code: string | null;
  /** The HTTP status, or null where no answer came. */
  readonly status: number | null;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = details.code ?? null;
    this.status = details.status ?? null;
  }

  /** Whether the same request may succeed if it is sent again. */
  get retryable(): boolean {
    return false;
  }
}

/** The client was used after `close()`, or closed while the call was under way. */
export class ClientClosedError extends AurumError {}

/** No connection could be made, or it broke before the answer was complete. */
export class ConnectionFailedError extends AurumError {
  override get retryable(): boolean {
    return true;
  }
}

/** No answer came within the call's timeout, its retries included. */
export class RequestTimeoutError extends AurumError {}

/** The server cannot work now: it is starting, stopping or overloaded. */
export class UnavailableError extends AurumError {
  override get retryable(): boolean {
    return true;
  }
}

/** The server, or a gateway before it, refused the client's credentials. */
export class AccessDeniedError extends AurumError {}

/** The server does not serve this model. */
export class ModelNotFoundError extends AurumError {}

/** The request was refused; the message names the option and the allowed range. */
export class InvalidRequestError extends AurumError {}

/** The image cannot be read here, or cannot be decoded. */
export class InvalidImageError extends InvalidRequestError {}

/** There is no face in a photo that needs one (`embed` and `compare`). */
export class NoFaceError extends InvalidRequestError {}

/** The face is below `minQuality`; the message says in what it is worst. */
export class LowQualityError extends InvalidRequestError {}

/** The embeddings come from different embedders: their similarity means nothing. */
export class ModelMismatchError extends AurumError {}

/** The server failed while it worked on the request. */
export class ServerError extends AurumError {}

/** The answer breaks the contract: a tensor is missing, or of another type or shape. */
export class ProtocolError extends AurumError {}

/** Whether a limit of the gateway's refused it (429): that says nothing of the server's health. */
export function isRateLimit(error: unknown): boolean {
  return error instanceof AurumError && error.status === 429;
}

/** Whether another server, or another rung of the ladder, may do better with the same request. */
export function isServersFault(error: unknown): error is AurumError {
  return (
    error instanceof AurumError &&
    !(
      error instanceof InvalidRequestError ||
      error instanceof ClientClosedError ||
      error instanceof ModelMismatchError
    )
  );
}
