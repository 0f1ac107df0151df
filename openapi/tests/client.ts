// A client made by openapi-typescript and openapi-fetch: it creates a source and a profile, sends a bulk request, waits for
// its task, and reads receipts and a record. `node made/client.js URL`.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./made/granary.js";

type Receipt = components["schemas"]["Receipt"];

const baseUrl = process.argv[2];
assert(baseUrl, "say the URL of a server");
const granary = createClient<paths>({ baseUrl });
const source = "from-typescript";

const created = await granary.PUT("/catalog/v1/sources/{source}", {
  params: { path: { source } },
  body: { type: "registry" },
});
assert.equal(created.response.status, 201);
assert.equal(created.data?.key, source);

const profile = await granary.PUT("/sources/{source}/v1/profiles/{key}", {
  params: { path: { source, key: "provider" } },
  body: { properties: { name: { type: "symbol", rules: [{ required: true }] }, practiceNumber: { type: "integer" } } },
});
assert.equal(profile.data?.revision, 1);

const rejected = await granary.POST("/sources/{source}/v1/resources/bulk", {
  params: { path: { source } },
  body: { operations: [{ action: "CREATE", create: { type: "provider", data: { nmae: "John Doe" } } }] },
});
assert.equal(rejected.response.status, 400);
assert(rejected.error && "receipts" in rejected.error, "a rejected request has receipts");
assert.equal(rejected.error.receipts[0]?.error?.details?.length, 2);

const accepted = await granary.POST("/sources/{source}/v1/resources/bulk", {
  params: { path: { source }, header: { "Idempotency-Key": "the-first" } },
  body: {
    operations: [
      { action: "CREATE", create: { id: "john-doe", type: "provider", data: { name: "John Doe", practiceNumber: 1020993 } } },
      { action: "UPSERT", upsert: { id: "john-doe", type: "provider", data: { name: "John Q. Doe" } } },
      { action: "DELETE", delete: { id: "nobody", type: "provider" } },
    ],
  },
});
assert.equal(accepted.response.status, 202);
assert(accepted.data && "taskId" in accepted.data);
const id = accepted.data.taskId;

const task = await granary.GET("/sources/{source}/v1/tasks/{id}", {
  params: { path: { source, id }, header: { Prefer: "wait=30" } },
});
assert.equal(task.data?.status, "SUCCESS");
assert.equal(task.data.outcome, "PARTIAL");

const receipts: Receipt[] = [];
for (let cursor: string | undefined; ; ) {
  const page = await granary.GET("/sources/{source}/v1/tasks/{id}/receipts", {
    params: { path: { source, id }, query: { limit: 2, ...(cursor ? { cursor } : {}) } },
  });
  assert(page.data && typeof page.data === "object");
  receipts.push(...page.data.data);
  cursor = page.data.meta.cursor;
  if (!cursor) break;
}
assert.deepEqual(receipts.map(({ status }) => status), ["SUCCESS", "SUCCESS", "FAILURE"]);
assert.equal(receipts[2]?.error?.type, "NOT_FOUND");

const record = await granary.GET("/sources/{source}/v1/resources/{type}/{id}", {
  params: { path: { source, type: "provider", id: "john-doe" } },
});
assert.deepEqual(record.data?.data, { name: "John Q. Doe" });
assert.equal(record.data.meta.version, 2);

const missing = await granary.GET("/sources/{source}/v1/resources/{type}/{id}", {
  params: { path: { source, type: "provider", id: "nobody" } },
});
assert.equal(missing.error && "type" in missing.error && missing.error.type, "NOT_FOUND");
console.log("the TypeScript client did all it was to do");
