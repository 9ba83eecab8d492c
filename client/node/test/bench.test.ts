/** The benchmarks of docs/design/node.md at small size: checks that hold on any machine. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { jobsUnderKills } from "../bench/jobs.js";
import { killUnderLoad } from "../bench/kill.js";
import { localFallback } from "../bench/local.js";
import { sideBySide } from "../bench/throughput.js";

test("kill -9 of tritonserver under load loses nothing", async () => {
  const report = await killUnderLoad(16, 1);
  assert.equal(report.lost, 0);
  assert.ok(report.answers.local > 0);
  assert.ok(report.answers.triton > 0);
  assert.equal(report.answers.simulated, 0);
  assert.equal(report.ofThoseInFlight.local + report.ofThoseInFlight.triton, 16);
});

test("each job has one result, even if tritonserver and a worker are killed", async () => {
  const { jobs, results, twice, failed, faceIds } = await jobsUnderKills(60, true);
  assert.deepEqual(
    { jobs, results, twice, failed, faceIds },
    {
      jobs: 60,
      results: 60,
      twice: 0,
      failed: 0,
      faceIds: 60,
    },
  );
});

test("the local fallback can be measured", async () => {
  for (const { photosASecond, megabytes } of await localFallback(4)) {
    assert.ok(photosASecond > 0 && megabytes > 0);
  }
});

test("the throughput of both clients can be measured", async () => {
  const { node, python, ratio } = await sideBySide(4, 1, 1);
  assert.ok(node[0]! > 0 && python[0]! > 0 && ratio > 0);
});
