/** Differences from the Python client's answers, over HTTP and from the local fallback. */

import { basename } from "node:path";
import { dot } from "../src/comparison.js";
import { type Analysis, FaceClient, type ModelIds, QUALITY_PARTS } from "../src/index.js";
import { TritonServer } from "../test/support.js";

/** The answer of test/serve.py to `analyze`. */
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
  /** Whether the number of faces, their gates, the photo's size and both models' ids are equal. */
  same: boolean;
  /** The lowest cosine of an embedding with the Python client's. */
  leastCosine: number;
  /** The largest difference of a coordinate of a box or landmark. */
  pixels: number;
  scores: number;
  /** The largest difference of a quality or a quality part. */
  quality: number;
}

export async function parityOf(photos: string[]): Promise<Parity[]> {
  const server = await TritonServer.start();
  const remote = new FaceClient({ urls: server.facts.url, timeoutMs: 60_000 });
  // No server listens there, so every answer comes from the local fallback.
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

/** NaN if the lengths differ, which fails every limit. */
function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
