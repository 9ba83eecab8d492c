/** The wire contract, from the answering side: output tensors and metadata to results. */

import { Calibration } from "./calibration.js";
import { CALIBRATED, EMBEDDING_SIZE, LANDMARKS, RECOGNIZABLE, type Source } from "./contract.js";
import { ProtocolError } from "./errors.js";
import {
  Analysis,
  Embedding,
  Faces,
  type FacesFields,
  type ModelIds,
  type ModelInfo,
  QUALITY_PARTS,
  type QualityParts,
  type TensorInfo,
} from "./results.js";
import type { Outputs } from "./tensors.js";

/**
 * Read the outputs of `detect_faces`; outputs that the contract doesn't name are ignored.
 *
 * @throws ProtocolError: an output is missing, or of another type or shape.
 */
export function parseFaces(outputs: Outputs, source: Source): Faces {
  return new Faces(common(outputs, source));
}

/** Read the outputs of `analyze_faces`, like `parseFaces`. */
export function parseAnalysis(outputs: Outputs, source: Source): Analysis {
  return embedded(outputs, source, source !== "simulated");
}

/** Read the outputs of `embed_face`: exactly one face, and the embedder named. */
export function parseEmbedding(outputs: Outputs, source: Source): Embedding {
  const analysis = embedded(outputs, source);
  const [face] = analysis.faces;
  if (!face || analysis.length !== 1) {
    throw new ProtocolError(`expected one face, the answer has ${analysis.length}`);
  }
  // Without it, embeddings of different models could be compared unnoticed.
  if (!analysis.models.embedder) throw new ProtocolError("the answer does not name its embedder");
  const { models, imageSize, complete, calibration } = analysis;
  return new Embedding({
    source,
    models,
    imageSize,
    complete,
    vector: analysis.embeddings,
    face,
    calibration,
  });
}

/** @param judged whether quality must be there: made-up faces, and `embed_face` of 0.1.0, lack it */
function embedded(outputs: Outputs, source: Source, judged = outputs.has("quality")): Analysis {
  const fields = common(outputs, source);
  const faces = fields.scores.length;
  return new Analysis({
    ...fields,
    embeddings: floats(outputs, "embeddings", [faces, EMBEDDING_SIZE]),
    quality: judged ? floats(outputs, "quality", [faces]) : null,
    qualityParts: judged ? qualityParts(outputs, faces) : null,
    gate: gate(outputs, faces),
    calibration: calibration(outputs),
  });
}

/** @throws ProtocolError: it is not Triton's model metadata. */
export function parseMetadata(metadata: unknown, ready: boolean, id: string | null): ModelInfo {
  const { name, versions = [], inputs = [], outputs = [] } = (metadata ?? {}) as ModelInfo;
  if (typeof name !== "string" || ![versions, inputs, outputs].every(Array.isArray)) {
    throw new ProtocolError(`not the metadata of a model: ${JSON.stringify(metadata)}`);
  }
  const info = ({ name, datatype, shape }: TensorInfo) => ({ name, datatype, shape });
  return { name, versions, ready, inputs: inputs.map(info), outputs: outputs.map(info), id };
}

export function parseModelIds(outputs: Outputs): ModelIds {
  const names = tensor(outputs, "models", "BYTES", [2]) as string[];
  return { detector: names[0] || null, embedder: names[1] || null };
}

function common(outputs: Outputs, source: Source): FacesFields {
  const scores = floats(outputs, "scores", [null]);
  const faces = scores.length;
  const [width, height] = tensor(outputs, "image_size", "INT32", [2]) as Int32Array;
  // Servers of version 0.1.0 take every face for upright, and have no word for the rest.
  const rotations = outputs.has("rotations")
    ? (tensor(outputs, "rotations", "INT32", [faces]) as Int32Array)
    : new Int32Array(faces);
  const [complete] = outputs.has("complete")
    ? (tensor(outputs, "complete", "BOOL", [1]) as boolean[])
    : [true];
  return {
    boxes: floats(outputs, "boxes", [faces, 4]),
    landmarks: floats(outputs, "landmarks", [faces, LANDMARKS, 2]),
    scores,
    rotations,
    complete: complete!,
    imageSize: [width!, height!],
    models: parseModelIds(outputs),
    source,
  };
}

function qualityParts(outputs: Outputs, faces: number): QualityParts[] {
  const values = floats(outputs, "quality_parts", [faces, null]);
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

/** Null where it is not told: by servers of version 0.1.0, and of embedders without a gate. */
function gate(outputs: Outputs, faces: number): Int32Array | null {
  if (!outputs.has("gate")) return null;
  const columns = tensor(outputs, "gate", "INT32", [null]) as Int32Array;
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

function calibration(outputs: Outputs): Calibration | null {
  const row = floats(outputs, "calibration", [null]);
  if (row.length === 0) return null;
  if (row.length !== CALIBRATED) {
    throw new ProtocolError(
      `output 'calibration' has ${row.length} numbers, not ${CALIBRATED} or 0`,
    );
  }
  return Calibration.fromRow(row);
}

function floats(outputs: Outputs, name: string, shape: (number | null)[]): Float32Array {
  return tensor(outputs, name, "FP32", shape) as Float32Array;
}

/** The output's data, if it is as wanted; null in `shape` stands for any size. */
function tensor(outputs: Outputs, name: string, datatype: string, shape: (number | null)[]) {
  const output = outputs.get(name);
  if (!output) throw new ProtocolError(`the answer has no output '${name}'`);
  const fits =
    output.shape.length === shape.length &&
    shape.every((want, axis) => want === null || want === output.shape[axis]);
  if (output.datatype !== datatype || !fits) {
    const wanted = shape.map((side) => side ?? "any").join(",");
    throw new ProtocolError(
      `output '${name}' is ${output.datatype} [${output.shape}], expected ${datatype} [${wanted}]`,
    );
  }
  return output.data;
}
