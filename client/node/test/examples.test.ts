/** The JavaScript and TypeScript of the README and the docs: type-checked, and run where marked. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, test } from "node:test";
import { ASTRONAUT, CHECKOUT, PACKAGE, python, RedisServer, TritonServer } from "./support.js";

interface Example {
  page: string;
  code: string;
  /** Whether it is marked with `<!-- run -->`. */
  runs: boolean;
}

const BLOCK = /^(<!-- run -->\n)?```(?:js|ts|mjs|mts|javascript|typescript)\n(.*?)^```$/gms;
const PAGES = [
  join(CHECKOUT, "README.md"),
  join(PACKAGE, "README.md"),
  ...readdirSync(join(CHECKOUT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(CHECKOUT, "docs", name)),
];
const EXAMPLES: Example[] = PAGES.flatMap((page) =>
  [...readFileSync(page, "utf8").matchAll(BLOCK)].map(([, mark, code]) => ({
    page: relative(CHECKOUT, page),
    code: code!,
    runs: mark !== undefined,
  })),
);
/** Inside the package, its own name resolves to the built package. */
const FOLDER = join(PACKAGE, "build", "examples");

let server: TritonServer;
let redis: RedisServer;
let place: string;

before(async () => {
  redis = await RedisServer.start(); // first, so that it is stopped even if the server fails
  server = await TritonServer.start();
  place = mkdtempSync(join(tmpdir(), "aurum-examples-"));
  cpSync(ASTRONAUT, join(place, "photo.jpg"));
  cpSync(ASTRONAUT, join(place, "other.jpg"));
  writeFileSync(join(place, "photos.txt"), "photo.jpg\nmissing.jpg\n");
  symlinkSync(server.facts.models, join(place, "model_repository"));
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const [index, { code }] of EXAMPLES.entries()) {
    writeFileSync(join(FOLDER, `${index}.mts`), withPorts(code));
  }
});
after(async () => {
  rmSync(place, { recursive: true, force: true });
  rmSync(FOLDER, { recursive: true, force: true });
  await Promise.all([server?.stop(), redis?.stop()]);
});

test("all examples compile in a strict TypeScript project", () => {
  assert.ok(EXAMPLES.length >= 7, `${EXAMPLES.length} examples`);
  const files = EXAMPLES.map((_, index) => join(FOLDER, `${index}.mts`));
  const flags = ["--strict", "--ignoreConfig", "--types", "node", "--target", "es2022"];
  const tsc = join(PACKAGE, "node_modules", ".bin", "tsc");
  const checked = spawnSync(tsc, [...flags, "--module", "nodenext", ...files], {
    encoding: "utf8",
  });
  const named = checked.stdout.replace(/\S*?(\d+)\.mts/g, (_, index) => EXAMPLES[index]!.page);
  assert.equal(checked.status, 0, named);
});

/** The example with the ports of this test's servers. */
function withPorts(code: string): string {
  return code
    .replace("http://127.0.0.1:8000", server.facts.url)
    .replace("new FaceClient()", `new FaceClient({ urls: "${server.facts.url}" })`)
    .replace("new FaceClient({ retries", `new FaceClient({ urls: "${server.facts.url}", retries`)
    .replace("127.0.0.1:8001", server.facts.grpc)
    .replace("6379", `${redis.port}`);
}

/** Run a page's marked example, as tsc wrote it: unchanged but for types. */
function run(page: string, number: number): string {
  const marked = EXAMPLES.filter((example) => example.page === page && example.runs);
  const file = join(FOLDER, `${EXAMPLES.indexOf(marked[number]!)}.mjs`);
  return execFileSync(process.execPath, [file], {
    cwd: place,
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, AURUM_TRITON_URL: server.facts.url },
  });
}

const README = join("client", "node", "README.md");
const GRPC = join("docs", "guides", "grpc-js.md");

test("README: calls to a server", () => {
  const [face, comparison] = run(README, 0)
    .trim()
    .split(/\n(?=[\d.]+ (?:match|uncalibrated) )/);
  assert.match(face!, /x: .* 512$/s);
  assert.match(comparison!, /^(1|0\.99\d+) (match|uncalibrated) null$/);
});

test("README: many photos", () => {
  const lines = run(README, 1).trim().split("\n").sort();
  assert.deepEqual(lines, [
    "missing.jpg cannot read the image 'missing.jpg': there is no such file",
    "photo.jpg 1",
  ]);
});

test("README: single calls", () => {
  assert.deepEqual(run(README, 2).trim().split("\n"), [
    "order-17 200 application/octet-stream",
    "order-17 embed_face InvalidImageError cannot read the image 'missing.jpg': there is no such file",
    "order-17 no response",
    "{ InvalidImageError: 1 }",
  ]);
});

test("README: the fallback chain", () => {
  assert.match(run(README, 3), /^triton \w+@[0-9a-f]{12} 1\ntriton \{/);
});

test("README: the queue", () => {
  const output = run(README, 4);
  assert.match(output, /^[0-9a-f]{32} (null|[\d.]+) triton$/m);
  assert.match(output, /^\d+ \[invalid_image\] cannot read the image: there is no such file$/m);
});

test("gRPC from Node.js: a call, and an error whose message is lost", () => {
  const [, script] = /^```python\n(.*?)^```$/ms.exec(readFileSync(join(CHECKOUT, GRPC), "utf8"))!;
  python(script!, "", place);
  assert.deepEqual(run(GRPC, 0).trim().split("\n").sort(), [
    "3 no message: is the shape [1]?",
    "detect_faces 7",
  ]);
});

test("every example that is marked to run is run here", () => {
  const marked = EXAMPLES.filter(({ runs }) => runs).map(({ page }) => page);
  assert.deepEqual(marked, [...Array(5).fill(README), GRPC]);
});
