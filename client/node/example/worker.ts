/** A worker of the faceScoring queue, configured by the environment; Ctrl-C stops it cleanly. */

import { FaceClient, optionsFromEnv } from "../src/index.js";
import { startWorker } from "../src/worker/index.js";

const client = new FaceClient(optionsFromEnv());
const worker = startWorker({
  client,
  connection: { url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" },
});

async function stop(): Promise<void> {
  await worker.close(); // finishes running jobs
  await client.close();
}
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
