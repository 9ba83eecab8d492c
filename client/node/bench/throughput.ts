/** Throughput of the Node and Python clients, alternating on one server with equal concurrency. */

import { readFileSync } from "node:fs";
import { FaceClient } from "../src/index.js";
import { ASTRONAUT, TritonServer } from "../test/support.js";

export interface ThroughputReport {
  inFlight: number;
  /** Photos per second, by round. */
  node: number[];
  python: number[];
  /** The median of Node divided by the median of Python. */
  ratio: number;
}

export async function sideBySide(
  inFlight: number,
  rounds: number,
  seconds: number,
): Promise<ThroughputReport> {
  const server = await TritonServer.start();
  const client = new FaceClient({ urls: server.facts.url, timeoutMs: 60_000 });
  const photo = readFileSync(ASTRONAUT);
  const node: number[] = [];
  const python: number[] = [];
  const nodeRound = async () =>
    void node.push(await photosASecond(client, photo, seconds, inFlight));
  const pythonRound = async () => void python.push(await server.load(seconds, inFlight, ASTRONAUT));
  await photosASecond(client, photo, seconds / 2, inFlight); // warm-up
  for (let round = 0; round < rounds; round++) {
    // The order alternates, so that a machine that slows down favors neither.
    const order = round % 2 ? [pythonRound, nodeRound] : [nodeRound, pythonRound];
    for (const next of order) await next();
  }
  await client.close();
  await server.stop();
  return { inFlight, node, python, ratio: median(node) / median(python) };
}

async function photosASecond(client: FaceClient, photo: Buffer, seconds: number, inFlight: number) {
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  let answered = 0;
  const caller = async () => {
    for (; elapsed() < seconds; answered++) await client.analyze(photo);
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return answered / elapsed();
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
