/** The last source of the fallback chain: plausible answers that are marked as made up. */

import { createHash } from "node:crypto";
import { imageSize } from "image-size";
import { ALIGNED_SIZE, EMBEDDING_SIZE, LANDMARKS } from "./contract.js";
import { withDeadline } from "./deadline.js";
import { ACCEPTED, formatOf, refused } from "./encoded/refusal.js";
import { unwrapped } from "./encoded/text.js";
import { NoFaceError, UnavailableError } from "./errors.js";
import type { Inference, InferenceRequest, InferenceSource } from "./inference-source.js";
import { checkAligned, checkOptions } from "./options.js";
import { floats, int32s, type Outputs } from "./tensors.js";

const TIMEOUT_MS = 1000;
const DETECTOR = "simulated_client_detector@000000000001";
const EMBEDDER = "simulated_client_embedder@000000000001";
/** Landmarks in a unit square around a face: ArcFace's template over its 112 pixels. */
const TEMPLATE = [0.342, 0.462, 0.657, 0.46, 0.5, 0.64, 0.371, 0.825, 0.632, 0.823];

export class SimulatedFallback implements InferenceSource {
  readonly source = "simulated";
  readonly usable = true;

  /** @param maxConfidence the highest score of an answer, 0 to 1 */
  constructor(private readonly maxConfidence: number) {}

  infer(request: InferenceRequest): Promise<Inference> {
    return withDeadline(TIMEOUT_MS, request.signals, async () => ({
      outputs: this.answer(request),
      response: null,
    }));
  }

  async close(): Promise<void> {}

  private answer({ image, pipeline, options }: InferenceRequest): Outputs {
    const { aligned, minQuality } = checkOptions(options, pipeline);
    // Ignoring the option would return faces that the caller wants left out.
    if (minQuality > 0) {
      throw new UnavailableError(
        `made-up faces have no quality, and minQuality=${minQuality} asks for it`,
      );
    }
    const size = uprightSize(image);
    const { width, height } = size;
    const random = generator(image);
    // The service's default threshold is not applied, but the caller's is.
    const score = Math.fround(this.maxConfidence * (0.5 + 0.5 * random()));
    const found = score >= (options.minConfidence ?? 0);
    const side = Math.min(width, height) * (0.3 + 0.4 * random());
    let box = [(width - side) * random(), (height - side) * random(), side, side];
    if (pipeline === "embed_face" && aligned) {
      checkAligned(size);
      box = [0, 0, ALIGNED_SIZE, ALIGNED_SIZE];
    } else if (pipeline === "embed_face" && !found) {
      throw new NoFaceError("the simulated face has a lower confidence than minConfidence", {
        code: "no_face",
      });
    }
    const faces = pipeline === "embed_face" || found ? 1 : 0;
    const [x, y, scale] = box as [number, number, number];
    const landmarks = TEMPLATE.map((at, index) => (index % 2 ? y : x) + at * scale);
    const embeds = pipeline !== "detect_faces" && faces === 1;
    const perFace = (values: number[]) => (faces ? values : []);
    const outputs: Outputs = new Map([
      ["boxes", floats([faces, 4], perFace(box))],
      ["landmarks", floats([faces, LANDMARKS, 2], perFace(landmarks))],
      ["scores", floats([faces], perFace([score]))],
      ["rotations", int32s(perFace([0]))],
      ["complete", { datatype: "BOOL", shape: [1], data: [true] }],
      ["image_size", int32s([width, height])],
      ["models", { datatype: "BYTES", shape: [2], data: [DETECTOR, embeds ? EMBEDDER : ""] }],
    ]);
    if (pipeline !== "detect_faces") {
      outputs.set("embeddings", floats([faces, EMBEDDING_SIZE], perFace(unitVector(random))));
      outputs.set("calibration", floats([0])); // similarities of made-up faces mean nothing
    }
    return outputs;
  }
}

function uprightSize(image: Uint8Array): { width: number; height: number } {
  const file = unwrapped(image);
  formatOf(file);
  let size: ReturnType<typeof imageSize>;
  try {
    size = imageSize(file);
  } catch (error) {
    throw refused(`the image is corrupt or truncated; ${ACCEPTED}`, error);
  }
  const { width, height, orientation = 1 } = size;
  // EXIF orientations from 5 on swap width and height.
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}

/** Uniform numbers from 0 to 1, the same for the same bytes: SHA-256 in counter mode. */
function generator(image: Uint8Array): () => number {
  const seed = createHash("sha256").update(image).digest();
  let block = Buffer.alloc(0);
  let used = 0;
  let counter = 0;
  return () => {
    if (used === block.length) {
      block = createHash("sha256").update(seed).update(String(counter++)).digest();
      used = 0;
    }
    used += 4;
    return block.readUInt32LE(used - 4) / 2 ** 32;
  };
}

/** A uniform point on the unit sphere: normalized Gaussians (Box and Muller 1958). */
function unitVector(random: () => number): number[] {
  const vector = Array.from(
    { length: EMBEDDING_SIZE },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
