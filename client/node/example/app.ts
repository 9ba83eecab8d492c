/**
 * A minimal back end: accepts a photo and answers with its faces as JSON.
 *
 *     curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' localhost:3000/analyze
 */

import express, { type ErrorRequestHandler } from "express";
import { register } from "prom-client";
import { AurumError, FaceClient, InvalidRequestError, optionsFromEnv } from "../src/index.js";
import { instrument } from "../src/metrics.js";

const client = new FaceClient(optionsFromEnv());
instrument(client);
client.events.on("switch", ({ from, to }) => console.error(`faces: from ${from} to ${to}`));

const app = express();

const photo = express.raw({ type: ["image/*", "application/octet-stream"], limit: "25mb" });
app.post("/analyze", photo, async (request, response) => {
  if (!Buffer.isBuffer(request.body)) {
    response
      .status(415)
      .json({ error: "send the photo as the body, with a content type such as image/jpeg" });
    return;
  }
  const leaving = new AbortController();
  response.once("close", () => leaving.abort());
  response.json(await client.analyze(request.body, { signal: leaving.signal }));
});

app.get("/health", async (_, response) => {
  const health = await client.health({ timeoutMs: 3000 });
  response.status(health.mode ? 200 : 503).json(health);
});

app.get("/status", (_, response) => {
  const { mode, counters } = client;
  response.json({
    shouldUseRealML: mode === "triton" || mode === "local",
    fallbackMode: mode === "triton" ? null : (mode ?? "none"),
    counters,
  });
});

app.get("/metrics", async (_, response) => {
  response.type(register.contentType).send(await register.metrics());
});

const onError: ErrorRequestHandler = (error, _, response, next) => {
  if (response.headersSent) return next(error);
  const status = error instanceof AurumError ? statusOf(error) : (error.status ?? 500);
  if (status >= 500) console.error(error);
  response.status(status).json({ error: error.message, code: error.code ?? null });
};
app.use(onError);

function statusOf(error: AurumError): number {
  return error instanceof InvalidRequestError ? 400 : 503;
}

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`);
});
process.once("SIGTERM", () => server.close(() => client.close()));
process.once("SIGINT", () => server.close(() => client.close()));
