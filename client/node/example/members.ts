/**
 * The back end of a mini app with members' selfies, configured by environment variables.
 *
 *     PUT  /members/ann/selfie   a photo -> feedback for Ann and her score; a good photo is stored
 *     POST /members/ann/selfie   another photo -> is it Ann?
 *     POST /members/ann/group    a photo of several people -> each face, and whether it is Ann's
 *     POST /photos               a photo for the queue (example/worker.ts scores it) -> its job
 *     GET  /photos/JOB           the state and result of a job
 *     GET  /status               the source that answers now
 *
 * Photos are request bodies, as in app.ts. This example keeps selfies in memory. An app would store
 * the embedding with its model's id, its calibration and the fields of its face, and never a
 * simulated answer.
 */

import express, { type ErrorRequestHandler, type Request } from "express";
import {
  type Analysis,
  Comparison,
  Embedding,
  FaceClient,
  ModelMismatchError,
  optionsFromEnv,
} from "../src/index.js";
import { enqueue, openQueue } from "../src/worker/index.js";
import { verdictOf, verdictOn } from "./verdict.js";

const client = new FaceClient(optionsFromEnv());
const queue = openQueue({
  connection: { url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379", lazyConnect: true },
});
queue.on("error", (error) => console.error(`redis: ${error.message}`));
const selfies = new Map<string, Embedding>();

const app = express();
// More than the service accepts, so that only the service decides which photos are too large.
app.use(express.raw({ type: "image/*", limit: "32mb" }));

app.put("/members/:id/selfie", async (request, response) => {
  const photo = await client.analyze(request.body as Buffer);
  const verdict = verdictOf(photo);
  if (verdict.accepted) selfies.set(request.params.id, embeddings(photo)[0]!);
  response.status(verdict.accepted ? 200 : 422).json({ ...verdict, ...madeBy(photo) });
});

app.post("/members/:id/selfie", async (request, response) => {
  const photo = await client.analyze(request.body as Buffer, { maxFaces: 1 });
  const [face] = embeddings(photo);
  if (!face) response.status(422).json(verdictOf(photo));
  else response.json({ ...likeness(kept(request), face), ...madeBy(photo) });
});

app.post("/members/:id/group", async (request, response) => {
  const photo = await client.analyze(request.body as Buffer);
  const faces = embeddings(photo).map((face) => ({
    bbox: face.face.bbox,
    ...likeness(kept(request), face),
  }));
  response.json({ faces, ...madeBy(photo) });
});

app.post("/photos", async (request, response) => {
  const image = (request.body as Buffer).toString("base64");
  const { id } = await enqueue(queue, { image, isBase64: true });
  response.status(202).json({ job: id });
});

app.get("/photos/:job", async (request, response) => {
  const state = await queue.getJobState(request.params.job); // read before the result
  const job = await queue.getJob(request.params.job);
  if (!job) throw new NotFound("there is no such photo");
  const { returnvalue: score, failedReason: reason } = job;
  response.json({ state, score: score ?? null, reason: reason ?? null });
});

app.get("/status", (_, response) => {
  response.json({ mode: client.mode, counters: client.counters });
});

class NotFound extends Error {}

const onError: ErrorRequestHandler = (error, _, response, next) => {
  if (response.headersSent) return next(error);
  if (error instanceof NotFound) response.status(404).json({ message: error.message });
  else if (error instanceof ModelMismatchError) {
    response.status(409).json({ message: "Please take a new selfie.", detail: error.message });
  } else {
    const { status, verdict } = verdictOn(error);
    if (status >= 500) console.error(error);
    response.status(status).json({ ...verdict, detail: error.message });
  }
};
app.use(onError);

/** The faces of a photo as embeddings, which `Comparison` accepts. */
function embeddings(photo: Analysis): Embedding[] {
  const { source, models, imageSize, complete, calibration } = photo;
  const made = { source, models, imageSize, complete, calibration };
  return photo.faces.map((face) => new Embedding({ ...made, face, vector: face.embedding }));
}

function kept({ params }: Request<{ id: string }>): Embedding {
  const selfie = selfies.get(params.id);
  if (!selfie) throw new NotFound(`${params.id} has no selfie yet`);
  return selfie;
}

function likeness(one: Embedding, other: Embedding) {
  const comparison = Comparison.between(one, other);
  const { similarity, decision, match, reason, gated, probability } = comparison;
  return { similarity, decision, match, reason, gated, probability };
}

function madeBy({ source, simulated, models, imageSize }: Analysis) {
  return { source, simulated, models, imageSize };
}

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`);
});

async function stop(): Promise<void> {
  server.close();
  await queue.close();
  await client.close();
}
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
