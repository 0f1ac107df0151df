// The page at /docs, in a document without a browser: every operation and schema of the description is on it, every link
// leads somewhere, and what the description says is text. GRANARY_URL names a server.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { JSDOM } from "jsdom";

const url = process.env.GRANARY_URL;
let description, page, window, show, curl;

before(async () => {
  const [html, script] = await Promise.all(["docs", "docs/page.js"].map(async (path) => {
    const answer = await fetch(`${url}/${path}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self';/);
    return answer.text();
  }));
  description = await (await fetch(`${url}/openapi.json`)).json();
  const module = await import(`data:text/javascript,${encodeURIComponent(script)}`);
  ({ show, curl } = module);
  ({ window } = new JSDOM(html, { url: `${url}/docs` }));
  page = window.document;
  Object.assign(globalThis, { document: page, location: window.location });
  globalThis.addEventListener = () => {};
  show(description, url);
});

/** Opens what is closed, as a reader does. */
function open() {
  for (const details of page.querySelectorAll("details")) {
    details.open = true;
    details.dispatchEvent(new window.Event("toggle"));
  }
}

test("every operation and every schema is there, and every link leads somewhere", () => {
  open();
  const operations = Object.values(description.paths).flatMap((item) => Object.values(item));
  assert(operations.length > 60);
  for (const { operationId, summary } of operations) {
    const shown = page.getElementById(operationId);
    assert(shown?.textContent.includes(summary), operationId);
    assert(shown.querySelectorAll("details.answer").length > 0, operationId);
  }
  for (const name of Object.keys(description.components.schemas)) assert(page.getElementById(`schema-${name}`), name);
  for (const link of page.querySelectorAll("a[href^='#']")) {
    assert(page.getElementById(link.getAttribute("href").slice(1)), link.getAttribute("href"));
  }
});

test("the filter leaves what has all of its words", () => {
  const filter = page.getElementById("filter");
  filter.value = "bulk post concepts";
  filter.dispatchEvent(new window.Event("input"));
  const left = [...page.querySelectorAll("#index li")].filter((entry) => !entry.hidden);
  assert.deepEqual(left.map((entry) => entry.querySelector("a").getAttribute("href")), ["#bulkConcepts"]);
});

test("what the description says is never markup", () => {
  const evil = structuredClone(description);
  evil.info.description = "<img src=x onerror=alert(1)>";
  evil.paths["/limits"].get.summary = "<script>alert(1)</script>";
  show(evil, url);
  open();
  assert.equal(page.querySelectorAll("main img, main script, nav script").length, 0);
  assert(page.getElementById("main").textContent.includes("<img src=x onerror=alert(1)>"));
});

test("a curl line is one that a shell takes", () => {
  const path = "/catalog/v1/sources/{source}";
  const operation = description.paths[path].put;
  assert.equal(curl(description, path, "put", operation, "http://here"), [
    "curl -X PUT 'http://here/catalog/v1/sources/clinic'",
    `-H "X-API-Key: $GRANARY_KEY"`,
    "-H 'Content-Type: application/json'",
    `--data-binary '{\n  "type": "registry"\n}'`,
  ].join(" \\\n  "));
});
