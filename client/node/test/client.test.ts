/** The client with a real tritonserver: all calls, kinds of images, and ways to abort. */

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { OUTPUTS, type Output } from "../src/contract.js";
import {
  Analysis,
  AurumError,
  ClientClosedError,
  Comparison,
  Embedding,
  FaceClient,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelMismatchError,
  NoFaceError,
  RequestTimeoutError,
} from "../src/index.js";
import { checkOptions } from "../src/options.js";
import { GRAY_PNG } from "../src/probe.js";
import { ASTRONAUT, TritonServer } from "./support.js";

const photo = readFileSync(ASTRONAUT);
let server: TritonServer;
let client: FaceClient;

before(async () => {
  server = await TritonServer.start();
  client = new FaceClient({ urls: server.facts.url });
});
after(async () => {
  await client?.close();
  await server?.stop();
});

test("detect, embed and analyze find the same face", async () => {
  const [faces, embedding, analysis] = await Promise.all([
    client.detect(photo),
    client.embed(photo),
    client.analyze(photo),
  ]);
  assert.equal(faces.length, 1);
  assert.equal(faces.faces[0]!.embedding, null);
  assert.equal(faces.models.embedder, null);
  assert.deepEqual(faces.imageSize, [512, 512]);
  assert.deepEqual(analysis.boxes, faces.boxes);
  assert.deepEqual(analysis.faces[0]!.embedding, embedding.vector);
  assert.deepEqual(embedding.face.bbox, faces.faces[0]!.bbox);
  assert.equal(embedding.vector.length, 512);
  assert.ok(Math.abs(Math.hypot(...embedding.vector) - 1) < 1e-5);
  for (const answer of [faces, embedding, analysis]) {
    assert.equal(answer.source, "triton");
    assert.equal(answer.simulated, server.facts.simulated);
    assert.match(answer.models.detector!, /^\w+@[0-9a-f]{12}$/);
  }
});

test("the quality of a face has named parts", async () => {
  const [face] = (await client.analyze(photo)).faces;
  assert.ok(face!.quality! >= 0 && face!.quality! <= 1);
  assert.ok(Math.abs(face!.qualityParts!.confidence - face!.score) < 1e-6);
  const [left, right] = face!.landmarks;
  const eyes = Math.hypot(right![0] - left![0], right![1] - left![1]);
  assert.ok(Math.abs(face!.qualityParts!.resolution - eyes) < 0.01);
});

test("embed assesses the face like analyze does", async () => {
  const [[face], embedding] = await Promise.all([
    client.analyze(photo).then(({ faces }) => faces),
    client.embed(photo),
  ]);
  assert.ok(Math.abs(embedding.quality! - face!.quality!) < 1e-3);
  assert.equal(embedding.recognizable, face!.recognizable);
  assert.equal(embedding.recognizable, server.facts.simulated ? null : true);
  assert.equal(embedding.defect, null);
});

test("minQuality omits faces, or rejects the only one", async () => {
  assert.equal((await client.analyze(photo, { minQuality: 0.01 })).length, 1);
  const none = await client.analyze(photo, { minQuality: 1 });
  assert.deepEqual([none.length, none.gate, none.qualityCalibrated], [0, null, false]);
  const [rest] = await client.analyzeMany([photo], { minQuality: 1 });
  assert.equal((rest as Analysis).length, 0);
  await assert.rejects(client.compare(photo, photo, { minQuality: 1 }), (error) => {
    assert.ok(error instanceof LowQualityError);
    assert.equal(error.code, "low_quality");
    assert.match(error.message, /min_quality=1.* \(in the (first|second) image of compare/);
    return true;
  });
  const detect = { minQuality: 0.5 } as object;
  await assert.rejects(client.detect(photo, detect), { code: "invalid_parameter" });
});

test("a path, a URL, bytes, a Blob, a stream and an ArrayBuffer are the same photo", async () => {
  const want = await client.analyze(photo);
  const kinds = [
    ASTRONAUT,
    pathToFileURL(ASTRONAUT),
    new Uint8Array(photo),
    new Blob([photo]),
    createReadStream(ASTRONAUT),
    new Uint8Array(photo).buffer,
  ];
  for (const image of kinds) {
    assert.deepEqual((await client.analyze(image)).embeddings, want.embeddings);
  }
});

test("invalid images are rejected", async () => {
  for (const [image, message] of [
    ["missing.jpg", /missing\.jpg/],
    [7, /an image is a path/],
    [null, /an image is a path/],
    [Buffer.alloc(0), /empty/],
    [Buffer.from("GIF89a............"), /GIF/],
    [photo.subarray(0, 9000), /corrupt or truncated/],
    [() => createReadStream("missing.jpg"), /missing\.jpg/],
  ] as const) {
    const given = typeof image === "function" ? image() : image;
    await assert.rejects(client.detect(given as string), (error) => {
      assert.ok(error instanceof InvalidImageError, String(error));
      assert.equal(error.code, "invalid_image");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("options reach the server, which checks their ranges", async () => {
  const sure = (await client.detect(photo)).scores[0]!;
  assert.equal((await client.detect(photo, { minConfidence: Math.min(1, sure + 0.01) })).length, 0);
  assert.equal((await client.detect(photo, { maxFaces: 1, detectionSize: 320 })).length, 1);
  for (const options of [
    { minConfidence: 2 },
    { minConfidence: Number.NaN },
    { maxFaces: -1 },
    { maxFaces: 1.5 },
    { detectionSize: 33 },
    { detectionSize: 99_968 },
    { orientation: "sideways" as "auto" },
    { tiles: 17 },
    { tiles: -1 },
    { tiles: 1.5 },
    { refine: "yes" as unknown as boolean },
    { minQuality: 0 } as object,
  ]) {
    await assert.rejects(client.detect(photo, options), (error) => {
      assert.ok(error instanceof InvalidRequestError);
      assert.equal(error.code, "invalid_parameter");
      return true;
    });
  }
});

test("the fallbacks refuse what the server refuses, with the same messages", async () => {
  for (const options of [
    { minConfidence: 2 },
    { maxFaces: -1 },
    { detectionSize: 33 },
    { detectionSize: 2592 },
    { orientation: "sideways" as "auto" },
    { tiles: 17 },
  ]) {
    const words = await client.detect(photo, options).catch((error) => error.message);
    assert.throws(
      () => checkOptions(options, "detect_faces"),
      (error) => {
        assert.equal((error as Error).message, words);
        return error instanceof InvalidRequestError;
      },
    );
  }
  for (const options of [{ detectionSize: 2560, tiles: 16, orientation: "exif" as const }]) {
    checkOptions(options, "detect_faces");
    assert.equal((await client.detect(GRAY_PNG, options)).length, 0);
  }
  const text = { refine: "yes" as unknown as boolean };
  assert.throws(() => checkOptions(text, "detect_faces"), /refine=yes: must be true or false/);
});

test("a photo without a face: detect finds none, embed rejects", async () => {
  const faces = await client.detect(GRAY_PNG);
  assert.equal(faces.length, 0);
  assert.deepEqual(faces.faces, []);
  const analysis = await client.analyze(GRAY_PNG);
  assert.equal(analysis.models.embedder, null);
  assert.equal(analysis.calibration, null);
  await assert.rejects(client.embed(GRAY_PNG), NoFaceError);
});

test("an aligned crop is embedded without detection", async () => {
  const { face, models } = await client.embed(GRAY_PNG, { aligned: true });
  assert.deepEqual(face.bbox, { x: 0, y: 0, width: 112, height: 112 });
  assert.equal(face.score, 1);
  assert.equal(models.detector, null);
  await assert.rejects(client.embed(photo, { aligned: true }), { code: "not_aligned" });
});

test("compare: a face with itself, and pairs that can't be compared", async () => {
  const same = await client.compare(photo, ASTRONAUT);
  assert.ok(same.similarity > 0.9999);
  assert.equal(same.far, 1e-4);
  const known = same.a.calibration;
  assert.equal(same.threshold, known?.threshold(1e-4) ?? null);
  assert.equal(same.match, known ? true : null);
  assert.equal(same.decision, known ? "match" : "uncalibrated");
  assert.deepEqual([same.gated, same.reason], [!server.facts.simulated, null]);
  await assert.rejects(client.compare(photo, GRAY_PNG), (error) => {
    assert.ok(error instanceof NoFaceError);
    assert.match(error.message, /in the second image/);
    return true;
  });
  await assert.rejects(client.compare(photo, photo, { far: 0.5 as never }), RangeError);
  await assert.rejects(client.compare(photo, photo, { prior: 1 }), RangeError);
  const other = new Embedding({ ...same.b, models: { detector: null, embedder: "other@1" } });
  assert.throws(() => Comparison.between(same.a, other), ModelMismatchError);
});

test("analyzeMany keeps the order, and a failed image doesn't affect the others", async () => {
  const images = [photo, GRAY_PNG, Buffer.from("no"), ASTRONAUT, "missing.jpg"];
  const progress: string[] = [];
  const answers = await client.analyzeMany(images, {
    concurrency: 2,
    progress: (done, of) => progress.push(`${done}/${of}`),
  });
  const seen = answers.map((answer) => (answer instanceof Analysis ? answer.length : answer.name));
  assert.deepEqual(seen, [1, 0, "InvalidImageError", 1, "InvalidImageError"]);
  assert.deepEqual(progress, ["1/5", "2/5", "3/5", "4/5", "5/5"]);
  assert.deepEqual(await client.analyzeMany([]), []);
  await assert.rejects(client.analyzeMany([photo], { concurrency: 0 }), RangeError);
  const stop = new Error("enough");
  const progressThatThrows = () => {
    throw stop;
  };
  await assert.rejects(
    client.analyzeMany([photo, photo], { progress: progressThatThrows }),
    (error) => error === stop,
  );
});

test("calls end when they are aborted or time out", async () => {
  const already = AbortSignal.abort();
  await assert.rejects(client.detect(photo, { signal: already }), { name: "AbortError" });
  const controller = new AbortController();
  const reason = new Error("the user went away");
  const call = client.analyzeMany(Array(50).fill(photo), { signal: controller.signal });
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(call, (error) => error === reason);
  await assert.rejects(client.detect(photo, { timeoutMs: 0.5 }), RequestTimeoutError);
  await assert.rejects(client.detect(photo, { timeoutMs: -1 }), RangeError);
  assert.equal((await client.detect(photo)).length, 1); // the client still works
});

test("health and models describe the server", async () => {
  const health = await client.health();
  const [endpoint] = health.endpoints;
  assert.equal(health.ok, true);
  assert.equal(health.mode, "triton");
  assert.deepEqual([endpoint!.live, endpoint!.ready, endpoint!.breaker], [true, true, "closed"]);
  assert.ok(endpoint!.latencyMs! > 0);
  assert.equal(health.local, null);
  const models = await client.models();
  assert.deepEqual(
    models.map((model) => model.name),
    ["face_detection", "face_embedding", "detect_faces", "embed_face", "analyze_faces"],
  );
  assert.ok(models.every((model) => model.ready && model.outputs.length > 0));
  for (const { name, datatype, shape } of models.find(({ name }) => name === "analyze_faces")!
    .outputs) {
    const [type, ...sides]: Output = OUTPUTS[name as keyof typeof OUTPUTS];
    assert.equal(datatype, type, name);
    const declared = sides.map((side) => (typeof side === "number" ? side : -1));
    // The server may declare a fixed size where the contract allows any.
    const fits = shape.every((side, i) => side === declared[i] || declared[i] === -1);
    assert.ok(fits && shape.length === declared.length, `${name}: ${shape}`);
  }
  const analysis = await client.analyze(photo);
  assert.equal(models[0]!.id, analysis.models.detector);
  assert.equal(models[1]!.id, analysis.models.embedder);
});

test("closing a client rejects its pending and later calls", async () => {
  const closing = new FaceClient({ urls: server.facts.url });
  const call = closing.analyzeMany(Array(20).fill(photo));
  await new Promise((resolve) => setTimeout(resolve, 30));
  await closing.close();
  const answers = await call;
  assert.ok(answers.at(-1) instanceof ClientClosedError);
  await assert.rejects(closing.detect(photo), ClientClosedError);
  await assert.rejects(closing.health(), ClientClosedError);
  await closing.close();
});

test("a hundred mixed requests, a quarter of them bad", async () => {
  const bad = Buffer.from("not an image");
  const jobs = Array.from({ length: 100 }, (_, i) => (i % 4 ? photo : bad));
  const answers = await client.analyzeMany(jobs, { concurrency: 100, timeoutMs: 60_000 });
  for (const [i, answer] of answers.entries()) {
    if (i % 4) assert.ok(answer instanceof Analysis && answer.length === 1, String(answer));
    else assert.ok(answer instanceof InvalidImageError && answer instanceof AurumError);
  }
});

test("a misspelt option is an error that names it and lists the valid ones", async () => {
  const wrong: [object, RegExp][] = [
    [{ timeoutMS: 5 }, /FaceClient has no option 'timeoutMS'; known: urls, timeoutMs,/],
    [{ breaker: { volume: 5 } }, /breaker has no option 'volume'/],
    [{ local: { models: "x", thread: 1 } }, /local has no option 'thread'/],
    [{ simulated: { max: 1 } }, /simulated has no option 'max'/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => new FaceClient(options), { name: "RangeError", message });
  }
  const misspelt = { minConfidense: 0.5 } as object;
  const known = { name: "RangeError", message: /a call has no option 'minConfidense'/ };
  await assert.rejects(client.detect(photo, misspelt), known);
  await assert.rejects(client.compare(photo, photo, misspelt), known);
  await assert.rejects(client.analyzeMany([photo], misspelt), known);
});
