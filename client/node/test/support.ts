/** Real servers for the tests and benchmarks, and the photos to send. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Compiled, this file lies in client/node/build/test. */
export const PACKAGE = join(__dirname, "..", "..");
export const CHECKOUT = join(PACKAGE, "..", "..");
export const ASTRONAUT = join(CHECKOUT, "aurum", "assets", "astronaut.jpg");
const PYTHON = join(CHECKOUT, ".venv", "bin", "python");

export interface Facts {
  url: string;
  /** Its model_repository. */
  models: string;
  /** Whether there were no weights, so that simulated models are served. */
  simulated: boolean;
}

/** A tritonserver that test/serve.py runs; see there for the commands. */
export class TritonServer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly facts: Facts,
  ) {}

  static async start(profile?: string): Promise<TritonServer> {
    const script = join(PACKAGE, "test", "serve.py");
    const child = spawn(PYTHON, profile ? [script, profile] : [script], {
      cwd: CHECKOUT,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw new Error("test/serve.py ended before its server was ready");
    return new TritonServer(child, lines, JSON.parse(first.value));
  }

  async tell<T = Record<string, never>>(command: string): Promise<T> {
    this.process.stdin!.write(`${command}\n`);
    const line = await this.lines.next();
    if (line.done) throw new Error(`test/serve.py ended during '${command}'`);
    return JSON.parse(line.value) as T;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.stdin!.end();
    await ended;
  }
}

/** The group photos, if this machine has them (docs/contributing.md), and the astronaut. */
export function photos(): string[] {
  const folder = process.env.AURUM_TEST_PHOTOS || join(CHECKOUT, "..", "shared", "photos");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const group = names.filter((name) => /\.(jpg|jpeg|png|webp)$/i.test(name)).sort();
  return [ASTRONAUT, ...group.map((name) => join(folder, name))];
}

/** Wait until `condition` holds; fails after `seconds`, which no test should come near. */
export async function until(condition: () => boolean | Promise<boolean>, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
