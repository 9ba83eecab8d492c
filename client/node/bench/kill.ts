/** A kill -9 of tritonserver under load: lost calls, and the time of the fallback. */

import { readFileSync } from "node:fs";
import { FaceClient, type Source } from "../src/index.js";
import { ASTRONAUT, TritonServer, until } from "../test/support.js";

export interface KillReport {
  inFlight: number;
  /** Answers to the calls that were in flight when the server was killed. */
  ofThoseInFlight: Record<Source, number>;
  /** Answers of the whole run. */
  answers: Record<Source, number>;
  lost: number;
  firstLocalMs: number;
  /** From the kill to the last answer to a call in flight. */
  allInFlightMs: number;
  /** From the start of tritonserver's process. */
  backSinceStartMs: number;
  /** From the new server's first answer to serve.py, over HTTP and gRPC. */
  backSinceReadyMs: number;
}

export async function killUnderLoad(inFlight: number, seconds: number): Promise<KillReport> {
  const photo = readFileSync(ASTRONAUT);
  const server = await TritonServer.start();
  const client = new FaceClient({
    urls: server.facts.url,
    timeoutMs: 60_000,
    local: { models: server.facts.models },
  });
  await client.warmUp();
  const answers = { triton: 0, local: 0, simulated: 0 };
  const ofThoseInFlight = { triton: 0, local: 0, simulated: 0 };
  const at = { killed: Infinity, firstLocal: 0, lastInFlight: 0, started: 0, ready: 0, back: 0 };
  let lost = 0;
  let stopped = false;
  const caller = async () => {
    while (!stopped) {
      const asked = performance.now();
      try {
        const { source } = await client.analyze(photo);
        const now = performance.now();
        answers[source]++;
        if (asked < at.killed && now > at.killed) {
          ofThoseInFlight[source]++;
          at.lastInFlight = now;
        }
        if (source === "local") at.firstLocal ||= now;
        else if (at.started) at.back ||= now;
      } catch (error) {
        lost++;
        console.error(error);
      }
    }
  };
  const callers = Array.from({ length: inFlight }, caller);
  const wait = () => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  await wait();
  server.signal("SIGKILL");
  at.killed = performance.now();
  await wait();
  const restart = server.restart(() => {
    at.started = performance.now();
  });
  await restart;
  at.ready = performance.now();
  await until(() => at.back > 0);
  await wait();
  stopped = true;
  await Promise.all(callers);
  await client.close();
  await server.stop();
  return {
    inFlight,
    ofThoseInFlight,
    answers,
    lost,
    firstLocalMs: Math.round(at.firstLocal - at.killed),
    allInFlightMs: Math.round(at.lastInFlight - at.killed),
    backSinceStartMs: Math.round(at.back - at.started),
    backSinceReadyMs: Math.round(at.back - at.ready),
  };
}
