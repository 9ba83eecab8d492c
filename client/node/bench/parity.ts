/** How far answers are from the Python client's, over HTTP and from the local rung. */

import { basename } from "node:path";
import { dot } from "../src/comparison.js";
import { type Analysis, FaceClient, type ModelIds, QUALITY_PARTS } from "../src/index.js";
import { TritonServer } from "../test/support.js";

/** What test/serve.py says for `analyze`. */
interface Expected {
  boxes: number[];
  landmarks: number[];
  scores: number[];
  embeddings: number[];
  quality: number[];
  qualityParts: number[];
  gate: number[];
  imageSize: [number, number];
  models: ModelIds;
}

export interface Parity {
  photo: string;
  source: string;
  faces: number;
  /** Whether the number of faces, each one's gate, the size of the photo and both models' ids are. */
  same: boolean;
  /** The least cosine of an embedding with the Python client's. */
  leastCosine: number;
  /** The largest difference of a box's or landmark's number. */
  pixels: number;
  scores: number;
  /** The largest difference of a quality or one of its parts. */
  quality: number;
}

export async function parityOf(photos: string[]): Promise<Parity[]> {
  const server = await TritonServer.start();
  const remote = new FaceClient({ urls: server.facts.url, timeoutMs: 60_000 });
  // Nobody listens there, so that every answer is the local rung's.
  const local = new FaceClient({
    urls: "http://127.0.0.1:2",
    timeoutMs: 60_000,
    local: { models: server.facts.models, threads: 1 },
  });
  const rows: Parity[] = [];
  for (const photo of photos) {
    const want = await server.analyze<Expected>(photo);
    for (const client of [remote, local]) {
      rows.push({ photo: basename(photo), ...compare(await client.analyze(photo), want) });
    }
  }
  await Promise.all([remote.close(), local.close()]);
  await server.stop();
  return rows;
}

function compare(got: Analysis, want: Expected): Omit<Parity, "photo"> {
  const cosines = got.faces.map(({ embedding }, index) =>
    dot(embedding!, Float32Array.from(want.embeddings.slice(index * 512, (index + 1) * 512))),
  );
  const parts = got.qualityParts?.flatMap((values) => QUALITY_PARTS.map((name) => values[name]));
  return {
    source: got.source,
    faces: got.length,
    same: JSON.stringify(exact(got)) === JSON.stringify(exact(want)),
    leastCosine: Math.min(...cosines),
    pixels: Math.max(
      largestDifference(got.boxes, want.boxes),
      largestDifference(got.landmarks, want.landmarks),
    ),
    scores: largestDifference(got.scores, want.scores),
    quality: Math.max(
      largestDifference(got.quality ?? [], want.quality),
      largestDifference(parts ?? [], want.qualityParts),
    ),
  };
}

function exact({ scores, gate, imageSize, models }: Analysis | Expected): unknown[] {
  return [scores.length, Array.from(gate ?? []), imageSize, models];
}

/** NaN where the lengths differ, which no limit allows. */
function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
