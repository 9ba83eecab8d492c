/** What the local fallback needs: optional packages, and the served graphs. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { brief } from "../brief.js";
import { DETECTOR, EMBEDDER, LANDMARKER } from "../contract.js";

const PACKAGES = ["onnxruntime-node", "sharp", "piscina"];

/** The file of a graph in a model_repository. */
export function graphFile(models: string, name: string): string {
  return join(models, name, "1", "model.onnx");
}

/** @throws Error that says which packages and graphs are missing, and how to get them. */
export function checkRequirements(models: string): void {
  const packages = PACKAGES.filter((name) => !isInstalled(name));
  const graphs = [DETECTOR, LANDMARKER, EMBEDDER].filter(
    (name) => !existsSync(graphFile(models, name)),
  );
  const missing = [];
  if (packages.length > 0) {
    missing.push(`packages are missing: npm install ${packages.join(" ")}`);
  }
  if (graphs.length > 0) {
    const where = `'${brief(models)}' has no NAME/1/model.onnx of ${graphs.join(", ")}`;
    missing.push(`${where}: fill it with \`aurum models build\``);
  }
  if (missing.length > 0) throw new Error(missing.join("; "));
}

function isInstalled(name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}
