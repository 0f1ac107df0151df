// Gives a server what the examples of the description are of, by sending those examples: each must be taken. Says the key and
// the task that were made. `node prepare.mjs URL`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const url = process.argv[2];
const description = JSON.parse(await readFile(new URL("../granary.json", import.meta.url), "utf8"));
const named = (reference) => reference.slice(2).split("/").reduce((at, name) => at[name], description);
const operations = Object.entries(description.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, operation })));

async function send(method, path, type, body) {
  const answer = await fetch(url + path, { method, headers: type ? { "Content-Type": type } : {}, body });
  const text = await answer.text();
  assert(answer.ok, `${method} ${path} with ${body}: ${answer.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

/** Sends an operation with its examples: the body that is given, or each that the description has. */
async function example(id, change = (body) => body) {
  const { path, method, operation } = operations.find((one) => one.operation.operationId === id);
  const parameters = operation.parameters.map((one) => (one.$ref ? named(one.$ref) : one));
  const filled = path.replace(/\{([^}]+)\}/g, (_, name) => parameters.find((one) => one.name === name).example);
  let last;
  for (const [type, { example }] of Object.entries(operation.requestBody?.content ?? {})) {
    const query = type === "text/csv" ? "?type=provider&action=upsert" : "";
    const body = typeof example === "string" ? example : JSON.stringify(change(example));
    last = await send(method.toUpperCase(), filled + query, type, body);
  }
  return last;
}

const JSON_TYPE = "application/json";
const put = (path, body) => send("PUT", path, JSON_TYPE, JSON.stringify(body));

await example("putVocabulary");
await example("putConcept");
await example("bulkVocabularies", () => ({ operations: [{ action: "UPSERT", upsert: { key: "specialities", title: "Specialities" } }] }));
await example("putSource");
const profiles = "/sources/clinic/v1/profiles";
await put(`${profiles}/note`, { type: "CONTAINED", properties: { text: { type: "markdown" } } });
await put(`${profiles}/qualification`, {
  type: "CONTAINED",
  properties: { title: { type: "symbol" } },
  contained: { notes: { types: ["note"], cardinality: "0:*" } },
});
await put(`${profiles}/site`, { properties: { name: { type: "symbol" } } });
await example("putProfile");
await example("putRelationshipDefinition");
await put("/sources/clinic/v1/resources/site/north", { data: { name: "North" } });
await example("createResource");
await example("putResource");
await example("putContained");
await example("addContained");
await example("putNested");
await example("addNested");
await example("createRelationship");
await example("patchRelationship");
await example("writeBundle");
const { taskId } = await example("bulkResources");
const { key } = await example("createKey", () => ({ name: "tests", role: "admin" }));
console.log(JSON.stringify({ key, task: taskId }));
