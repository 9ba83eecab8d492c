/** The published package and the example app. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ASTRONAUT, CHECKOUT, PACKAGE, TritonServer } from "./support.js";

const REPOSITORY = "https://github.com/aurum-circle/aurum-face-serving";
const README = readFileSync(join(PACKAGE, "README.md"), "utf8");

let server: TritonServer;
let folder: string;

before(async () => {
  server = await TritonServer.start();
  folder = mkdtempSync(join(tmpdir(), "aurum-package-"));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.stop();
});

function npm(cwd: string, ...args: string[]): string {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Pack the package into `folder`: the path of the tarball, and the paths of the files in it. */
function pack(): { tarball: string; files: string[] } {
  const flags = ["--ignore-scripts", "--json", "--pack-destination", folder];
  const [packed] = JSON.parse(npm(PACKAGE, "pack", ...flags));
  const files = packed.files.map(({ path }: { path: string }) => path);
  return { tarball: join(folder, packed.filename), files };
}

test("the tarball has a license, no dead links in its README, and only built files", async () => {
  const { tarball, files } = pack();
  const built = /^dist\/.*\.m?(js|json|d\.ts|d\.mts)$/;
  const others = files.filter((file) => !built.test(file)).sort();
  assert.deepEqual(others, ["LICENSE", "README.md", "package.json"]);
  assert.ok(files.includes("dist/local/quality/weights.json"), "the weights of the local fallback");
  const license = readFileSync(join(PACKAGE, "LICENSE"), "utf8");
  assert.equal(license, readFileSync(join(CHECKOUT, "LICENSE"), "utf8"));
  assert.deepEqual(deadLinks(README, files), []);
  const { publint } = await import("publint");
  const bytes = new Uint8Array(readFileSync(tarball)).buffer;
  assert.deepEqual((await publint({ pack: { tarball: bytes } })).messages, []);
});

/** Links of the README to files or headings that are neither in the tarball nor the repository. */
function deadLinks(readme: string, files: string[]): string[] {
  const targets = [...readme.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  assert.ok(targets.length > 5);
  return targets.filter((target) => {
    const [path = "", anchor] = target.split("#");
    if (path === "") return !headings(readme).includes(anchor!);
    const inCheckout = new RegExp(`^${REPOSITORY}/(?:blob|tree)/main/(.*)$`).exec(path)?.[1];
    if (inCheckout === undefined) return !/^https:/.test(path) && !files.includes(path);
    const file = join(CHECKOUT, inCheckout);
    if (!existsSync(file)) return true;
    return anchor !== undefined && !headings(readFileSync(file, "utf8")).includes(anchor);
  });
}

/** The anchors that GitHub gives a page's headings. */
function headings(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("package.json describes the package", () => {
  const manifest = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const lock = JSON.parse(readFileSync(join(PACKAGE, "package-lock.json"), "utf8"));
  assert.equal(manifest.license, "Apache-2.0");
  assert.ok(manifest.description.length > 20);
  assert.deepEqual(manifest.repository, {
    type: "git",
    url: `git+${REPOSITORY}.git`,
    directory: "client/node",
  });
  assert.deepEqual([lock.version, lock.packages[""].version], [manifest.version, manifest.version]);
});

test("installed into an empty project, both module systems share its classes", async () => {
  const project = join(folder, "empty");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{"name":"empty","private":true}');
  npm(project, "install", "--ignore-scripts", "--no-audit", pack().tarball);
  writeFileSync(
    join(project, "both.mjs"),
    `import { createRequire } from "node:module";
     import { FaceClient, InvalidImageError, optionsFromEnv } from "aurum-face-client";
     const required = createRequire(import.meta.url)("aurum-face-client");
     const client = new required.FaceClient({ urls: ${JSON.stringify(server.facts.url)} });
     const answer = await client.analyze(${JSON.stringify(ASTRONAUT)});
     const error = await client.detect("none.jpg").catch((error) => error);
     await client.close();
     console.log(answer.length, answer.source, required.FaceClient === FaceClient,
       error instanceof InvalidImageError, typeof optionsFromEnv);`,
  );
  const output = execFileSync(process.execPath, ["both.mjs"], { cwd: project, encoding: "utf8" });
  assert.equal(output.trim(), "1 triton true true function");
  // The local fallback names the optional packages that it needs.
  writeFileSync(
    join(project, "local.cjs"),
    `const { FaceClient } = require("aurum-face-client");
     const client = new FaceClient({
       urls: ${JSON.stringify(server.facts.url)},
       local: { models: ${JSON.stringify(server.facts.models)} },
     });
     client.events.on("unavailable", ({ source, error }) => console.log(source, error.message));
     client.warmUp().catch((error) => console.log(error.name, error.message))
       .finally(() => client.close());`,
  );
  const local = spawnSync(process.execPath, ["local.cjs"], { cwd: project, encoding: "utf8" });
  const missing =
    "no local inference: packages are missing: npm install onnxruntime-node sharp piscina";
  assert.deepEqual(local.stdout.trim().split("\n"), [
    `local ${missing}`,
    `UnavailableError ${missing}`,
  ]);
  assert.match(local.stderr, new RegExp(`AurumFaceWarning: ${missing}`));
  // Entries with optional peer dependencies fail with the name of the missing package.
  assert.throws(
    () =>
      execFileSync(process.execPath, ["-e", 'require("aurum-face-client/worker")'], {
        cwd: project,
        stdio: "pipe",
      }),
    /Cannot find module 'bullmq'/,
  );
});

test("the example app: upload, health, status, metrics, and bad uploads", async () => {
  const app = spawn(process.execPath, [join(PACKAGE, "build", "example", "app.js")], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PORT: "0", AURUM_TRITON_URL: server.facts.url },
  });
  try {
    const url = `http://127.0.0.1:${await portOf(app)}`;
    const upload = (body: Buffer, type = "image/jpeg") =>
      fetch(`${url}/analyze`, { method: "POST", body, headers: { "content-type": type } });
    const photo = readFileSync(ASTRONAUT);
    const answer = (await (await upload(photo)).json()) as {
      source: string;
      faces: { embedding: number[] }[];
    };
    assert.equal(answer.source, "triton");
    assert.equal(answer.faces[0]!.embedding.length, 512);
    for (const [response, status] of [
      [await upload(Buffer.from("no image")), 400],
      [await upload(Buffer.alloc(27_000_000)), 413],
      [await upload(photo, "text/plain"), 415],
      [await fetch(`${url}/health`), 200],
    ] as const) {
      assert.equal(response.status, status);
      await response.json();
    }
    assert.deepEqual(await (await fetch(`${url}/status`)).json(), {
      shouldUseRealML: true,
      fallbackMode: null,
      counters: {
        answers: { triton: 1 },
        retries: {},
        fallbacks: {},
        failures: { InvalidImageError: 1 },
        switches: {},
      },
    });
    assert.match(
      await (await fetch(`${url}/metrics`)).text(),
      /aurum_face_mode\{source="triton"\} 1/,
    );
  } finally {
    const ended = new Promise((resolve) => app.once("exit", resolve));
    app.kill("SIGTERM");
    await ended;
  }
});

function portOf(app: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    app.once("exit", () => reject(new Error("the app has ended")));
    app.stdout!.on("data", (data) => {
      const port = /listening on (\d+)/.exec(String(data))?.[1];
      if (port) resolve(port);
    });
  });
}
