// Client of the service for browsers: sends a photo's bytes, decodes the tensors of the answer.
// Triton's HTTP protocol with its binary tensor extension; outputs as in docs/reference/contract.md.

/** Long side of the detector's input in pixels if a request sets none: the server's default. */
export const DETECTION_SIZE = 640;

const FARS = ["1e-2", "1e-3", "1e-4"]; // the order of the output `calibration`

let key = null; // only in memory, lost when the page is closed

let service = window.location.origin;

/** The address at which programs reach the service: its own, if the page's server tells it. */
export function serviceUrl() {
  return service;
}

/** Whether requests carry an API key. */
export function hasKey() {
  return key !== null;
}

/** Send this API key with every request from now on, for a gateway in front of Triton. */
export function useKey(value) {
  key = value;
}

/** A failed request; the message is the service's own if it sent one. */
export class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // HTTP status; 0 without an answer
  }
}

/**
 * Call a pipeline with a photo.
 *
 * `photo` is a Blob, `options` the request parameters (default: the service's). Returns
 * { size, faces, complete, models, calibration, qualityCalibrated, raw, times }. Throws
 * ServiceError, or AbortError.
 */
export async function infer(pipeline, photo, options = {}, signal = undefined) {
  const started = performance.now();
  let bytes;
  try {
    bytes = await photo.arrayBuffer();
  } catch (error) {
    throw new ServiceError(`the browser can't read the photo: ${error.message}`, 0);
  }
  const read = performance.now();
  const { body, headers } = request(bytes, options);
  const response = await send(`/v2/models/${pipeline}/infer`, {
    method: "POST",
    body,
    signal,
    headers: { ...headers, "X-Timings": "1" },
  });
  const buffer = await response.arrayBuffer();
  const answered = performance.now();
  const length = Number(response.headers.get("Inference-Header-Content-Length"));
  const answer = decode(buffer, length);
  const times = {
    read: read - started,
    exchange: answered - read,
    decode: performance.now() - answered,
    server: serverTiming(response.headers.get("Server-Timing")),
  };
  return { ...interpret(answer), times };
}

/** Whether the service is ready, or asks for an API key. */
export async function ready() {
  try {
    await send("/v2/health/ready", {});
    return true;
  } catch (error) {
    if (error instanceof ServiceError) return error.status === 401;
    throw error;
  }
}

/** Send a request with the API key; returns the response. Throws ServiceError, or AbortError. */
export async function send(path, init) {
  const headers = { ...init.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, {
      ...init,
      headers,
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(
      "the service can't be reached: it is not running, or the connection broke",
      0,
    );
  }
  service = response.headers.get("Aurum-Service") ?? service;
  if (response.ok) return response;
  if (response.status === 401) window.dispatchEvent(new Event("keywanted"));
  const text = await response.text();
  let message;
  try {
    message = JSON.parse(text).error;
  } catch {
    message = undefined;
  }
  throw new ServiceError(
    message ?? (text.trim() || `HTTP status ${response.status}`),
    response.status,
  );
}

// Without options the body is just the photo. With options, JSON comes first, then the photo's
// length (4 bytes, little-endian), which Triton expects for BYTES, then the photo.
function request(bytes, options) {
  const type = { "Content-Type": "application/octet-stream" };
  if (Object.keys(options).length === 0) {
    return { body: bytes, headers: { ...type, "Inference-Header-Content-Length": "0" } };
  }
  const json = new TextEncoder().encode(
    JSON.stringify({
      inputs: [
        {
          name: "image",
          shape: [1],
          datatype: "BYTES",
          parameters: { binary_data_size: bytes.byteLength + 4 },
        },
      ],
      parameters: { ...options, binary_data_output: true },
    }),
  );
  const size = new DataView(new ArrayBuffer(4));
  size.setUint32(0, bytes.byteLength, true);
  return {
    body: new Blob([json, size, bytes]),
    headers: { ...type, "Inference-Header-Content-Length": String(json.byteLength) },
  };
}

function decode(buffer, length) {
  const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 0, length)));
  let start = length;
  for (const output of answer.outputs) {
    const size = output.parameters.binary_data_size;
    output.data = numbers(output.datatype, buffer.slice(start, start + size));
    delete output.parameters;
    start += size;
  }
  return answer;
}

function numbers(datatype, buffer) {
  // Typed arrays have the machine's byte order, which is little-endian, as Triton's, wherever
  // browsers run today.
  if (datatype === "FP32") return Array.from(new Float32Array(buffer));
  if (datatype === "INT32") return Array.from(new Int32Array(buffer));
  if (datatype === "BOOL") return Array.from(new Uint8Array(buffer), Boolean);
  if (datatype !== "BYTES") throw new ServiceError(`this page can't read ${datatype}`, 0);
  const view = new DataView(buffer);
  const texts = [];
  for (let at = 0; at < buffer.byteLength; ) {
    const size = view.getUint32(at, true);
    texts.push(new TextDecoder().decode(new Uint8Array(buffer, at + 4, size)));
    at += 4 + size;
  }
  return texts;
}

function interpret(answer) {
  const outputs = Object.fromEntries(answer.outputs.map((output) => [output.name, output]));
  const rows = (name) => {
    const { shape, data } = outputs[name] ?? { shape: [0], data: [] };
    const width = shape.slice(1).reduce((product, size) => product * size, 1);
    return Array.from({ length: shape[0] }, (_, i) => data.slice(i * width, (i + 1) * width));
  };
  const embeddings = rows("embeddings");
  const quality = outputs.quality?.data;
  // Servers of version 0.1.0 send neither rotations, nor `complete`, nor the gate.
  const rotations = outputs.rotations?.data;
  const gate = outputs.gate?.data;
  const liveness = outputs.liveness?.data; // empty where it is off
  const parts = rows("quality_parts");
  const landmarks = rows("landmarks");
  const boxes = rows("boxes");
  const [detector, embedder] = outputs.models.data;
  return {
    size: outputs.image_size.data,
    faces: outputs.scores.data.map((score, i) => ({
      score,
      box: boxes[i],
      landmarks: [0, 2, 4, 6, 8].map((at) => landmarks[i].slice(at, at + 2)),
      embedding: embeddings[i] ?? null,
      quality: quality?.[i] ?? null,
      parts: parts[i] ?? null,
      rotation: rotations?.[i] ?? 0,
      liveness: liveness?.[i] ?? null,
      ...gated(gate?.[i]),
    })),
    qualityCalibrated: (gate?.length ?? 0) > 0,
    complete: outputs.complete?.data[0] ?? true,
    models: { detector, embedder },
    simulated: [detector, embedder].some((id) => id.startsWith("simulated")),
    calibration: calibration(outputs.calibration?.data ?? []),
    raw: answer,
  };
}

// A face's `recognizable` (null if unknown) and `defect`, the column of the quality part that makes
// it unrecognizable.
function gated(column) {
  if (column === undefined) return { recognizable: null, defect: null };
  return { recognizable: column < 0, defect: column < 0 ? null : column };
}

function calibration(values) {
  if (values.length < 6 || values.some(Number.isNaN)) return null;
  return {
    thresholds: Object.fromEntries(FARS.map((far, i) => [far, values[i]])),
    slope: values[3],
    intercept: values[4],
    prior: values[5],
  };
}

// Parses `name;dur=1.5;desc="2", ...`, the form that our own server writes.
function serverTiming(text) {
  const found = {};
  for (const item of (text ?? "").split(", ").filter(Boolean)) {
    const [name, ...fields] = item.split(";");
    const field = (key) => fields.find((f) => f.startsWith(`${key}=`))?.slice(key.length + 1);
    found[name] = { duration: Number(field("dur")), note: field("desc")?.replaceAll('"', "") };
  }
  return found;
}

/**
 * Compare two faces, computed like the clients' `compare`.
 *
 * `prior`: prior probability that two faces are the same person; null: the calibration's.
 * `decision` is "match", "no match", "not recognizable" or "uncalibrated"; `gated`: whether it is
 * known for both faces if they are recognizable. Throws ServiceError if the embeddings are of
 * different models.
 */
export function compare(a, b, far, prior = null) {
  if (a.models.embedder !== b.models.embedder) {
    throw new ServiceError(
      `embeddings from different models can't be compared: ${a.models.embedder} and ${b.models.embedder}`,
      0,
    );
  }
  const dot = a.face.embedding.reduce((sum, value, i) => sum + value * b.face.embedding[i], 0);
  const similarity = Math.min(1, Math.max(-1, dot));
  const recognizable = [a.face.recognizable, b.face.recognizable];
  const { calibration: known } = a;
  const threshold = known?.thresholds[far] ?? null;
  const found = { similarity, threshold, probability: null, gated: !recognizable.includes(null) };
  if (recognizable.includes(false)) return { ...found, decision: "not recognizable" };
  if (known === null) return { ...found, decision: "uncalibrated" };
  const logit = (p) => Math.log(p / (1 - p));
  const shift = prior === null ? 0 : logit(prior) - logit(known.prior);
  return {
    ...found,
    decision: similarity >= threshold ? "match" : "no match",
    probability: 1 / (1 + Math.exp(-(known.slope * similarity + known.intercept + shift))),
  };
}

/**
 * Whether a larger `detection_size` or more `tiles` (request options) may find more faces, by the
 * rule of the Python client's `may_miss_some`.
 */
export function mayMissSome(result, { detection_size: side = DETECTION_SIZE, tiles = 0 }) {
  if (!result.complete) return true;
  const scale = (side * Math.sqrt(Math.max(tiles, 1))) / Math.max(...result.size);
  if (scale >= 1 || result.faces.length < 20) return false;
  const sides = result.faces.map(({ box }) => Math.max(box[2], box[3])).sort((a, b) => a - b);
  const half = Math.floor(sides.length / 2);
  const median = sides.length % 2 ? sides[half] : (sides[half - 1] + sides[half]) / 2;
  return median * scale < 40;
}
