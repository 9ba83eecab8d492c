import { brief } from "./brief.js";
import type { FaceClientOptions } from "./client.js";
import { ORIENTATIONS } from "./contract.js";

type Environment = Record<string, string | undefined>;

/**
 * Read a client's options from environment variables; README.md lists them.
 *
 * @throws RangeError that names the variable, its value and the allowed values.
 */
export function optionsFromEnv(environment: Environment = process.env): FaceClientOptions {
  const read = new Reader(environment);
  const models = read.text("AURUM_LOCAL_MODELS");
  const maxConfidence = read.number("SIMULATED_ML_THRESHOLD", 0, 1);
  const key = read.text("AURUM_API_KEY");
  return {
    headers: key === undefined ? undefined : { authorization: `Bearer ${key}` },
    urls: read
      .text("AURUM_TRITON_URL")
      ?.split(",")
      .map((url) => url.trim())
      .filter((url) => url !== ""),
    timeoutMs: read.number("ML_SERVICE_TIMEOUT", 1, 600_000),
    useRealMl: read.boolean("USE_REAL_ML"),
    simulated: read.boolean("FALLBACK_TO_SIMULATED") ? { maxConfidence } : undefined,
    local: models === undefined ? undefined : localOptions(models, read),
  };
}

/** Reads the service's own variables, so that both find the same faces. */
function localOptions(models: string, read: Reader) {
  return {
    models,
    threads: read.number("AURUM_LOCAL_THREADS", 1, 256),
    minConfidence: read.number("AURUM_MIN_CONFIDENCE", 0, 1),
    nmsIou: read.number("AURUM_NMS_IOU", 0, 1),
    detectionSize: read.number("AURUM_DETECTION_SIZE", 32, 4096),
    maxDetectionSize: read.number("AURUM_MAX_DETECTION_SIZE", 32, 4096),
    orientation: read.oneOf("AURUM_ORIENTATION", ORIENTATIONS),
    refine: read.boolean("AURUM_REFINE"),
    maxImageBytes: read.number("AURUM_MAX_IMAGE_BYTES", 1, 1e12),
    maxBase64Bytes: read.number("AURUM_MAX_BASE64_BYTES", 1, 1e12),
    maxImagePixels: read.number("AURUM_MAX_IMAGE_PIXELS", 1, 1e12),
    maxJpegPixels: read.number("AURUM_MAX_JPEG_PIXELS", 1, 1e12),
  };
}

/** Typed access to variables; an empty one counts as not set. */
class Reader {
  constructor(private readonly environment: Environment) {}

  text(name: string): string | undefined {
    return this.environment[name]?.trim() || undefined;
  }

  number(name: string, low: number, high: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!(value >= low && value <= high)) {
      throw new RangeError(`${name}='${brief(text)}': must be a number from ${low} to ${high}`);
    }
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.text(name);
    const value = allowed.find((one) => one === text);
    if (text === undefined || value !== undefined) return value;
    throw new RangeError(`${name}='${brief(text)}': must be one of ${allowed.join(", ")}`);
  }

  boolean(name: string): boolean | undefined {
    const text = this.text(name)?.toLowerCase();
    if (text === undefined) return undefined;
    if (["true", "1"].includes(text)) return true;
    if (["false", "0"].includes(text)) return false;
    throw new RangeError(`${name}='${brief(text)}': must be true or false`);
  }
}
