/** `npm run bench -- NAME`: prints a measurement of docs/design/node.md as JSON. */

import { photos } from "../test/support.js";
import { jobsUnderKills } from "./jobs.js";
import { killUnderLoad } from "./kill.js";
import { localFallback } from "./local.js";
import { parityOf } from "./parity.js";
import { sideBySide } from "./throughput.js";

const benches: Record<string, () => Promise<unknown>> = {
  kill: () => killUnderLoad(50, 3),
  jobs: () => jobsUnderKills(500, false),
  "jobs-local": () => jobsUnderKills(500, true),
  local: () => localFallback(200),
  throughput: () => sideBySide(16, 10, 5),
  parity: () => parityOf(photos()),
};

const name = process.argv[2] ?? "";
const bench = benches[name];
if (!bench) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join(" | ")}`);
  process.exit(2);
}
bench().then((report) => console.log(JSON.stringify(report, null, 2)));
