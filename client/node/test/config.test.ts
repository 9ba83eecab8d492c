/** Options from the environment and the constructor, valid and invalid. */

import assert from "node:assert/strict";
import type { EventEmitter } from "node:events";
import { test } from "node:test";
import {
  Calibration,
  FaceClient,
  type FaceClientOptions,
  type FallbackEvents,
  type LadderEvents,
  optionsFromEnv,
} from "../src/index.js";
import { GRAY_PNG } from "../src/probe.js";
import { backoff } from "../src/retry.js";

test("an empty environment means the defaults: real ML only", async () => {
  for (const environment of [{}, { AURUM_TRITON_URL: "", USE_REAL_ML: " " }]) {
    const options = optionsFromEnv(environment);
    assert.equal(options.local, undefined);
    assert.equal(options.simulated, undefined);
    const client = new FaceClient(options);
    assert.equal(client.mode, "triton");
    await client.close();
  }
});

test("the deprecated type LadderEvents still describes the events", async () => {
  const client = new FaceClient({ useRealMl: false, simulated: {} });
  const events: EventEmitter<LadderEvents> = client.events;
  const seen: LadderEvents["answer"][0][] = [];
  events.on("answer", (answer) => seen.push(answer));
  await client.detect(GRAY_PNG);
  const [answer]: FallbackEvents["answer"][0][] = seen;
  assert.equal(answer!.source, "simulated");
  await client.close();
});

test("every variable has its effect", () => {
  const options = optionsFromEnv({
    AURUM_TRITON_URL: "http://a:8000, b:8010 ,",
    AURUM_API_KEY: "aurum_k",
    ML_SERVICE_TIMEOUT: "2500",
    USE_REAL_ML: "1",
    FALLBACK_TO_SIMULATED: "TRUE",
    SIMULATED_ML_THRESHOLD: "0.3",
    AURUM_LOCAL_MODELS: "/models",
    AURUM_LOCAL_THREADS: "3",
    AURUM_MIN_CONFIDENCE: "0.7",
    AURUM_NMS_IOU: "0.4",
    AURUM_DETECTION_SIZE: "320",
    AURUM_MAX_DETECTION_SIZE: "960",
    AURUM_ORIENTATION: "exif",
    AURUM_REFINE: "0",
    AURUM_MAX_IMAGE_BYTES: "1000",
    AURUM_MAX_BASE64_BYTES: "500",
    AURUM_MAX_IMAGE_PIXELS: "2000",
    AURUM_MAX_JPEG_PIXELS: "3000",
  });
  assert.deepEqual(options, {
    urls: ["http://a:8000", "b:8010"],
    headers: { authorization: "Bearer aurum_k" },
    timeoutMs: 2500,
    useRealMl: true,
    simulated: { maxConfidence: 0.3 },
    local: {
      models: "/models",
      threads: 3,
      minConfidence: 0.7,
      nmsIou: 0.4,
      detectionSize: 320,
      maxDetectionSize: 960,
      orientation: "exif",
      refine: false,
      maxImageBytes: 1000,
      maxBase64Bytes: 500,
      maxImagePixels: 2000,
      maxJpegPixels: 3000,
    },
  });
});

test("an invalid variable is named, with the allowed values", () => {
  for (const [name, value] of [
    ["ML_SERVICE_TIMEOUT", "0"],
    ["ML_SERVICE_TIMEOUT", "10s"],
    ["USE_REAL_ML", "maybe"],
    ["FALLBACK_TO_SIMULATED", "2"],
    ["SIMULATED_ML_THRESHOLD", "1.5"],
    ["AURUM_ORIENTATION", "EXIF"],
    ["AURUM_REFINE", "no"],
  ]) {
    assert.throws(
      () => optionsFromEnv({ AURUM_LOCAL_MODELS: "/models", [name!]: value }),
      (error) =>
        error instanceof RangeError && error.message.startsWith(`${name}='${value}': must`),
    );
  }
});

test("invalid options throw RangeError", () => {
  const wrong: FaceClientOptions[] = [
    { urls: "ftp://host" },
    { urls: "http://" },
    { urls: "http://user:secret@host" },
    { urls: "http://host/?x=1" },
    { urls: [] },
    { timeoutMs: 0 },
    { timeoutMs: Number.NaN },
    { retries: -1 },
    { retries: 0.5 },
    { simulated: { maxConfidence: 2 } },
    { useRealMl: false },
  ];
  for (const options of wrong) {
    assert.throws(() => new FaceClient(options), RangeError, JSON.stringify(options));
  }
});

test("backoff grows, and starts at zero", () => {
  const most = [0, 1, 2, 10].map((attempt) => backoff(attempt, () => 1));
  assert.deepEqual(most, [100, 200, 400, 2000]);
  assert.equal(
    backoff(3, () => 0),
    0,
  );
});

test("a calibration gives thresholds and probabilities", () => {
  const calibration = Calibration.fromRow([0.2, 0.3, 0.4, 20, -6, 0.5]);
  assert.deepEqual(
    [1e-2, 1e-3, 1e-4].map((far) => calibration.threshold(far as 1e-2)),
    [0.2, 0.3, 0.4],
  );
  assert.ok(Math.abs(calibration.probability(0.3) - 0.5) < 1e-12);
  // Bayes: at even odds the posterior is the prior.
  assert.ok(Math.abs(calibration.probability(0.3, 0.01) - 0.01) < 1e-12);
  assert.equal(calibration.probability(-1000), 0);
  assert.equal(calibration.probability(1000), 1);
  assert.throws(() => calibration.threshold(0.5 as 1e-2), /0.01, 0.001, 0.0001/);
  assert.throws(() => calibration.probability(0, 0), RangeError);
});
