/** What a thread of the local rung does: a photo to the outputs of a pipeline. */

import { workerData } from "piscina";
import { EMBEDDING_SIZE, LANDMARKS } from "../contract.js";
import { InvalidRequestError, NoFaceError } from "../errors.js";
import { type Checked, checkOptions } from "../options.js";
import type { Outputs, Tensor } from "../tensors.js";
import { align, SIDE, TEMPLATE } from "./align.js";
import { decode } from "./decode.js";
import { type Found, selectFaces } from "./faces.js";
import { Graphs } from "./graphs.js";
import { letterbox } from "./letterbox.js";
import type { Photo } from "./photo.js";
import type { LocalAnswer, LocalSettings, LocalTask } from "./rung.js";

interface Finding {
  faces: Found[];
  detector: string;
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
    if (!(error instanceof InvalidRequestError)) throw error;
    const refused = error.name as "InvalidRequestError";
    return { refused, message: error.message, code: error.code ?? undefined };
  }
}

async function work({ pipeline, image, options }: LocalTask): Promise<Outputs> {
  engine ??= start();
  const { sharp, graphs } = await engine;
  const checked = checkOptions(options, settings);
  const photo = await decode(sharp, image, settings.maxImageBytes, settings.maxImagePixels);
  const single = pipeline === "embed_face";
  const { faces, detector } =
    single && checked.aligned ? whole(photo) : await find(graphs, photo, checked);
  if (single && faces.length === 0) throw noFace(checked);
  const count = single ? 1 : checked.maxFaces || faces.length;
  const taken = faces.slice(0, count);
  const outputs: Outputs = new Map([
    [
      "boxes",
      floats(
        [taken.length, 4],
        taken.flatMap((face) => face.box),
      ),
    ],
    [
      "landmarks",
      floats(
        [taken.length, LANDMARKS, 2],
        taken.flatMap((face) => face.landmarks),
      ),
    ],
    [
      "scores",
      floats(
        [taken.length],
        taken.map((face) => face.score),
      ),
    ],
    ["image_size", int32s([photo.width, photo.height])],
  ]);
  let embedder = "";
  if (pipeline !== "detect_faces") {
    const crops = taken.map((face) => (checked.aligned && single ? photo : align(photo, face)));
    const embedded = crops.length > 0 ? await graphs.embed(crops) : null;
    embedder = embedded?.embedder ?? "";
    const vectors = embedded?.embeddings ?? new Float32Array();
    outputs.set("embeddings", floats([taken.length, EMBEDDING_SIZE], vectors));
    const calibration = embedded?.calibration ?? new Float32Array();
    outputs.set("calibration", floats([calibration.length], calibration));
  }
  outputs.set("models", { datatype: "BYTES", shape: [2], data: [detector, embedder] });
  return outputs;
}

async function find(graphs: Graphs, photo: Photo, options: Checked): Promise<Finding> {
  const found = await look(graphs, photo, options.detectionSize, options);
  if (found.faces.length > 0) return found;
  // A face that fills the frame can be too large for the detector's coarsest cells.
  const side = Math.min(options.detectionSize, Math.max(photo.width, photo.height));
  const half = Math.floor(side / 64) * 32;
  return half > 0 ? look(graphs, photo, half, options) : found;
}

async function look(graphs: Graphs, photo: Photo, size: number, options: Checked) {
  const boxed = letterbox(photo, size);
  const { candidates, detector } = await graphs.detect(boxed);
  const { minConfidence } = options;
  return { faces: selectFaces(candidates, boxed.scale, minConfidence, settings.nmsIou), detector };
}

/** By the caller's word its landmarks lie at the template, and its score is 1. */
function whole({ width, height }: Photo): Finding {
  if (width !== SIDE || height !== SIDE) {
    throw new InvalidRequestError(
      `the image is ${width}x${height}; with aligned=true it must be an aligned crop of ` +
        `${SIDE}x${SIDE} pixels`,
      { code: "not_aligned" },
    );
  }
  return { faces: [{ box: [0, 0, SIDE, SIDE], landmarks: TEMPLATE, score: 1 }], detector: "" };
}

function noFace({ minConfidence, detectionSize }: Checked): NoFaceError {
  return new NoFaceError(
    `no face was found with min_confidence=${minConfidence} and ` +
      `detection_size=${detectionSize}; embed_face needs a photo with a face`,
    { code: "no_face" },
  );
}

function floats(shape: number[], values: ArrayLike<number>): Tensor {
  return { datatype: "FP32", shape, data: Float32Array.from(values) };
}

function int32s(values: number[]): Tensor {
  return { datatype: "INT32", shape: [values.length], data: Int32Array.from(values) };
}
