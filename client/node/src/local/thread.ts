/** What a thread of the local rung does: a photo to the outputs of a pipeline. */

import { workerData } from "piscina";
import { EMBEDDING_SIZE, LANDMARKS } from "../contract.js";
import { InvalidRequestError, NoFaceError, UnavailableError } from "../errors.js";
import { type Checked, checkOptions } from "../options.js";
import { QUALITY_PARTS } from "../results.js";
import type { Outputs, Tensor } from "../tensors.js";
import { cutForSecondLook, SIDE, TEMPLATE } from "./align.js";
import { decode } from "./decode.js";
import { allFit, type Embeddings, embed, fitOnes } from "./embed.js";
import type { Found } from "./faces.js";
import { Graphs } from "./graphs.js";
import { Looks } from "./looks.js";
import type { Photo } from "./photo.js";
import type { LocalAnswer, LocalSettings, LocalTask } from "./rung.js";

interface Finding {
  faces: Found[];
  detector: string;
  complete: boolean;
}

const settings = workerData as LocalSettings;
let engine: ReturnType<typeof start> | null = null;

async function start() {
  const [{ default: sharp }, runtime] = await Promise.all([
    import("sharp"),
    import("onnxruntime-node"),
  ]);
  sharp.concurrency(1); // the photos are what runs in parallel
  return { sharp, graphs: await Graphs.load(runtime, settings.models) };
}

export default async function answer(task: LocalTask): Promise<LocalAnswer> {
  try {
    return { outputs: await work(task) };
  } catch (error) {
    const known = error instanceof InvalidRequestError || error instanceof UnavailableError;
    if (!known) throw error;
    const refused = error.name as "InvalidRequestError";
    return { refused, message: error.message, code: error.code ?? undefined };
  }
}

async function work({ pipeline, image, options }: LocalTask): Promise<Outputs> {
  engine ??= start();
  const { sharp, graphs } = await engine;
  const single = pipeline === "embed_face";
  const given = checkOptions(options, settings, pipeline);
  const checked = single ? { ...given, maxFaces: 1 } : given;
  const aligned = single && checked.aligned;
  const photo = await decode(sharp, image, settings);
  const found = await (aligned ? whole : find)(graphs, photo, checked);
  if (single && found.faces.length === 0) throw noFace(checked);
  if (pipeline === "detect_faces") return outputsOf(found, photo, "");
  const embedded = await embed(graphs, photo, found.faces, aligned);
  const kept = single
    ? allFit(embedded, checked.minQuality)
    : fitOnes(embedded, checked.minQuality);
  const faces = kept.faces.map(({ face }) => face);
  const outputs = outputsOf({ ...found, faces }, photo, kept.embedder);
  return new Map([...outputs, ...embeddedOutputs(kept)]);
}

function outputsOf(
  { faces, detector, complete }: Finding,
  photo: Photo,
  embedder: string,
): Outputs {
  const count = faces.length;
  return new Map([
    ["boxes", floats([count, 4], ...faces.map((face) => face.box))],
    ["landmarks", floats([count, LANDMARKS, 2], ...faces.map((face) => face.landmarks))],
    ["scores", floats([count], ...faces.map((face) => [face.score]))],
    ["rotations", int32s(faces.map((face) => face.rotation))],
    ["complete", { datatype: "BOOL", shape: [1], data: [complete] }],
    ["image_size", int32s([photo.width, photo.height])],
    ["models", { datatype: "BYTES", shape: [2], data: [detector, embedder] }],
  ]);
}

function embeddedOutputs({ faces, calibration }: Embeddings): Outputs {
  const count = faces.length;
  const parts = faces.map((face) => QUALITY_PARTS.map((name) => face.parts[name]));
  return new Map([
    ["embeddings", floats([count, EMBEDDING_SIZE], ...faces.map((face) => face.embedding))],
    ["quality", floats([count], ...faces.map((face) => [face.quality]))],
    ["quality_parts", floats([count, QUALITY_PARTS.length], ...parts)],
    ["gate", int32s(faces.flatMap(({ gate }) => gate ?? []))],
    ["calibration", floats([calibration.length], calibration)],
  ]);
}

async function find(graphs: Graphs, photo: Photo, options: Checked): Promise<Finding> {
  const looks = new Looks(photo, options, settings.nmsIou, graphs);
  const faces = await looks.faces();
  return { faces, detector: looks.detector, complete: looks.complete };
}

/**
 * By the caller's word its landmarks lie at the template, and its score is 1. Only the fit is seen,
 * by a second look: where there is no face at all, it is 0.
 */
async function whole(graphs: Graphs, photo: Photo, { refine }: Checked): Promise<Finding> {
  const { width, height } = photo;
  if (width !== SIDE || height !== SIDE) {
    throw new InvalidRequestError(
      `the image is ${width}x${height}; with aligned=true it must be an aligned crop of ` +
        `${SIDE}x${SIDE} pixels`,
      { code: "not_aligned" },
    );
  }
  const box: Found["box"] = [0, 0, SIDE, SIDE];
  const face: Found = { box, landmarks: TEMPLATE, score: 1, rotation: 0, fit: 1 };
  if (refine) face.fit = (await graphs.refine([cutForSecondLook(photo, face).crop]))[0]!.score;
  return { faces: [face], detector: "", complete: true };
}

function noFace({ minConfidence, detectionSize }: Checked): NoFaceError {
  return new NoFaceError(
    `no face was found with min_confidence=${minConfidence} and ` +
      `detection_size=${detectionSize}; embed_face needs a photo with a face`,
    { code: "no_face" },
  );
}

function floats(shape: number[], ...rows: ArrayLike<number>[]): Tensor {
  const data = Float32Array.from(rows.flatMap((row) => Array.from(row)));
  return { datatype: "FP32", shape, data };
}

function int32s(values: number[]): Tensor {
  return { datatype: "INT32", shape: [values.length], data: Int32Array.from(values) };
}
