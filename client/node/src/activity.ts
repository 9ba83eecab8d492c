/** What a client did: events for logs and metrics, and counters. */

import { EventEmitter } from "node:events";
import type { Source } from "./contract.js";
import type { AurumError } from "./errors.js";

/** The events of `FaceClient.events`. An error that a listener throws rejects the call. */
export interface FallbackEvents {
  /** A source answered a call; `ms` is the time that this source alone took. */
  answer: [{ source: Source; pipeline: string; requestId: string; ms: number }];
  /**
   * The servers get another request for the same call. `attempt` is its number, from 2; `url` is the
   * server that gets it, `error` the failure of the one before, `delayMs` the pause between them.
   */
  retry: [
    {
      pipeline: string;
      requestId: string;
      attempt: number;
      url: string;
      delayMs: number;
      error: AurumError;
    },
  ];
  /** A source failed to answer a call, which went to the next one. */
  fallback: [{ from: Source; to: Source; requestId: string; error: AurumError }];
  /** A call rejected with `error`. */
  failure: [{ pipeline: string; requestId: string; error: AurumError }];
  /** Calls now start with another source; null: no source is usable. */
  switch: [{ from: Source | null; to: Source | null }];
  /** A source will answer no call of this client: packages or models of it are missing. */
  unavailable: [{ source: Source; error: AurumError }];
}

/** @deprecated Renamed to `FallbackEvents`; version 0.3.0 removes this name. */
export type LadderEvents = FallbackEvents;

export interface Counters {
  /** Answers by source. */
  answers: Record<string, number>;
  /** Requests sent again, by the class of the error before, such as "ConnectionFailedError". */
  retries: Record<string, number>;
  /** Calls that went to the next source, under names such as "triton>local". */
  fallbacks: Record<string, number>;
  /** Calls that rejected, by the class of the error. */
  failures: Record<string, number>;
  /** Changes of the source that calls start with, under names such as "triton>local". */
  switches: Record<string, number>;
}

type Details<Name extends keyof FallbackEvents> = FallbackEvents[Name][0];

/** Warnings of this process: many clients may lack the same package. */
const warned = new Set<string>();

export class Activity {
  readonly events = new EventEmitter<FallbackEvents>();
  readonly counters: Counters = {
    answers: {},
    retries: {},
    fallbacks: {},
    failures: {},
    switches: {},
  };

  answer(details: Details<"answer">): void {
    count(this.counters.answers, details.source);
    this.events.emit("answer", details);
  }

  retry(details: Details<"retry">): void {
    count(this.counters.retries, details.error.name);
    this.events.emit("retry", details);
  }

  fallback(details: Details<"fallback">): void {
    count(this.counters.fallbacks, `${details.from}>${details.to}`);
    this.events.emit("fallback", details);
  }

  failure(details: Details<"failure">): void {
    count(this.counters.failures, details.error.name);
    this.events.emit("failure", details);
  }

  switch(details: Details<"switch">): void {
    count(this.counters.switches, `${details.from}>${details.to}`);
    this.events.emit("switch", details);
  }

  /** Also warns the process, once: without listeners nobody would notice until servers fail. */
  unavailable(details: Details<"unavailable">): void {
    const { message } = details.error;
    if (!warned.has(message)) process.emitWarning(message, "AurumFaceWarning");
    warned.add(message);
    this.events.emit("unavailable", details);
  }
}

function count(counters: Record<string, number>, name: string): void {
  counters[name] = (counters[name] ?? 0) + 1;
}
