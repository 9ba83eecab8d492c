/** The worker thread of the local fallback: from a photo to the outputs of a pipeline. */

import { workerData } from "piscina";
import { ALIGNED_SIZE, EMBEDDING_SIZE, LANDMARKS, QUALITY_PARTS } from "../contract.js";
import { InvalidRequestError, NoFaceError, UnavailableError } from "../errors.js";
import { type CheckedOptions, checkAligned, checkOptions } from "../options.js";
import { floats, int32s, type Outputs } from "../tensors.js";
import { cutForRefiner, TEMPLATE } from "./align.js";
import { decode } from "./decode.js";
import { type Embeddings, embed, filterByQuality, requireQuality } from "./embed.js";
import type { DetectedFace } from "./faces.js";
import type { LocalAnswer, LocalSettings, LocalTask } from "./fallback.js";
import { Graphs } from "./graphs.js";
import { Looks } from "./looks.js";
import type { Photo } from "./photo.js";

interface Detection {
  faces: DetectedFace[];
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
  sharp.concurrency(1); // photos are processed in parallel instead
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
  const given = checkOptions(options, pipeline, settings);
  const checked = single ? { ...given, maxFaces: 1 } : given;
  const aligned = single && checked.aligned;
  const photo = await decode(sharp, image, settings);
  const found = await (aligned ? wholeCrop : find)(graphs, photo, checked);
  if (single && found.faces.length === 0) throw noFace(checked);
  if (pipeline === "detect_faces") return outputsOf(found, photo, "");
  const embedded = await embed(graphs, photo, found.faces, aligned);
  const kept = single
    ? requireQuality(embedded, checked.minQuality)
    : filterByQuality(embedded, checked.minQuality);
  const faces = kept.faces.map(({ face }) => face);
  const outputs = outputsOf({ ...found, faces }, photo, kept.embedder);
  return new Map([...outputs, ...embeddedOutputs(kept)]);
}

function outputsOf(
  { faces, detector, complete }: Detection,
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

async function find(graphs: Graphs, photo: Photo, options: CheckedOptions): Promise<Detection> {
  const looks = new Looks(photo, options, settings.nmsIou, graphs);
  const faces = await looks.faces();
  return { faces, detector: looks.detector, complete: looks.complete };
}

/**
 * The face of an aligned crop: its landmarks are the template's and its score is 1. Only its fit
 * comes from the refiner, and is 0 if the crop shows no face.
 */
async function wholeCrop(
  graphs: Graphs,
  photo: Photo,
  { refine }: CheckedOptions,
): Promise<Detection> {
  checkAligned(photo);
  const box: DetectedFace["box"] = [0, 0, ALIGNED_SIZE, ALIGNED_SIZE];
  const face: DetectedFace = { box, landmarks: TEMPLATE, score: 1, rotation: 0, fit: 1 };
  if (refine) face.fit = (await graphs.refine([cutForRefiner(photo, face).crop]))[0]!.score;
  return { faces: [face], detector: "", complete: true };
}

function noFace({ minConfidence, detectionSize }: CheckedOptions): NoFaceError {
  return new NoFaceError(
    `no face was found with min_confidence=${minConfidence} and ` +
      `detection_size=${detectionSize}; embed_face needs a photo with a face`,
    { code: "no_face" },
  );
}
