/** What a client does, as Prometheus metrics; needs the package prom-client. */

import { Counter, Gauge, Histogram, type Registry, register } from "prom-client";
import type { FaceClient } from "./client.js";

const SOURCES = ["triton", "local", "simulated"] as const;

/** Count the client's answers, fallbacks and switches in `registry` (default: the global one). */
export function instrument(client: FaceClient, registry: Registry = register): void {
  const registers = [registry];
  const answers = new Histogram({
    name: "aurum_face_answer_seconds",
    help: "Time of answers, by who answered",
    labelNames: ["source", "pipeline"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const fallbacks = new Counter({
    name: "aurum_face_fallbacks_total",
    help: "Calls that were handed down the ladder",
    labelNames: ["from", "to"],
    registers,
  });
  const switches = new Counter({
    name: "aurum_face_switches_total",
    help: "Changes of the rung that calls begin with",
    labelNames: ["from", "to"],
    registers,
  });
  new Gauge({
    name: "aurum_face_mode",
    help: "1 for the rung that the next call begins with",
    labelNames: ["source"],
    registers,
    collect() {
      for (const source of SOURCES) this.set({ source }, client.mode === source ? 1 : 0);
    },
  });
  client.events.on("answer", ({ source, pipeline, ms }) => {
    answers.observe({ source, pipeline }, ms / 1000);
  });
  client.events.on("fallback", ({ from, to }) => fallbacks.inc({ from, to }));
  client.events.on("switch", ({ from, to }) =>
    switches.inc({ from: from ?? "none", to: to ?? "none" }),
  );
}
