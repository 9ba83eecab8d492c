/** What a thread of the local rung does: a photo to the outputs of a pipeline. */

import { workerData } from "piscina";
import { EMBEDDING_SIZE, LANDMARKS } from "../contract.js";
import { InvalidRequestError, NoFaceError } from "../errors.js";
import { type Checked, checkOptions } from "../options.js";
import type { Outputs, Tensor } from "../tensors.js";
import { align, SIDE, TEMPLATE } from "./align.js";
import { decode } from "./decode.js";
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
    if (!(error instanceof InvalidRequestError)) throw error;
    const refused = error.name as "InvalidRequestError";
    return { refused, message: error.message, code: error.code ?? undefined };
  }
}

async function work({ pipeline, image, options }: LocalTask): Promise<Outputs> {
  engine ??= start();
  const { sharp, graphs } = await engine;
  const single = pipeline === "embed_face";
  const given = checkOptions(options, settings);
  const checked = single ? { ...given, maxFaces: 1 } : given;
  const photo = await decode(sharp, image, settings.maxImageBytes, settings.maxImagePixels);
  const { faces, detector, complete } =
    single && checked.aligned ? whole(photo) : await find(graphs, photo, checked);
  if (single && faces.length === 0) throw noFace(checked);
  const outputs: Outputs = new Map([
    [
      "boxes",
      floats(
        [faces.length, 4],
        faces.flatMap((face) => face.box),
      ),
    ],
    [
      "landmarks",
      floats(
        [faces.length, LANDMARKS, 2],
        faces.flatMap((face) => face.landmarks),
      ),
    ],
    [
      "scores",
      floats(
        [faces.length],
        faces.map((face) => face.score),
      ),
    ],
    ["rotations", int32s(faces.map((face) => face.rotation))],
    ["complete", { datatype: "BOOL", shape: [1], data: [complete] }],
    ["image_size", int32s([photo.width, photo.height])],
  ]);
  let embedder = "";
  if (pipeline !== "detect_faces") {
    const crops = faces.map((face) => (checked.aligned && single ? photo : align(photo, face)));
    const embedded = crops.length > 0 ? await graphs.embed(crops) : null;
    embedder = embedded?.embedder ?? "";
    const vectors = embedded?.embeddings ?? new Float32Array();
    outputs.set("embeddings", floats([faces.length, EMBEDDING_SIZE], vectors));
    const calibration = embedded?.calibration ?? new Float32Array();
    outputs.set("calibration", floats([calibration.length], calibration));
  }
  outputs.set("models", { datatype: "BYTES", shape: [2], data: [detector, embedder] });
  return outputs;
}

async function find(graphs: Graphs, photo: Photo, options: Checked): Promise<Finding> {
  const looks = new Looks(photo, options, settings.nmsIou, graphs);
  const faces = await looks.faces();
  return { faces, detector: looks.detector, complete: looks.complete };
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
  const box: Found["box"] = [0, 0, SIDE, SIDE];
  const face: Found = { box, landmarks: TEMPLATE, score: 1, rotation: 0, fit: 1 };
  return { faces: [face], detector: "", complete: true };
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
