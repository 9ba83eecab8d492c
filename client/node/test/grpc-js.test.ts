/** What docs/guides/grpc-js.md says about grpc-js and the real tritonserver. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Client, credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { CHECKOUT, python, TritonServer } from "./support.js";

const PAGE = readFileSync(join(CHECKOUT, "docs", "guides", "grpc-js.md"), "utf8");
const GOAWAY_ENHANCE_YOUR_CALM = 11; // RFC 9113, 7

interface Refusal {
  code: number;
  details: string;
}
type Triton = Client & Record<string, (request: object, done: (error: Refusal) => void) => void>;

let server: TritonServer;
let client: Triton;
let requestOf: (request: object) => Buffer;

before(async () => {
  server = await TritonServer.start();
  const script = /^```python\n(.*?)^```$/ms
    .exec(PAGE)![1]!
    .replace('open("grpc_service.pb", "wb")', 'open(1, "wb")');
  const description = loadFileDescriptorSetFromBuffer(python(script, ""));
  // biome-ignore lint/suspicious/noExplicitAny: the description is read at run time
  const { inference } = loadPackageDefinition(description) as any;
  const { GRPCInferenceService } = inference;
  client = new GRPCInferenceService(server.facts.grpc, credentials.createInsecure());
  requestOf = GRPCInferenceService.service.ModelInfer.requestSerialize;
});
after(async () => {
  client?.close();
  await server?.stop();
});

function request(image: Buffer, more: object = {}, input: object = {}) {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(image.length);
  return {
    model_name: "detect_faces",
    inputs: [{ name: "image", datatype: "BYTES", shape: [1], ...input }],
    raw_input_contents: [Buffer.concat([length, image])],
    ...more,
  };
}

const refusal = (asked: object) =>
  new Promise<Refusal>((resolve) => client.ModelInfer!(asked, resolve));

/** Two photos where the service takes one. */
const twoPhotos = () => {
  const { raw_input_contents: contents, ...rest } = request(Buffer.from("x"), {}, { shape: [2] });
  return { ...rest, raw_input_contents: [Buffer.concat([...contents, ...contents])] };
};

test("messages of the service arrive whole, and none ends in a blank", async () => {
  const png = Buffer.from("\x89PNG\r\n\x1a\n    ", "latin1");
  const text = (name: string, value: string) => ({
    parameters: [{ key: name, value: { string_param: value } }],
  });
  for (const [asked, code] of [
    [request(Buffer.alloc(0)), "invalid_image"],
    [request(Buffer.from("no photo ")), "invalid_image"],
    [request(png), "invalid_image"],
    [request(Buffer.from("GIF89a ")), "invalid_image"],
    [request(Buffer.from("data:image/png ,")), "invalid_image"],
    [request(Buffer.from("x"), text("max_faces", "a ")), "invalid_parameter"],
    [request(Buffer.from("x"), text("orientation", " ")), "invalid_parameter"],
    [request(Buffer.from("x"), text("unknown ", " ")), "invalid_parameter"],
    [request(Buffer.from("x"), text("min_quality", "0.5 ")), "invalid_parameter"],
    [request(png, { model_name: "embed_face" }), "invalid_image"],
  ] as const) {
    const { code: given, details } = await refusal(asked);
    assert.equal(given, status.INVALID_ARGUMENT, details);
    assert.match(details, new RegExp(`\\[${code}\\] .*\\S$`, "s"));
  }
});

test("Triton's message about a shape ends in a blank; Node's http2 drops it, not grpc-js", async () => {
  const { code, details } = await refusal(twoPhotos());
  assert.deepEqual([code, details], [status.INVALID_ARGUMENT, ""]);
  const message = /unexpected shape for input 'image'.*Expected \[1\], got \[2\]\. $/;
  assert.equal((await trailers({}))["grpc-message"], undefined);
  const lenient = await trailers({ strictFieldWhitespaceValidation: false });
  assert.match(String(lenient["grpc-message"]), message);
});

/** The trailers of Triton's answer to two photos, as Node's http2 gives them. */
async function trailers(options: object): Promise<Record<string, unknown>> {
  const session = connect(`http://${server.facts.grpc}`, options);
  const body = requestOf(twoPhotos());
  const frame = Buffer.concat([Buffer.alloc(5), body]); // not compressed, and the length
  frame.writeUInt32BE(body.length, 1);
  const stream = session.request({
    ":method": "POST",
    ":path": "/inference.GRPCInferenceService/ModelInfer",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(frame);
  const [headers] = await once(stream, "response"); // an error has only these headers
  stream.close();
  session.close();
  return headers;
}

test("the fourth ping in a row on an idle connection closes it", async () => {
  const session = connect(`http://${server.facts.grpc}`);
  session.on("error", () => {}); // closed with the code below
  const closed = once(session, "goaway");
  await once(session, "connect");
  let pings = 0;
  for (let open = true; open && pings < 100; pings++) {
    open = await new Promise((resolve) => {
      if (session.destroyed || !session.ping((error) => resolve(!error))) resolve(false);
    });
  }
  const [code, , reason] = await closed;
  assert.deepEqual([code, String(reason)], [GOAWAY_ENHANCE_YOUR_CALM, "too_many_pings"]);
  assert.ok(pings >= 3 && pings < 100, `${pings} pings`);
});

test("the page's keepalive options are within Triton's defaults", () => {
  const script = `
import subprocess
from aurum.server import runtime
from aurum.settings import Settings
binary = runtime.tritonserver_home() / "bin" / "tritonserver"
subprocess.run([binary, "--help"], env=runtime.environment(Settings.from_env()),
    stderr=subprocess.STDOUT, check=False)`;
  const help = python(script, "");
  const defaults = String(help).replace(/\s+/g, " ");
  const [, interval] = /--grpc-http2-min-recv-ping-interval-without-data .*?Default is (\d+)/.exec(
    defaults,
  )!;
  const [, strikes] = /--grpc-http2-max-ping-strikes .*?Default is (\d+)/.exec(defaults)!;
  const [, idle] = /--grpc-keepalive-permit-without-calls .*?Default is (\d)/.exec(defaults)!;
  assert.deepEqual([strikes, idle], ["2", "0"]);
  const [, ours] = /"grpc\.keepalive_time_ms": ([\d_]+)/.exec(PAGE)!;
  assert.ok(Number(ours!.replaceAll("_", "")) >= Number(interval));
  assert.match(PAGE, /"grpc\.keepalive_permit_without_calls": 0/);
  // aurum up leaves them as they are.
  const arguments_ = execFileSync("ps", ["-o", "args=", "-p", `${server.facts.pid}`]);
  assert.doesNotMatch(String(arguments_), /--grpc-(keepalive|http2)/);
});
