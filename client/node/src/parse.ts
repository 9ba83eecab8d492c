/** Conversion of output tensors and model metadata to results. */

import { brief } from "./brief.js";
import { Calibration } from "./calibration.js";
import { CALIBRATION_SIZE, OUTPUTS, type Output, QUALITY_PARTS, RECOGNIZABLE } from "./contract.js";
import { ProtocolError } from "./errors.js";
import {
  Analysis,
  type Answer,
  Embedding,
  Faces,
  type FacesFields,
  type ModelIds,
  type ModelInfo,
  type QualityParts,
  type TensorInfo,
} from "./results.js";
import type { Outputs } from "./tensors.js";

/** Where outputs come from, and for which call. */
export type Origin = Pick<Answer, "source" | "requestId" | "response">;

/**
 * Parse the outputs of `detect_faces`; unknown outputs are ignored.
 *
 * @throws ProtocolError: an output is missing, or has another datatype or shape.
 */
export function parseFaces(outputs: Outputs, origin: Origin): Faces {
  return new Faces(common(outputs, origin));
}

/** Parse the outputs of `analyze_faces`; throws like `parseFaces`. */
export function parseAnalysis(outputs: Outputs, origin: Origin): Analysis {
  return embedded(outputs, origin, origin.source !== "simulated");
}

/** Parse the outputs of `embed_face`: exactly one face and the id of the embedder. */
export function parseEmbedding(outputs: Outputs, origin: Origin): Embedding {
  const analysis = embedded(outputs, origin);
  const [face] = analysis.faces;
  if (!face || analysis.length !== 1) {
    throw new ProtocolError(`expected one face, the answer has ${analysis.length}`);
  }
  // Without the id, embeddings of different models could be compared by mistake.
  if (!analysis.models.embedder) throw new ProtocolError("the answer lacks the id of its embedder");
  const { models, imageSize, complete, calibration } = analysis;
  return new Embedding({
    ...origin,
    models,
    imageSize,
    complete,
    vector: analysis.embeddings,
    face,
    calibration,
  });
}

/** @param assessed whether quality is required: made-up faces and `embed_face` of 0.1.0 lack it */
function embedded(outputs: Outputs, origin: Origin, assessed = outputs.has("quality")): Analysis {
  const fields = common(outputs, origin);
  const faces = fields.scores.length;
  return new Analysis({
    ...fields,
    embeddings: read(outputs, "embeddings", faces),
    quality: assessed ? read(outputs, "quality", faces) : null,
    qualityParts: assessed ? qualityParts(outputs, faces) : null,
    gate: gate(outputs, faces),
    liveness: liveness(outputs, faces),
    calibration: calibration(outputs),
  });
}

/** Parse Triton's metadata of a model. @throws ProtocolError */
export function parseMetadata(metadata: unknown, ready: boolean, id: string | null): ModelInfo {
  const { name, versions = [], inputs = [], outputs = [] } = (metadata ?? {}) as ModelInfo;
  if (typeof name !== "string" || ![versions, inputs, outputs].every(Array.isArray)) {
    throw new ProtocolError(`not the metadata of a model: ${brief(JSON.stringify(metadata))}`);
  }
  const info = ({ name, datatype, shape }: TensorInfo) => ({ name, datatype, shape });
  return { name, versions, ready, inputs: inputs.map(info), outputs: outputs.map(info), id };
}

export function parseModelIds(outputs: Outputs): ModelIds {
  const [detector, embedder] = read(outputs, "models");
  return { detector: detector || null, embedder: embedder || null };
}

function common(outputs: Outputs, origin: Origin): FacesFields {
  const scores = read(outputs, "scores");
  const faces = scores.length;
  const [width, height] = read(outputs, "image_size");
  // Servers of version 0.1.0 have neither output: they treat every face as upright.
  const rotations = outputs.has("rotations")
    ? read(outputs, "rotations", faces)
    : new Int32Array(faces);
  const [complete] = outputs.has("complete") ? read(outputs, "complete") : [true];
  return {
    boxes: read(outputs, "boxes", faces),
    landmarks: read(outputs, "landmarks", faces),
    scores,
    rotations,
    complete: complete!,
    imageSize: [width!, height!],
    models: parseModelIds(outputs),
    ...origin,
  };
}

function qualityParts(outputs: Outputs, faces: number): QualityParts[] {
  const values = read(outputs, "quality_parts", faces);
  const columns = outputs.get("quality_parts")!.shape[1]!;
  if (columns < QUALITY_PARTS.length) {
    throw new ProtocolError(
      `output 'quality_parts' has ${columns} columns, not ${QUALITY_PARTS.length}`,
    );
  }
  return Array.from({ length: faces }, (_, face) => {
    const row = QUALITY_PARTS.map((name, column) => [name, values[face * columns + column]!]);
    return Object.fromEntries(row) as QualityParts;
  });
}

/** Null if unknown: from servers of version 0.1.0, and for embedders without a gate. */
function gate(outputs: Outputs, faces: number): Int32Array | null {
  if (!outputs.has("gate")) return null;
  const columns = read(outputs, "gate");
  if (columns.length === 0) return null;
  const known = (column: number) => column >= RECOGNIZABLE && column < QUALITY_PARTS.length;
  if (columns.length !== faces || !columns.every(known)) {
    throw new ProtocolError(
      `output 'gate' is [${columns}], not ${faces} numbers from ${RECOGNIZABLE} to ` +
        `${QUALITY_PARTS.length - 1}, or none`,
    );
  }
  return columns;
}

/** Null if it isn't scored: without AURUM_LIVENESS=1, for aligned crops, and by other sources. */
function liveness(outputs: Outputs, faces: number): Float32Array | null {
  if (!outputs.has("liveness")) return null;
  const scores = read(outputs, "liveness");
  if (scores.length === 0) return null;
  if (scores.length !== faces) {
    throw new ProtocolError(`output 'liveness' has ${scores.length} values, not ${faces} or 0`);
  }
  return scores;
}

function calibration(outputs: Outputs): Calibration | null {
  const row = read(outputs, "calibration");
  if (row.length === 0) return null;
  if (row.length !== CALIBRATION_SIZE) {
    throw new ProtocolError(
      `output 'calibration' has ${row.length} numbers, not ${CALIBRATION_SIZE} or 0`,
    );
  }
  return Calibration.fromRow(row);
}

interface DataTypes {
  FP32: Float32Array;
  INT32: Int32Array;
  BOOL: boolean[];
  BYTES: string[];
}
type OutputName = keyof typeof OUTPUTS;

/**
 * The data of an output, after a check of its datatype and shape.
 *
 * @param faces the number of faces; left out, any number is accepted
 */
function read<Name extends OutputName>(
  outputs: Outputs,
  name: Name,
  faces: number | null = null,
): DataTypes[(typeof OUTPUTS)[Name][0]] {
  const output = outputs.get(name);
  if (!output) throw new ProtocolError(`the answer has no output '${name}'`);
  const [datatype, ...sides] = OUTPUTS[name] as Output;
  const shape = sides.map((side) => (side === "F" ? faces : side));
  const fits =
    output.shape.length === shape.length &&
    shape.every((want, axis) => want === null || want === output.shape[axis]);
  if (output.datatype !== datatype || !fits) {
    const wanted = shape.map((side) => side ?? "any").join(",");
    throw new ProtocolError(
      `output '${name}' is ${output.datatype} [${output.shape}], expected ${datatype} [${wanted}]`,
    );
  }
  return output.data as DataTypes[(typeof OUTPUTS)[Name][0]];
}
