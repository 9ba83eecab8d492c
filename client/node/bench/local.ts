/** What the local rung takes and gives, by threads. */

import { readFileSync } from "node:fs";
import { FaceClient } from "../src/index.js";
import { ASTRONAUT, TritonServer } from "../test/support.js";

export interface LocalReport {
  threads: number;
  /** From the making of the client until warmUp() resolves. */
  loadedMs: number;
  photosASecond: number;
  /** Resident memory of the process beyond that before, in MB. */
  megabytes: number;
}

export async function localRung(photos: number): Promise<LocalReport[]> {
  const server = await TritonServer.start(); // idle: only its graphs are used
  const photo = readFileSync(ASTRONAUT);
  const before = process.memoryUsage().rss;
  const reports: LocalReport[] = [];
  for (const threads of [1, 2]) {
    const start = performance.now();
    const client = new FaceClient({
      urls: "http://127.0.0.1:2", // nobody listens there
      local: { models: server.facts.models, threads },
    });
    await client.warmUp();
    const loaded = performance.now();
    await client.analyzeMany(Array(photos).fill(photo), { concurrency: 2 * threads });
    reports.push({
      threads,
      loadedMs: Math.round(loaded - start),
      photosASecond: photos / ((performance.now() - loaded) / 1000),
      megabytes: Math.round((process.memoryUsage().rss - before) / 1e6),
    });
    await client.close();
  }
  await server.stop();
  return reports;
}
