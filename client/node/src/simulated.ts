/** The last rung: answers of the right shape that nobody can take for real ones. */

import { createHash } from "node:crypto";
import { imageSize } from "image-size";
import { EMBEDDING_SIZE, LANDMARKS } from "./contract.js";
import { withDeadline } from "./deadline.js";
import { acceptedFormat, refusedFormat } from "./encoded/formats.js";
import { ACCEPTED, refused, unsupported } from "./encoded/refusal.js";
import { unwrapped } from "./encoded/text.js";
import { InvalidRequestError, NoFaceError, UnavailableError } from "./errors.js";
import { checkOptions, LIMITS } from "./options.js";
import type { Ask, Rung } from "./rung.js";
import type { Outputs, Tensor } from "./tensors.js";

const DETECTOR = "simulated_client_detector@000000000001";
const EMBEDDER = "simulated_client_embedder@000000000001";
/** Where landmarks lie in a unit square around a face: ArcFace's template over its 112 pixels. */
const TEMPLATE = [0.342, 0.462, 0.657, 0.46, 0.5, 0.64, 0.371, 0.825, 0.632, 0.823];
const ALIGNED_SIDE = 112;

export class SimulatedRung implements Rung {
  readonly source = "simulated";
  readonly usable = true;

  /** @param maxConfidence the most that a score of an answer may be, 0 to 1 */
  constructor(private readonly maxConfidence: number) {}

  infer(ask: Ask): Promise<Outputs> {
    return withDeadline(1000, ask.givenUp, async () => this.answer(ask));
  }

  async close(): Promise<void> {}

  private answer({ image, pipeline, options }: Ask): Outputs {
    const { aligned, minQuality } = checkOptions(options, LIMITS, pipeline);
    // Rather than answer as if it had not been asked for.
    if (minQuality > 0) {
      throw new UnavailableError(
        `made-up faces have no quality, and minQuality=${minQuality} asks for it`,
      );
    }
    const [width, height] = uprightSize(image);
    const random = generator(image);
    // The default threshold of the service is not applied, one that the caller asks for is.
    const score = Math.fround(this.maxConfidence * (0.5 + 0.5 * random()));
    const found = score >= (options.minConfidence ?? 0);
    const side = Math.min(width, height) * (0.3 + 0.4 * random());
    let box = [(width - side) * random(), (height - side) * random(), side, side];
    if (pipeline === "embed_face" && aligned) {
      if (width !== ALIGNED_SIDE || height !== ALIGNED_SIDE) {
        throw new InvalidRequestError(
          `the image is ${width}x${height}; with aligned=true it must be an aligned crop of ` +
            `${ALIGNED_SIDE}x${ALIGNED_SIDE} pixels`,
          { code: "not_aligned" },
        );
      }
      box = [0, 0, ALIGNED_SIDE, ALIGNED_SIDE];
    } else if (pipeline === "embed_face" && !found) {
      throw new NoFaceError("a simulated face has less confidence than minConfidence asks for", {
        code: "no_face",
      });
    }
    const faces = pipeline === "embed_face" || found ? 1 : 0;
    const [x, y, size] = box as [number, number, number];
    const landmarks = TEMPLATE.map((at, index) => (index % 2 ? y : x) + at * size);
    const embeds = pipeline !== "detect_faces" && faces === 1;
    const outputs: Outputs = new Map([
      ["boxes", floats([faces, 4], box)],
      ["landmarks", floats([faces, LANDMARKS, 2], landmarks)],
      ["scores", floats([faces], [score])],
      ["rotations", { datatype: "INT32", shape: [faces], data: new Int32Array(faces) }],
      ["complete", { datatype: "BOOL", shape: [1], data: [true] }],
      ["image_size", { datatype: "INT32", shape: [2], data: Int32Array.of(width, height) }],
      ["models", { datatype: "BYTES", shape: [2], data: [DETECTOR, embeds ? EMBEDDER : ""] }],
    ]);
    if (pipeline !== "detect_faces") {
      outputs.set("embeddings", floats([faces, EMBEDDING_SIZE], unitVector(random)));
      outputs.set("calibration", floats([0], [])); // their similarity means nothing
    }
    return outputs;
  }
}

function floats(shape: number[], values: number[]): Tensor {
  const data = Float32Array.from(shape[0] === 0 ? [] : values);
  return { datatype: "FP32", shape, data };
}

function uprightSize(image: Uint8Array): [width: number, height: number] {
  const file = unwrapped(image);
  const other = refusedFormat(file);
  if (other !== null) throw unsupported(`${other} images`);
  if (acceptedFormat(file) === null) throw refused(`the bytes are not an image; ${ACCEPTED}`);
  let size: ReturnType<typeof imageSize>;
  try {
    size = imageSize(file);
  } catch (error) {
    throw refused(`the image is corrupt or truncated; ${ACCEPTED}`, error);
  }
  // EXIF orientations from 5 on lay the photo on its side.
  return (size.orientation ?? 1) >= 5 ? [size.height, size.width] : [size.width, size.height];
}

/** Even numbers from 0 to 1, the same for the same bytes: SHA-256 in counter mode. */
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

/** Evenly on the sphere: normal coordinates (Box and Muller 1958), divided by their length. */
function unitVector(random: () => number): number[] {
  const vector = Array.from(
    { length: EMBEDDING_SIZE },
    () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
