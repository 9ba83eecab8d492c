/** Real servers for the tests and benchmarks, and the photos to send. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FaceClient, type FaceClientOptions } from "../src/index.js";

/** Compiled, this file lies in client/node/build/test. */
export const PACKAGE = join(__dirname, "..", "..");
export const CHECKOUT = join(PACKAGE, "..", "..");
export const ASTRONAUT = join(CHECKOUT, "aurum", "assets", "astronaut.jpg");
const PYTHON = join(CHECKOUT, ".venv", "bin", "python");

/** Run a Python script, which can import the service's modules, and return its stdout. */
export function python(script: string, input: string | Uint8Array, cwd = CHECKOUT): Buffer {
  return execFileSync(PYTHON, ["-c", script], { input, cwd, maxBuffer: 1e9 });
}

export interface Facts {
  url: string;
  /** Its address for gRPC: host:port. */
  grpc: string;
  /** Its model_repository. */
  models: string;
  /** Whether it serves simulated models, because weights are missing. */
  simulated: boolean;
  /** The id of tritonserver's process and process group. */
  pid: number;
}

const clients: FaceClient[] = [];

/** Close all clients that `TritonServer.open` made; call this after each test. */
export async function closeClients(): Promise<void> {
  await Promise.all(clients.splice(0).map((client) => client.close()));
}

/** A tritonserver run by test/serve.py, which documents the commands. */
export class TritonServer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly facts: Readonly<Facts>,
    private pid: number,
  ) {}

  static async start(profile?: string): Promise<TritonServer> {
    const script = join(PACKAGE, "test", "serve.py");
    const child = spawn(PYTHON, profile ? [script, profile] : [script], {
      cwd: CHECKOUT,
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, GRPC_ENABLE_FORK_SUPPORT: "0" }, // otherwise gRPC logs each restart
    });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error("test/serve.py ended before its server was ready");
    const facts = JSON.parse(first.value) as Facts;
    return new TritonServer(child, lines, facts, facts.pid);
  }

  /** A client of this server, unless `options` name another; `closeClients` closes it. */
  open(options: FaceClientOptions = {}): FaceClient {
    const client = new FaceClient({ urls: this.facts.url, ...options });
    clients.push(client);
    return client;
  }

  /** Analyze a photo with the Python client. */
  analyze<T>(photo: string): Promise<T> {
    return this.tell(`analyze ${photo}`);
  }

  /** Start a gateway in front of it. */
  gateway(): Promise<{ url: string; ca: string; key: string }> {
    return this.tell("gateway");
  }

  /** The request ids in the gateway's access log. */
  access(): Promise<string[]> {
    return this.tell("access");
  }

  /** Measure the Python client's throughput, in photos per second. */
  async load(seconds: number, concurrency: number, photo: string): Promise<number> {
    return (await this.tell<{ rate: number }>(`load ${seconds} ${concurrency} ${photo}`)).rate;
  }

  /** Signal the server and its Python stubs: SIGSTOP makes it hang, SIGCONT resumes it. */
  signal(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** Start it again after SIGKILL, on the same ports, and wait until it answers. */
  async restart(started: () => void = () => {}): Promise<void> {
    const { pid } = await this.tell<{ pid: number }>("start");
    this.pid = pid;
    started();
    await this.answer();
  }

  /** Kill and restart it, even if it died: a frozen server may (docs/design/failures.md). */
  async replace(): Promise<void> {
    try {
      this.signal("SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // else it is dead
    }
    await this.restart();
  }

  private tell<T>(command: string): Promise<T> {
    this.process.stdin!.write(`${command}\n`);
    return this.answer();
  }

  private async answer<T>(): Promise<T> {
    const line = await this.lines.next();
    if (line.done) throw new Error("test/serve.py has ended");
    return JSON.parse(line.value) as T;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin!.end();
    await ended;
  }
}

/** The astronaut, and the group photos if this machine has them (docs/guides/contributing.md). */
export function photos(): string[] {
  const folder = process.env.AURUM_TEST_PHOTOS || join(CHECKOUT, "..", "shared", "photos");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const group = names.filter((name) => /\.(jpg|jpeg|png|webp)$/i.test(name)).sort();
  return [ASTRONAUT, ...group.map((name) => join(folder, name))];
}

/** Wait until `condition` holds; fails after `seconds`, a limit that no test should approach. */
export async function until(condition: () => boolean | Promise<boolean>, seconds = 180) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Find an unused port. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** A durable Redis on a free loopback port, with its own folder. */
export class RedisServer {
  private child: ChildProcess | null = null;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly more: Record<string, string | number>,
  ) {}

  /** @param more settings of redis.conf */
  static async start(more: Record<string, string | number> = {}): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), "aurum-redis-"));
    const redis = new RedisServer(await freePort(), folder, more);
    await redis.start();
    return redis;
  }

  get connection() {
    return { host: "127.0.0.1", port: this.port };
  }

  async start(): Promise<void> {
    const settings = { port: this.port, bind: "127.0.0.1", dir: this.folder, save: "" };
    const durable = { appendonly: "yes", appendfsync: "always" };
    const flags = Object.entries({ ...settings, ...durable, ...this.more }).flatMap(([k, v]) => [
      `--${k}`,
      `${v}`,
    ]);
    this.child = spawn("redis-server", flags, { stdio: "ignore" });
    await until(() => canConnect(this.port));
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const ended = new Promise((resolve) => this.child!.once("exit", resolve));
    this.child!.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill("SIGTERM");
    rmSync(this.folder, { recursive: true });
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.destroy());
  });
}

/** Add a comment to a JPEG, which makes it a different file with the same pixels. */
export function withComment(jpeg: Buffer, comment: string): Buffer {
  const text = Buffer.from(comment);
  const segment = Buffer.from([0xff, 0xfe, 0, text.length + 2]); // COM and its length
  return Buffer.concat([jpeg.subarray(0, 2), segment, text, jpeg.subarray(2)]);
}
