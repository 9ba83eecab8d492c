// Copies the service's fitted quality weights into the package, for the local fallback.
import { copyFileSync } from "node:fs";

copyFileSync("../../aurum/quality/weights.json", "dist/local/quality/weights.json");
