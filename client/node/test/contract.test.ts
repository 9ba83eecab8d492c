/** The constants of src/contract.ts, compared with the service's own. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, QUALITY_PARTS, wireName } from "../src/contract.js";
import { python } from "./support.js";

/** The value of a Python expression. */
function service<T>(imports: string, expression: string): T {
  return JSON.parse(
    python(`import json\n${imports}\nprint(json.dumps(${expression}))`, "").toString(),
  );
}

test("the defaults equal the service's", () => {
  const names = Object.keys(DEFAULTS).map((name) =>
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  const expression = `[getattr(Settings(), name) for name in ${JSON.stringify(names)}]`;
  const want = service<unknown[]>("from aurum.settings import Settings", expression);
  assert.deepEqual(Object.values(DEFAULTS), want);
});

test("the quality parts equal the service's, in the same order", () => {
  const want = service<string[]>("from aurum.quality.parts import PARTS", "PARTS");
  assert.deepEqual(QUALITY_PARTS.map(wireName), want);
});
