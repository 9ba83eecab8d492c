// What the service's judgement of faces learnt from photos, to where the package's local rung reads it.
import { copyFileSync } from "node:fs";

copyFileSync("../../aurum/quality/weights.json", "dist/local/quality/quality.json");
