/**
 * The back end of a mini app whose members show their faces, configured by the environment.
 *
 *     PUT  /members/ann/selfie   a photo -> what Ann is told, and her score; a good one is kept
 *     POST /members/ann/selfie   another photo -> is it Ann?
 *     POST /members/ann/group    a photo of several people -> each face, and is it Ann's?
 *     POST /photos               a photo for the queue (example/worker.ts scores it) -> its job
 *     GET  /photos/JOB           what became of it
 *     GET  /status               who answers now
 *
 * Photos are bodies, as in app.ts. Selfies are kept in memory here: an app keeps the embedding with
 * the id of its model, its calibration and what is said of its face, and never an answer that is
 * simulated.
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
// More than the service takes, so that one place decides what is too large.
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
  const state = await queue.getJobState(request.params.job); // before the result that it says is there
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

/** Each face of a photo, as `Comparison` takes it. */
function embeddings(photo: Analysis): Embedding[] {
  const { source, models, imageSize, complete, calibration } = photo;
  const made = { source, models, imageSize, complete, calibration };
  return photo.faces.map((face) => new Embedding({ ...made, face, vector: face.embedding! }));
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
