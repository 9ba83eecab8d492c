/** The constants of src/contract.ts, compared with the service's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as contract from "../src/contract.js";
import { DEFAULTS, QUALITY_PARTS, wireName } from "../src/contract.js";
import { python } from "./support.js";

/** The value of a Python expression. */
function service<T>(imports: string, expression: string): T {
  return JSON.parse(
    python(`import json\n${imports}\nprint(json.dumps(${expression}))`, "").toString(),
  );
}

const CONTRACT = "from aurum import contract";

test("the defaults equal the service's", () => {
  const names = Object.keys(DEFAULTS).map((name) =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  const expression = `[getattr(Settings(), name) for name in ${JSON.stringify(names)}]`;
  const want = service<unknown[]>("from aurum.settings import Settings", expression);
  assert.deepEqual(Object.values(DEFAULTS), want);
});

test("the quality parts equal the service's, in the same order", () => {
  const want = service<string[]>(CONTRACT, "contract.QUALITY_PARTS");
  assert.deepEqual(QUALITY_PARTS.map(wireName), want);
});

test("names, sizes and limits equal the service's", () => {
  const all = service<Record<string, unknown>>(
    CONTRACT,
    "{name: value for name, value in vars(contract).items() if name.isupper() and name[0] != '_'}",
  );
  const want = new Map(Object.entries(all));
  const models = [contract.DETECTOR, contract.LANDMARKER, contract.EMBEDDER];
  assert.deepEqual(models, want.get("MODELS"));
  assert.deepEqual(contract.PIPELINES, want.get("PIPELINES"));
  assert.equal(contract.LANDMARKS, want.get("LANDMARK_COUNT"));
  assert.equal(contract.EMBEDDING_SIZE, want.get("EMBEDDING_SIZE"));
  assert.equal(contract.CALIBRATION_SIZE, want.get("CALIBRATION_SIZE"));
  assert.equal(contract.ALIGNED_SIZE, want.get("CROP_SIDE"));
  assert.equal(contract.LIVE_FROM, want.get("LIVE_FROM"));
  assert.equal(contract.RECOGNIZABLE, want.get("RECOGNIZABLE"));
  assert.equal(contract.MAX_TILES, want.get("MAX_TILES"));
  assert.equal(contract.DETECTION_STEP, want.get("STRIDE"));
  assert.deepEqual(contract.ORIENTATIONS, want.get("ORIENTATIONS"));
  const parameters: string[] = Object.values(contract.PARAMETERS);
  assert.deepEqual(parameters.sort(), (want.get("PARAMETERS") as string[]).sort());
  const codes = [want.get("CLIENT_FAULTS"), want.get("SERVER_FAULTS")].flat();
  for (const code of contract.ERROR_CODES) assert.ok(codes.includes(code), code);
});

test("the outputs have the service's datatypes and shapes", () => {
  const want = service<Record<string, [string, number[]]>>(
    CONTRACT,
    "contract.OUTPUTS[contract.ANALYZE_FACES]",
  );
  const found = Object.entries(contract.OUTPUTS).map(([name, [datatype, ...shape]]) => {
    const sizes = shape.map((size, index) => {
      if (size === "F") return -1;
      return size ?? want[name]?.[1][index]; // null: any size
    });
    return [name, [datatype, sizes]];
  });
  assert.deepEqual(Object.fromEntries(found), want);
});
