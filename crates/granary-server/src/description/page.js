// Shows the description of the API: operations by tag, what they take and answer, errors, schemas, and a curl line for each.
// All of it is built as nodes with text in them: nothing of the description is ever taken for markup.

/** An element with attributes and children; texts become text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

/** Text with `code` in it. */
function inline(text) {
  return text.split(/(`[^`]*`)/).filter(Boolean).map((part) =>
    part.startsWith("`") && part.endsWith("`") && part.length > 1 ? el("code", {}, part.slice(1, -1)) : part);
}

/** Text with paragraphs and lists in it. */
export function prose(text = "") {
  return text.split(/\n\n+/).filter(Boolean).map((block) => {
    const lines = block.split("\n");
    if (lines.every((line) => line.startsWith("- "))) {
      return el("ul", {}, lines.map((line) => el("li", {}, inline(line.slice(2)))));
    }
    return el("p", {}, inline(block));
  });
}

/** What a reference leads to. */
function resolved(description, object) {
  const reference = object?.$ref;
  if (typeof reference !== "string" || !reference.startsWith("#/")) return object;
  return reference.slice(2).split("/").reduce((at, name) => at?.[name], description);
}

const nameOf = (reference) => reference.split("/").pop();

/** A schema in a few words, with links to what it refers to. */
function short(schema) {
  if (schema === undefined || schema === true) return ["anything"];
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [el("a", { href: `#schema-${name}` }, name)];
  }
  for (const [key, word] of [["oneOf", " or "], ["anyOf", " or "], ["allOf", " and "]]) {
    if (schema[key]) return schema[key].flatMap((one, at) => (at > 0 ? [word, ...short(one)] : short(one)));
  }
  if (schema.const !== undefined) return [el("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) {
    return schema.enum.flatMap((value, at) => (at > 0 ? [" ", el("code", {}, String(value))] : [el("code", {}, String(value))]));
  }
  const types = [schema.type ?? "anything"].flat();
  if (types.includes("array")) return ["list of ", ...short(schema.items)];
  if (types.includes("object") && typeof schema.additionalProperties === "object") {
    return ["object of ", ...short(schema.additionalProperties)];
  }
  return [types.join(" or ") + (schema.format ? ` (${schema.format})` : "")];
}

/** What else holds for values. */
function bounds(schema) {
  const said = [["minimum", "at least"], ["maximum", "at most"], ["minLength", "characters at least"],
    ["maxLength", "characters at most"], ["minItems", "elements at least"], ["pattern", "fits"], ["default", "unless said"]];
  const found = said.filter(([key]) => schema?.[key] !== undefined);
  return found.map(([key, words]) => el("div", { class: "faint" }, `${words} `, el("code", {}, String(schema[key]))));
}

function table(heads, rows) {
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

const required = (is) => (is ? el("span", { class: "required" }, " required") : undefined);

/** The members of an object. */
function members(schema) {
  const properties = Object.entries(schema.properties ?? {});
  const must = new Set(schema.required ?? []);
  properties.sort(([one], [two]) => Number(must.has(two)) - Number(must.has(one)));
  return table(["member", "type", "meaning"], properties.map(([name, property]) =>
    [[el("code", {}, name), required(must.has(name))], short(property), [...prose(property.description), ...bounds(property)]]));
}

/** A schema as a whole. */
function whole(schema) {
  const options = schema.oneOf ?? schema.anyOf;
  if (options?.some((option) => option.properties)) {
    return options.map((option) => [el("p", { class: "media" }, "one of"), ...whole(option)]).flat();
  }
  if (schema.properties) return [members(schema)];
  return [el("p", {}, short(schema)), ...bounds(schema)];
}

/** A block of text with a button that copies it. */
function example(text) {
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it by hand";
    }
  });
  return el("div", { class: "example" }, button, el("pre", { tabindex: "0" }, el("code", {}, text)));
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function examples(media) {
  if (media.example !== undefined) return [example(asText(media.example))];
  return Object.entries(media.examples ?? {}).map(([, one]) => example(asText(one.value)));
}

/** What a body may be, by media type. */
function contents(content = {}) {
  return Object.entries(content).flatMap(([type, media]) => {
    const item = media["x-itemSchema"];
    const what = item ? ["each line or event: ", ...short(item)] : short(media.schema);
    return [el("p", { class: "media" }, el("code", {}, type), " ", ...what), ...examples(media)];
  });
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A curl line for an operation, with its examples. */
export function curl(description, path, method, operation, base) {
  const parameters = (operation.parameters ?? []).map((parameter) => resolved(description, parameter));
  const filled = path.replace(/\{([^}]+)\}/g, (_, name) => {
    const parameter = parameters.find((one) => one.in === "path" && one.name === name);
    return encodeURIComponent(parameter?.example ?? name);
  });
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quoted(base + filled)}`];
  if ((operation.security ?? description.security ?? []).length > 0) lines.push(`-H "X-API-Key: $GRANARY_KEY"`);
  const [type, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (type) {
    lines.push(`-H ${quoted(`Content-Type: ${type}`)}`, `--data-binary ${quoted(asText(media.example ?? ""))}`);
  }
  return lines.join(" \\\n  ");
}

const PLACES = { path: "path", query: "query", header: "header" };

function parametersOf(description, operation) {
  const all = (operation.parameters ?? []).map((parameter) => resolved(description, parameter));
  if (all.length === 0) return [];
  const rows = all.map((one) => [
    [el("code", {}, one.name), required(one.required)],
    PLACES[one.in] ?? one.in,
    short(one.schema),
    [...prose(one.description), ...bounds(one.schema)],
  ]);
  return [el("h3", {}, "Parameters"), table(["name", "in", "type", "meaning"], rows)];
}

function answersOf(description, operation) {
  const answers = Object.entries(operation.responses ?? {}).map(([status, reference]) => {
    const answer = resolved(description, reference);
    const headers = Object.entries(answer.headers ?? {});
    const types = answer["x-error-types"];
    return el("details", { class: "answer" },
      el("summary", {},
        el("span", { class: status < "400" ? "status" : "status failed" }, status),
        el("span", {}, types ? types.flatMap((type) => [el("code", {}, type), " "]) : inline(answer.description ?? ""))),
      types ? prose(answer.description) : undefined,
      contents(answer.content),
      headers.length > 0 ? table(["header", "meaning"], headers.map(([name, header]) =>
        [el("code", {}, name), prose(resolved(description, header)?.description)])) : undefined);
  });
  return [el("h3", {}, "Answers"), ...answers];
}

/** An element that is filled when it is opened first. */
function lazy(element, fill) {
  element.addEventListener("toggle", () => {
    if (element.open && !element.dataset.filled) {
      element.dataset.filled = "yes";
      element.append(el("div", { class: "inside" }, fill()));
    }
  });
  return element;
}

function operationElement(description, { path, method, operation }, base) {
  const summary = el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()),
    el("span", { class: "path" }, path), el("span", { class: "what" }, operation.summary));
  return lazy(el("details", { class: "operation", id: operation.operationId }, summary), () => [
    ...prose(operation.description),
    ...parametersOf(description, operation),
    ...(operation.requestBody ? [el("h3", {}, "Body"), ...contents(operation.requestBody.content)] : []),
    el("h3", {}, "Example"),
    example(curl(description, path, method, operation, base)),
    ...answersOf(description, operation),
  ]);
}

function schemaElement(name, schema) {
  const summary = el("summary", {}, el("span", { class: "path" }, name));
  return lazy(el("details", { class: "schema", id: `schema-${name}` }, summary), () =>
    [...prose(schema.description), ...whole(schema)]);
}

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Every operation with its path and method, in the order of tags. */
export function operationsOf(description) {
  const all = Object.entries(description.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));
  return (description.tags ?? []).map((tag) => ({
    tag,
    operations: all.filter(({ operation }) => operation.tags?.[0] === tag.name),
  }));
}

function indexEntry({ path, method, operation }) {
  const entry = el("li", {}, el("a", { href: `#${operation.operationId}` },
    el("span", { class: `method ${method}` }, method.toUpperCase()), el("span", {}, operation.summary)));
  entry.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  return entry;
}

function filtered(index, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of index.children) {
    const entries = [...section.querySelectorAll("li")];
    for (const entry of entries) entry.hidden = !wanted.every((word) => entry.dataset.words.includes(word));
    section.hidden = entries.every((entry) => entry.hidden);
  }
}

/** Opens what the address names. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.localName !== "details") return;
  target.open = true;
  target.scrollIntoView();
}

/** Fills the page. */
export function show(description, base) {
  const groups = operationsOf(description);
  const index = document.getElementById("index");
  index.replaceChildren(...groups.map(({ tag, operations }) =>
    el("section", {}, el("h2", {}, tag.name), el("ul", {}, operations.map(indexEntry)))));
  const schemas = Object.entries(description.components?.schemas ?? {});
  document.getElementById("main").replaceChildren(
    el("h1", {}, description.info.title, " ", el("span", { class: "faint" }, description.info.version)),
    ...prose(description.info.description),
    el("p", {}, "For programs: ", el("a", { href: "openapi.json" }, "openapi.json"), `, OpenAPI ${description.openapi}.`),
    ...groups.map(({ tag, operations }) => el("section", {}, el("h2", {}, tag.name), prose(tag.description),
      operations.map((operation) => operationElement(description, operation, base)))),
    el("section", {}, el("h2", {}, "Schemas"), schemas.map(([name, schema]) => schemaElement(name, schema))));
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => filtered(index, filter.value));
  addEventListener("hashchange", openTarget);
  openTarget();
}

/** Reads the description and shows it, or says why not. */
export async function start() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    show(await answer.json(), new URL(".", location.href).href.replace(/\/$/, ""));
  } catch (error) {
    state.textContent = `The description cannot be read: ${error.message}. Load the page again.`;
  }
}

if (globalThis.document) start();
