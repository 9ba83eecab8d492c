/** Prometheus metrics of a client; needs the package prom-client. */

import { Counter, Gauge, Histogram, type Registry, register } from "prom-client";
import type { FaceClient } from "./client.js";
import { SOURCES } from "./contract.js";

/** Count the client's answers, retries, fallbacks, failures and switches in `registry` (default: the global one). */
export function instrument(client: FaceClient, registry: Registry = register): void {
  const registers = [registry];
  const answers = new Histogram({
    name: "aurum_face_answer_seconds",
    help: "Time to answer a call, by source",
    labelNames: ["source", "pipeline"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const fallbacks = new Counter({
    name: "aurum_face_fallbacks_total",
    help: "Calls that went to the next source of the fallback chain",
    labelNames: ["from", "to"],
    registers,
  });
  const retries = new Counter({
    name: "aurum_face_retries_total",
    help: "Requests sent again, by the class of the error before",
    labelNames: ["error"],
    registers,
  });
  const failures = new Counter({
    name: "aurum_face_failures_total",
    help: "Calls that rejected, by the class of the error",
    labelNames: ["error", "pipeline"],
    registers,
  });
  const switches = new Counter({
    name: "aurum_face_switches_total",
    help: "Changes of the source that calls start with",
    labelNames: ["from", "to"],
    registers,
  });
  new Gauge({
    name: "aurum_face_mode",
    help: "1 for the source that the next call starts with",
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
  client.events.on("retry", ({ error }) => retries.inc({ error: error.name }));
  client.events.on("failure", ({ error, pipeline }) =>
    failures.inc({ error: error.name, pipeline }),
  );
  client.events.on("switch", ({ from, to }) =>
    switches.inc({ from: from ?? "none", to: to ?? "none" }),
  );
}
