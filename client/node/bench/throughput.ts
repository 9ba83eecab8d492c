/** The Node client and the Python client in turns on one server, with as many callers. */

import { readFileSync } from "node:fs";
import { FaceClient } from "../src/index.js";
import { ASTRONAUT, TritonServer } from "../test/support.js";

export interface ThroughputReport {
  inFlight: number;
  /** Photos a second, by round. */
  node: number[];
  python: number[];
  /** Median of node's over the median of Python's. */
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
  await photosASecond(client, photo, seconds / 2, inFlight); // warm
  for (let round = 0; round < rounds; round++) {
    // Who begins changes, so that a machine that gets slower favours nobody.
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
