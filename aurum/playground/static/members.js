// Client of the page's own server for the members' table: docs/guides/members.md.

import { send } from "./triton.js";

/** What the table holds: { faces, embedder }. Throws ServiceError. */
export async function table() {
  const response = await send("/faces/table", {});
  return response.json();
}

/**
 * Search the members for a face.
 *
 * `options`: top, and far or false_matches. Returns { candidates: [{ member, similarity,
 * probability, match, photo }], far, faces, threshold, reason, note }, as `Members.search` in
 * Python. Throws ServiceError, or AbortError.
 */
export async function search({ face, models }, options, signal) {
  const response = await send("/faces/search", {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      embedding: face.embedding,
      embedder: models.embedder,
      gate: face.recognizable ? -1 : face.defect,
      ...options,
    }),
  });
  return response.json();
}
