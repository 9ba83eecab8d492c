/** Triton's HTTP protocol for one server, over the platform's fetch, which keeps connections. */

import type { Parameters } from "./contract.js";
import type { Deadline } from "./deadline.js";
import { AurumError, ConnectionFailedError, ProtocolError } from "./errors.js";
import { errorFromStatus } from "./failures.js";
import { decodeResponse, encodeRequest, HEADER_LENGTH, type Outputs } from "./tensors.js";

export interface HttpOptions {
  /** To send with every request. */
  headers?: Record<string, string> | undefined;
  /** Goes before the platform's: for proxies, private certificates, another pool. */
  fetch?: typeof fetch | undefined;
}

export class HttpTransport {
  readonly url: string;

  /** @throws RangeError: `url` is not http(s)://host[:port][/prefix]; without a scheme: http. */
  constructor(
    url: string,
    private readonly options: HttpOptions = {},
  ) {
    this.url = normalize(url);
  }

  async infer(
    model: string,
    image: Uint8Array,
    parameters: Parameters,
    requestId: string | undefined,
    deadline: Deadline,
  ): Promise<Outputs> {
    const { body, headerLength } = encodeRequest(image, parameters, requestId);
    const response = await this.send(`v2/models/${model}/infer`, deadline, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/octet-stream",
        [HEADER_LENGTH]: String(headerLength),
      },
    });
    const length = response.headers.get(HEADER_LENGTH);
    return decodeResponse(response.body, length === null ? undefined : Number(length));
  }

  /** Whether the server (`live`, `ready`) or a model (`models/NAME/ready`) says yes. */
  async says(what: string, deadline: Deadline): Promise<boolean> {
    try {
      await this.send(`v2/${what.startsWith("models/") ? what : `health/${what}`}`, deadline);
      return true;
    } catch (error) {
      if (error instanceof AurumError && error.status !== null && error.status < 500) return false;
      throw error;
    }
  }

  /** Triton's metadata of a model. */
  async metadata(model: string, deadline: Deadline): Promise<unknown> {
    const { body } = await this.send(`v2/models/${model}`, deadline);
    return parseJson(body);
  }

  private async send(
    path: string,
    deadline: Deadline,
    init: RequestInit = {},
  ): Promise<{ headers: Headers; body: ArrayBuffer }> {
    deadline.check();
    const ask = this.options.fetch ?? fetch;
    try {
      const response = await ask(`${this.url}/${path}`, {
        ...init,
        headers: { ...this.options.headers, ...init.headers },
        redirect: "manual", // a redirect of ours is no answer, and would carry the credentials off
        signal: deadline.signal,
      });
      const body = await response.arrayBuffer();
      if (response.status === 200) return { headers: response.headers, body };
      throw errorFromStatus(response.status, reasonIn(body));
    } catch (error) {
      if (error instanceof AurumError) throw error;
      deadline.check(error);
      throw fromFetch(error);
    }
  }
}

function normalize(text: string): string {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `http://${text}`);
  } catch {
    throw new RangeError(`'${text}' is not the URL of a server, like http://localhost:8000`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RangeError(`'${text}': the scheme must be http or https`);
  }
  if (url.search || url.hash || url.username || url.password) {
    throw new RangeError(`'${text}' is not the URL of a server, like http://localhost:8000`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function parseJson(body: ArrayBuffer): unknown {
  const text = new TextDecoder().decode(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProtocolError(`not an answer of Triton's: ${text.slice(0, 80)}`, { cause: error });
  }
}

/** Triton's `{"error": "..."}`, or the beginning of what a gateway says. */
function reasonIn(body: ArrayBuffer): string {
  const text = new TextDecoder().decode(body);
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error;
  } catch {
    // not JSON: the text itself is the reason
  }
  return text.trim().slice(0, 200);
}

/** fetch says no more than "fetch failed" or "terminated"; the reason is its cause. */
function fromFetch(error: unknown): AurumError {
  const cause = (error as { cause?: NodeJS.ErrnoException })?.cause;
  const code = cause?.code ?? "";
  const message = cause?.message || code || (error as Error).message;
  if (cause?.name === "HTTPParserError") {
    return new ProtocolError(`not an answer of Triton's: ${message}`, { cause: error });
  }
  return new ConnectionFailedError(message, { cause: error });
}
