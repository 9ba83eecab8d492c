/**
 * Triton's binary tensor extension: a JSON header, followed by the tensors' bytes.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */

import { endianness } from "node:os";
import type { Parameters } from "./contract.js";
import { ProtocolError } from "./errors.js";

export type TensorData = Float32Array | Int32Array | boolean[] | string[];

/** An output tensor; `data` holds its elements in row-major order. */
export interface Tensor {
  datatype: string;
  shape: number[];
  data: TensorData;
}

export type Outputs = Map<string, Tensor>;

export function floats(shape: number[], ...rows: ArrayLike<number>[]): Tensor {
  const data = Float32Array.from(rows.flatMap((row) => Array.from(row)));
  return { datatype: "FP32", shape, data };
}

export function int32s(values: number[]): Tensor {
  return { datatype: "INT32", shape: [values.length], data: Int32Array.from(values) };
}

export const HEADER_LENGTH = "inference-header-content-length";

/** Build the request body for one encoded image; `headerLength` is that of its JSON header. */
export function encodeRequest(
  image: Uint8Array,
  parameters: Parameters,
  requestId: string | undefined,
): { body: Uint8Array<ArrayBuffer>; headerLength: number } {
  const header = new TextEncoder().encode(
    JSON.stringify({
      ...(requestId === undefined ? {} : { id: requestId }),
      parameters: { ...parameters, binary_data_output: true },
      inputs: [
        {
          name: "image",
          shape: [1],
          datatype: "BYTES",
          parameters: { binary_data_size: image.byteLength + 4 },
        },
      ],
    }),
  );
  const body = new Uint8Array(header.byteLength + 4 + image.byteLength);
  body.set(header);
  // Each BYTES element starts with its length.
  new DataView(body.buffer).setUint32(header.byteLength, image.byteLength, true);
  body.set(image, header.byteLength + 4);
  return { body, headerLength: header.byteLength };
}

interface OutputHeader {
  name: string;
  datatype: string;
  shape: number[];
  data?: unknown[];
  parameters?: { binary_data_size?: number };
}

/**
 * Parse a response; `headerLength` is undefined if all of it is JSON.
 *
 * @throws ProtocolError: it is not a response of Triton.
 */
export function decodeResponse(body: ArrayBuffer, headerLength: number | undefined): Outputs {
  const outputs: Outputs = new Map();
  let offset = headerLength ?? body.byteLength;
  for (const output of readHeader(body, offset)) {
    const { name, datatype, shape } = output;
    const size = output.parameters?.binary_data_size ?? 0;
    if (offset + size > body.byteLength) {
      throw new ProtocolError(`output '${name}' is truncated`);
    }
    const data = output.data
      ? fromJson(datatype, output.data)
      : fromBytes(name, datatype, new Uint8Array(body, offset, size));
    offset += size;
    const elements = shape.reduce((product, side) => product * side, 1);
    if (data.length !== elements) {
      throw new ProtocolError(`output '${name}' has ${data.length} elements for [${shape}]`);
    }
    outputs.set(name, { datatype, shape, data });
  }
  return outputs;
}

function readHeader(body: ArrayBuffer, length: number): OutputHeader[] {
  let header: { outputs?: OutputHeader[] };
  try {
    header = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 0, length)));
  } catch (error) {
    throw new ProtocolError("not a response of Triton: it is not JSON", { cause: error });
  }
  const outputs = header?.outputs;
  const isValid =
    Array.isArray(outputs) &&
    outputs.every(
      (output) =>
        typeof output?.name === "string" &&
        typeof output.datatype === "string" &&
        Array.isArray(output.shape) &&
        output.shape.every((side) => Number.isSafeInteger(side) && side >= 0) &&
        (output.parameters?.binary_data_size ?? 0) >= 0,
    );
  if (!isValid) throw new ProtocolError("not a response of Triton: it has no list of outputs");
  return outputs;
}

function fromJson(datatype: string, data: unknown[]): TensorData {
  if (datatype === "FP32") return Float32Array.from(data as number[]);
  if (datatype === "INT32") return Int32Array.from(data as number[]);
  if (datatype === "BOOL") return data.map(Boolean);
  return data.map(String);
}

function fromBytes(name: string, datatype: string, bytes: Uint8Array<ArrayBuffer>): TensorData {
  if (datatype === "BYTES") return readStrings(name, bytes);
  if (datatype === "BOOL") return Array.from(bytes, Boolean);
  if (datatype !== "FP32" && datatype !== "INT32") {
    throw new ProtocolError(`output '${name}' has the unexpected datatype ${datatype}`);
  }
  const words = readWords(bytes);
  return datatype === "FP32" ? new Float32Array(words) : new Int32Array(words);
}

/** Copy little-endian 4-byte words to an aligned buffer in this machine's byte order. */
export function readWords(bytes: Uint8Array, swap = endianness() === "BE"): ArrayBuffer {
  const words = new Uint8Array(bytes.byteLength - (bytes.byteLength % 4));
  words.set(bytes.subarray(0, words.byteLength));
  if (swap) Buffer.from(words.buffer).swap32();
  return words.buffer;
}

function readStrings(name: string, bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  for (let offset = 0; offset < bytes.byteLength; ) {
    const start = offset + 4;
    const end = start <= bytes.byteLength ? start + view.getUint32(offset, true) : Infinity;
    if (end > bytes.byteLength) throw new ProtocolError(`output '${name}' is truncated`);
    strings.push(new TextDecoder().decode(bytes.subarray(start, end)));
    offset = end;
  }
  return strings;
}
