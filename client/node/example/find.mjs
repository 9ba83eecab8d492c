/**
 * Find a photo's largest face among the members that `aurum faces` enrolled:
 *
 *     AURUM_TRITON_URL=http://127.0.0.1:8000 node find.mjs MEMBERS PHOTO
 *
 * It needs `npm install aurum-face-client @lancedb/lancedb@0.39.0 apache-arrow@18.1.0` beside it.
 * Prints JSON: the likest members first, each with its similarity and whether it is a match at FAR
 * 1e-4 of one comparison; null where there is no decision.
 */

import { readFile } from "node:fs/promises";
import { connect } from "@lancedb/lancedb";
import { Calibration, FaceClient, optionsFromEnv } from "aurum-face-client";

const TOP = 5;
const [folder, photo] = process.argv.slice(2);
if (!folder || !photo) fail("usage: node find.mjs MEMBERS PHOTO");

const table = await (await connect(folder)).openTable("members");
const schema = await table.schema();
const model = JSON.parse(schema.metadata.get("aurum") ?? "null");
if (model?.version !== 1) fail(`${folder}: its table was not made by this version of aurum faces`);

const client = new FaceClient(optionsFromEnv());
const query = await client.embed(await readFile(photo)).finally(() => client.close());
if (query.models.embedder !== model.embedder) {
  fail(`the service embeds with ${query.models.embedder}, the table has ${model.embedder}`);
}

// A member has a row for each photo. With an index, half of its parts are searched, as Python does.
const parts = Math.max(1, Math.round(0.2 * Math.sqrt(await table.countRows())));
const rows = await table
  .vectorSearch(query.vector)
  .column("embedding")
  .distanceType("cosine")
  .nprobes(parts)
  .refineFactor(5)
  .limit(20 * TOP)
  .select(["member", "photo", "_distance"])
  .toArray();

const decidable = model.calibration && query.face.recognizable !== false;
const threshold = decidable ? Calibration.fromRow(model.calibration).threshold(1e-4) : null;
const likest = new Map();
for (const { member, photo, _distance } of rows) {
  const similarity = 1 - _distance;
  const match = threshold === null ? null : similarity >= threshold;
  if (!likest.has(member)) likest.set(member, { member, photo, similarity, match });
}
console.log(JSON.stringify({ threshold, candidates: [...likest.values()].slice(0, TOP) }));

function fail(message) {
  console.error(message);
  process.exit(1);
}
