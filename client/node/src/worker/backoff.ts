/** Backoff of workers while Redis refuses commands; BullMQ alone would retry without a pause. */

import type { Worker } from "bullmq";

const SHORTEST_MS = 250;
const LONGEST_MS = 10_000;

/**
 * Pause `worker`, longer each time, while Redis answers with errors: it is full (OOM), can't write
 * (MISCONF) or is a replica (READONLY). BullMQ itself waits after lost connections.
 */
export function backOff(worker: Pick<Worker, "pause" | "resume" | "isPaused" | "on">): void {
  let wait = SHORTEST_MS;
  let timer: NodeJS.Timeout | null = null;
  worker.on("active", () => {
    wait = SHORTEST_MS;
  });
  worker.on("error", (error) => {
    if (error.name !== "ReplyError" || timer || worker.isPaused()) return;
    void worker.pause(true);
    timer = setTimeout(
      () => {
        timer = null;
        void worker.resume();
      },
      wait * (0.5 + 0.5 * Math.random()),
    );
    wait = Math.min(2 * wait, LONGEST_MS);
  });
  worker.on("closing", () => {
    if (timer) clearTimeout(timer);
  });
}
