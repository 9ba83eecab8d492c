/** Throughput and memory of the local fallback, by number of threads. */

import { readFileSync } from "node:fs";
import { FaceClient } from "../src/index.js";
import { ASTRONAUT, TritonServer } from "../test/support.js";

export interface LocalReport {
  threads: number;
  /** From the client's construction until warmUp() resolves. */
  loadedMs: number;
  photosASecond: number;
  /** Growth of the process's resident memory, in MB. */
  megabytes: number;
}

export async function localFallback(photos: number): Promise<LocalReport[]> {
  const server = await TritonServer.start(); // idle: only its graphs are used
  const photo = readFileSync(ASTRONAUT);
  const before = process.memoryUsage().rss;
  const reports: LocalReport[] = [];
  for (const threads of [1, 2]) {
    const start = performance.now();
    const client = new FaceClient({
      urls: "http://127.0.0.1:2", // no server listens there
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
