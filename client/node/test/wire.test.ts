/** The binary tensor extension byte by byte, and the errors for broken responses. */

import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { afterEach, test } from "node:test";
import { buildParameters } from "../src/contract.js";
import {
  AccessDeniedError,
  ConnectionFailedError,
  FaceClient,
  InvalidRequestError,
  LowQualityError,
  ModelNotFoundError,
  NoFaceError,
  ProtocolError,
  RateLimitError,
  RequestTimeoutError,
  ServerError,
  UnavailableError,
} from "../src/index.js";
import { decodeResponse, encodeRequest, readWords } from "../src/tensors.js";
import { answer, answering, closeServers, gated, serve } from "./answers.js";

const photo = Buffer.from("a photo");
afterEach(closeServers);

test("a request is a JSON header, a length and the photo", () => {
  const { body, headerLength } = encodeRequest(photo, { max_faces: 2 }, "r-1");
  const header = JSON.parse(Buffer.from(body.subarray(0, headerLength)).toString());
  assert.deepEqual(header, {
    id: "r-1",
    parameters: { max_faces: 2, binary_data_output: true },
    inputs: [
      {
        name: "image",
        shape: [1],
        datatype: "BYTES",
        parameters: { binary_data_size: photo.length + 4 },
      },
    ],
  });
  assert.equal(Buffer.from(body).readUInt32LE(headerLength), photo.length);
  assert.deepEqual(Buffer.from(body.subarray(headerLength + 4)), photo);
});

test("every option has its request parameter and a type check", () => {
  assert.deepEqual(buildParameters({}), {});
  const options = {
    minConfidence: 0.5,
    maxFaces: 2,
    detectionSize: 320,
    orientation: "exif" as const,
    refine: false,
    tiles: 0,
    minQuality: 0.5,
    aligned: true,
  };
  assert.deepEqual(buildParameters(options), {
    min_confidence: 0.5,
    max_faces: 2,
    detection_size: 320,
    orientation: "exif",
    refine: false,
    tiles: 0,
    min_quality: 0.5,
    aligned: true,
  });
  for (const [wrong, message] of [
    [{ minConfidence: "1" }, "minConfidence=1: must be a number"],
    [{ maxFaces: 0.5 }, "maxFaces=0.5: must be a whole number"],
    [{ orientation: 90 }, "orientation=90: must be text"],
    [{ refine: 1 }, "refine=1: must be true or false"],
    [{ tiles: "4" }, "tiles=4: must be a whole number"],
    [{ minQuality: "0.5" }, "minQuality=0.5: must be a number"],
  ] as const) {
    assert.throws(() => buildParameters(wrong as never), { message, code: "invalid_parameter" });
  }
});

test("tensors are read at any offset", () => {
  const addresses = new Set<number>();
  for (let pad = 0; pad < 4; pad++) {
    const { header, body } = answer(1);
    // Spaces may follow the JSON and shift the tensors after it.
    const padded = Buffer.concat([header, Buffer.alloc(pad, " "), body.subarray(header.length)]);
    addresses.add((header.length + pad) % 4);
    const bytes = new Uint8Array(padded).buffer;
    const outputs = decodeResponse(bytes, header.length + pad);
    assert.deepEqual(outputs.get("scores")!.data, Float32Array.of(0.75));
    assert.deepEqual(outputs.get("image_size")!.data, Int32Array.of(640, 480));
    assert.deepEqual(outputs.get("models")!.data, ["d@1", "e@2"]);
  }
  assert.equal(addresses.size, 4);
});

test("words are swapped on big-endian machines", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.deepEqual(new Uint8Array(readWords(bytes, true)), Uint8Array.of(4, 3, 2, 1, 8, 7, 6, 5));
  assert.deepEqual(new Uint8Array(readWords(bytes, false)), bytes);
});

/** Add the outputs that servers of version 0.1.0 lack. */
function turnedFaces(outputs: Record<string, unknown>[]): void {
  const turns = Buffer.alloc(8);
  turns.writeInt32LE(270, 4);
  outputs.push(
    { name: "complete", datatype: "BOOL", shape: [1], data: Buffer.from([0]) },
    { name: "rotations", datatype: "INT32", shape: [2], data: turns },
  );
}

test("an answer has rotations, and says whether faces may be missing", async () => {
  const client = new FaceClient({ urls: await answering(turnedFaces as never) });
  const analysis = await client.analyze(photo);
  assert.deepEqual(analysis.rotations, Int32Array.of(0, 270));
  assert.deepEqual(
    analysis.faces.map(({ rotation }) => rotation),
    [0, 270],
  );
  assert.equal(analysis.complete, false);
  const json = JSON.parse(JSON.stringify(analysis));
  assert.deepEqual([json.complete, json.faces[1].rotation], [false, 270]);
  await client.close();
});

test("without these outputs, as from version 0.1.0, faces are upright and complete", async () => {
  const { header, body } = answer(1);
  const url = await serve((_, response) => {
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
  const client = new FaceClient({ urls: url });
  const faces = await client.detect(photo);
  assert.deepEqual([faces.faces[0]!.rotation, faces.complete], [0, true]);
  assert.deepEqual(faces.rotations, Int32Array.of(0));
  const embedding = await client.embed(photo);
  assert.deepEqual([embedding.face.rotation, embedding.complete], [0, true]);
  await client.close();
});

test("a response entirely in JSON is read as well", async () => {
  const { body, header } = answer(2, turnedFaces);
  const outputs = decodeResponse(new Uint8Array(body).buffer, header.length);
  const json = [...outputs].map(([name, { datatype, shape, data }]) => ({
    name,
    datatype,
    shape,
    data: Array.from(data as ArrayLike<unknown>),
  }));
  const bytes = new TextEncoder().encode(JSON.stringify({ outputs: json }));
  assert.deepEqual(decodeResponse(bytes.buffer, undefined), outputs);
});

test("a response becomes faces, and JSON", async () => {
  const client = new FaceClient({ urls: await answering() });
  const analysis = await client.analyze(photo);
  assert.equal(analysis.length, 2);
  assert.deepEqual([...analysis][1]!.bbox, { x: 1.5, y: 1.5, width: 1.5, height: 1.5 });
  const json = JSON.parse(JSON.stringify(analysis));
  assert.equal(json.source, "triton");
  assert.equal(json.simulated, false);
  assert.deepEqual(json.imageSize, [640, 480]);
  assert.equal(json.faces[1].embedding.length, 512);
  assert.equal(json.faces[1].quality, 0.625);
  assert.equal(Object.keys(json.faces[1].qualityParts).length, 16);
  assert.equal(analysis.calibration!.threshold(1e-3), 0.125);
  assert.deepEqual(json.faces[0].landmarks[4], [2.5, 2.5]);
  await client.close();
});

const broken: Record<string, (outputs: { name: string; [key: string]: unknown }[]) => void> = {
  "is missing": (outputs) => outputs.shift(),
  "has another type": (outputs) => {
    outputs[0]!.datatype = "INT32";
  },
  "has an unknown type": (outputs) => {
    outputs[0]!.datatype = "FP64";
  },
  "has another shape": (outputs) => {
    outputs[0]!.shape = [4, 2];
  },
  "has too few columns": (outputs) => {
    const parts = outputs.find(({ name }) => name === "quality_parts")!;
    Object.assign(parts, { shape: [2, 3], data: Buffer.alloc(24) });
  },
  "has another length": (outputs) => {
    const calibration = outputs.find(({ name }) => name === "calibration")!;
    Object.assign(calibration, { shape: [5], data: Buffer.alloc(20) });
  },
  "has rotations for another number of faces": (outputs) => {
    outputs.push({ name: "rotations", datatype: "INT32", shape: [3], data: Buffer.alloc(12) });
  },
  "has a gate for another number of faces": (outputs) => gated(-1, -1, -1)(outputs),
  "has a gate beyond the quality parts": (outputs) => gated(-1, 16)(outputs),
  "has numbers instead of booleans": (outputs) => {
    outputs.push({ name: "complete", datatype: "INT32", shape: [1], data: Buffer.alloc(4) });
  },
  "has fewer bytes than its shape": (outputs) => {
    outputs[0]!.data = Buffer.alloc(8);
  },
  "has a truncated string": (outputs) => {
    outputs[1]!.data = Buffer.from([9, 0, 0, 0, 1]);
  },
};
for (const [what, change] of Object.entries(broken)) {
  test(`an answer breaks the contract if an output ${what}`, async () => {
    const client = new FaceClient({ urls: await answering(change as never), retries: 0 });
    await assert.rejects(client.analyze(photo), ProtocolError);
    await client.close();
  });
}

test("an answer that is truncated, not JSON, or not HTTP", async () => {
  const { header, body } = answer(1);
  const length = { "inference-header-content-length": String(header.length) };
  const cases: [RequestListener, new (...args: never[]) => Error][] = [
    [(_, response) => response.writeHead(200, length).end(body.subarray(0, -10)), ProtocolError],
    [(_, response) => response.end("<html>"), ProtocolError],
    [(_, response) => response.end('{"outputs": 7}'), ProtocolError],
    [(_, response) => response.socket!.end("SSH-2.0\r\n\r\n"), ProtocolError],
    [
      (_, response) => {
        response.writeHead(200, { ...length, "content-length": body.length });
        response.write(body.subarray(0, 100), () => response.socket!.destroy());
      },
      ConnectionFailedError,
    ],
  ];
  for (const [listener, Kind] of cases) {
    const client = new FaceClient({ urls: await serve(listener), retries: 0 });
    await assert.rejects(client.analyze(photo), Kind);
    await client.close();
  }
});

const statuses: [number, string, new (...args: never[]) => Error, string | null][] = [
  [400, "in ensemble 'embed_face', [no_face] none", NoFaceError, "no_face"],
  [400, "in ensemble 'embed_face', [low_quality] blurred", LowQualityError, "low_quality"],
  [400, "[request id: 1] in ensemble 'x', [not_aligned] no", InvalidRequestError, "not_aligned"],
  [401, "who?", AccessDeniedError, null],
  [404, "unknown model", ModelNotFoundError, null],
  [413, "too large", InvalidRequestError, null],
  [429, "slowly", RateLimitError, null],
  [302, "", ServerError, null],
  [500, "[internal] KeyError", ServerError, "internal"],
  [500, "in ensemble 'x', [unavailable] stopping", UnavailableError, "unavailable"],
  [404, "Request for unknown model: 'x' has no available versions", UnavailableError, null],
  [404, "Request for unknown model: 'x' is not found", ModelNotFoundError, null],
  [500, "Model y - Error: 'y' version 1 is not at ready state", UnavailableError, null],
  [500, "Stub process 'y_0_0' is not healthy.", UnavailableError, null],
  [400, "the graph is not ready", InvalidRequestError, null],
  [503, "Exceeds maximum queue size", UnavailableError, null],
  [503, "busy", UnavailableError, null],
  [504, "late", RequestTimeoutError, null],
];
for (const [status, message, Kind, code] of statuses) {
  test(`${status} '${message}' is ${Kind.name}`, async () => {
    const url = await serve((_, response) => {
      response.writeHead(status).end(JSON.stringify({ error: message }));
    });
    const client = new FaceClient({ urls: url, retries: 0 });
    await assert.rejects(client.detect(photo), (error) => {
      assert.ok(error instanceof Kind);
      assert.equal((error as ServerError).status, status);
      assert.equal((error as ServerError).code, code);
      assert.doesNotMatch((error as Error).message, /ensemble|request id/);
      return true;
    });
    await client.close();
  });
}

test("503 and lost connections are retried, other failures are not", async () => {
  const { header, body } = answer(1);
  for (const [failure, calls] of [
    [503, 3],
    [0, 3],
    [500, 1],
    [400, 1],
  ] as const) {
    let seen = 0;
    const url = await serve((_, response) => {
      seen++;
      if (seen === 3) {
        response.setHeader("inference-header-content-length", header.length).end(body);
      } else if (failure) response.writeHead(failure).end('{"error":"no"}');
      else response.socket!.destroy();
    });
    // Without a fallback, the probe after a failure comes at the end and doesn't count.
    const client = new FaceClient({ urls: url, retries: 2 });
    const answered = await client.analyze(photo).then(
      () => true,
      () => false,
    );
    assert.equal(answered, calls === 3, `${failure}`);
    assert.ok(calls === 3 ? seen === 3 : seen >= 1);
    await client.close();
  }
});

test("headers are sent with every request; a prefix and a bare host are valid URLs", async () => {
  const seen: string[] = [];
  const { header, body } = answer(1);
  const url = await serve((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
  const client = new FaceClient({
    urls: `${url.replace("http://", "")}/prefix/`,
    headers: { authorization: "Bearer x" },
  });
  await client.detect(photo);
  assert.deepEqual(seen, ["/prefix/v2/models/detect_faces/infer Bearer x"]);
  await client.close();
});

test("connections are reused", async () => {
  const sockets = new Set<unknown>();
  const { header, body } = answer(1);
  const url = await serve((request, response) => {
    sockets.add(request.socket);
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
  const client = new FaceClient({ urls: url });
  for (let i = 0; i < 20; i++) await client.detect(photo);
  // A connection is free only shortly after its response is read, so a second one may open.
  assert.ok(sockets.size <= 2, `${sockets.size} connections`);
  await client.close();
});
