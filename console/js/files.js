// What is in a file: its form, what its records look like, the types that they fit, and the body that is sent of it.

import { BadFile, CsvRows, delimiterOf, rowText } from './csv.js';
import { inline, member, parse } from './json.js';
import { Elements, linesOf } from './streams.js';

/** So much of a file is looked at to know its form. */
export const HEAD_BYTES = 256_000;
/** So many records of it. */
export const SAMPLES = 50;
/** A JSON array of records is read whole; larger ones go as NDJSON. */
export const ARRAY_BYTES_MAX = 100_000_000;
/** So much of a body is searched for an operation that is to be shown. */
const SEARCH_BYTES_MAX = 500_000_000;

export { BadFile };

/** Decodes a file, or fails: what is no UTF-8 would be stored as something else. */
function strictly() {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return new TransformStream({
    transform: (bytes, out) => out.enqueue(decoded(decoder, bytes, { stream: true })),
    flush: (out) => out.enqueue(decoded(decoder)),
  });
}

function decoded(decoder, ...input) {
  try {
    return decoder.decode(...input);
  } catch {
    throw new BadFile('the file is not text in UTF-8; save it as that first');
  }
}

export const CSV = 'text/csv';
export const NDJSON = 'application/x-ndjson';
export const JSON_TYPE = 'application/json';

/** Fields of complex types (contract, section 5): what a column may name behind a dot. */
const COMPLEX = {
  identifier: ['system', 'value', 'use'],
  address: ['use', 'type', 'text', 'line', 'city', 'district', 'state', 'postalCode', 'country'],
  humanname: ['use', 'text', 'family', 'given', 'prefix', 'suffix'],
  contactpoint: ['system', 'value', 'use', 'rank'],
  coding: ['system', 'version', 'code', 'display', 'userSelected'],
  period: ['start', 'end'],
  geopoint: ['latitude', 'longitude'],
  attachment: ['contentType', 'language', 'data', 'url', 'size', 'hash', 'title', 'creation'],
  reference: ['type', 'id'],
};

/** What a file is, by its beginning: `{form, contentType, names, samples, types, actions}`. */
export async function look(file) {
  const head = (await file.slice(0, HEAD_BYTES).text()).replace(/^\uFEFF/, '');
  const whole = file.size <= HEAD_BYTES;
  const start = head.trimStart();
  if (/\.(gz|zst|zip|xlsx?)$/i.test(file.name)) {
    throw new BadFile(`this console sends JSON, NDJSON and CSV as they are; unpack ${file.name} first, or send it by the command line, which takes .gz and .zst`);
  }
  if (start === '') throw new BadFile('the file is empty');
  if (start.includes('\u0000') || start.includes('\uFFFD\uFFFD')) throw new BadFile('the file is not text in UTF-8');
  if (start[0] === '{' && /^\{\s*"operations"\s*:/.test(start)) {
    const elements = new Elements('operations');
    return ofOperations('operations', JSON_TYPE, elements.take(start).slice(0, SAMPLES).map(parse));
  }
  if (start[0] === '[') return ofValues('array', arraySamples(start, whole));
  if (start[0] === '{') {
    const lines = start.split('\n').filter((line) => line.trim() !== '');
    if (!whole) lines.pop();
    const first = attempt(() => parse(lines[0]));
    if (first) return ofValues('lines', lines.slice(0, SAMPLES).map((line) => attempt(() => parse(line))).filter(Boolean));
    const one = whole && attempt(() => parse(start));
    if (one) return ofValues('array', [one]);
    throw new BadFile('the file begins like JSON and is none: neither one value, nor one a line');
  }
  return ofCsv(head, whole);
}

function attempt(make) {
  try {
    return make();
  } catch {
    return null;
  }
}

function arraySamples(start, whole) {
  const elements = new Elements('x');
  const found = elements.take(`"x":${start}`).slice(0, SAMPLES);
  if (found.length === 0) throw new BadFile(whole ? 'the array holds no records' : 'the first record of the array is too large to be shown');
  return found.map(parse);
}

function ofValues(form, values) {
  const objects = values.filter(({ kind }) => kind === 'object');
  if (objects.length === 0) throw new BadFile('what stands in the file is no object');
  if (member(objects[0], 'action')) return ofOperations(form === 'lines' ? 'lines-of-operations' : 'array-of-operations', NDJSON, objects);
  const names = new Map();
  for (const object of objects) {
    const data = dataOf(object);
    for (const { name, value } of data?.members ?? []) names.set(name, [...(names.get(name) ?? []), value]);
  }
  const types = tally(objects.map((object) => (isRecord(object) ? member(object, 'type')?.text : null)));
  return { form: form === 'lines' ? 'lines-of-records' : 'array-of-records', contentType: NDJSON, names, samples: objects, types, actions: new Map(), isEdges: objects.every((object) => member(object, 'from') && member(object, 'to')) };
}

/** What a record may have. */
const OF_RECORD = { resources: ['id', 'type', 'data', 'contained', 'meta'], relationships: ['id', 'type', 'from', 'to', 'data', 'meta'] };

/** True of one as the server shows it, whose properties are in its `data`; an edge may have none. */
function isRecord(object, kind = 'relationships') {
  if (member(object, 'data')?.kind === 'object') return true;
  return kind === 'relationships' && member(object, 'from')?.kind === 'object' && object.members.every(({ name }) => OF_RECORD[kind].includes(name));
}

/** What a flat record has beside its properties. */
const BESIDE = { resources: ['id'], relationships: ['id', 'from', 'to'] };

/** The properties of a record: its `data`, or all of it where it has none, but for its id and its ends. */
function dataOf(object, kind = 'relationships') {
  if (isRecord(object, kind)) return member(object, 'data') ?? { kind: 'object', members: [] };
  return { kind: 'object', members: object.members.filter(({ name }) => !BESIDE[kind].includes(name)) };
}

function payloadOf(operation) {
  return operation.members?.find(({ name, value }) => name !== 'action' && value.kind === 'object')?.value ?? null;
}

function ofOperations(form, contentType, samples) {
  const payloads = samples.map(payloadOf);
  const names = new Map();
  for (const payload of payloads) for (const { name, value } of member(payload, 'data')?.members ?? []) names.set(name, [...(names.get(name) ?? []), value]);
  return {
    form, contentType, names, samples,
    types: tally(payloads.map((payload) => member(payload, 'type')?.text)),
    actions: tally(samples.map((sample) => member(sample, 'action')?.text)),
    isEdges: payloads.some((payload) => member(payload, 'from')),
  };
}

function tally(values) {
  const counts = new Map();
  for (const value of values) if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function ofCsv(head, whole) {
  const delimiter = delimiterOf(head);
  const rows = new CsvRows(delimiter);
  const found = rows.take(head, whole);
  const header = found[0]?.map((cell) => cell.trim());
  if (!header || header.length === 0) throw new BadFile('the file has no header row');
  const samples = found.slice(1, 1 + SAMPLES);
  const names = new Map(header.map((name, at) => [name, samples.map((row) => row[at] ?? '')]));
  return { form: 'csv', contentType: CSV, names, header, samples, delimiter, types: new Map(), actions: new Map(), isEdges: header.includes('from') && header.includes('to') };
}

/** What a column or a member may be called in a type: `{path, type, required}`. */
export function pathsOf(definition) {
  const found = [];
  const walk = (properties, prefix) => {
    for (const [name, property] of Object.entries(properties ?? {})) {
      const type = property.type ?? 'symbol';
      const required = (property.rules ?? []).some((rule) => rule.required && !rule.when);
      if (type === 'object') walk(property.properties, `${prefix}${name}.`);
      else if (COMPLEX[type]) for (const field of COMPLEX[type]) found.push({ path: `${prefix}${name}.${field}`, type, required: false });
      else if (type === 'array') {
        if (!COMPLEX[property.items?.type] && property.items?.type !== 'object') found.push({ path: `${prefix}${name}`, type: `${property.items?.type}[]`, required });
      } else found.push({ path: `${prefix}${name}`, type, required });
    }
  };
  walk(definition.properties, '');
  return found;
}

const plain = (name) => name.toLowerCase().replace(/[^a-z0-9.]/g, '');
const OWN = ['id', 'from', 'to'];

/** How well the names of a file fit each type, best first: `{kind, key, known, unknown, missing, score}`. */
export function fits(found, { profiles, relationships }) {
  const roots = profiles.filter((profile) => (profile.type ?? 'ROOT') === 'ROOT');
  const candidates = [...roots.map((definition) => ({ kind: 'resources', definition })), ...relationships.map((definition) => ({ kind: 'relationships', definition }))];
  const names = [...found.names.keys()].filter((name) => !OWN.includes(name));
  return candidates.map(({ kind, definition }) => {
    const top = new Set(Object.keys(definition.properties ?? {}));
    const paths = new Set(pathsOf(definition).map(({ path }) => plain(path)));
    const isKnown = (name) => top.has(name) || paths.has(plain(name));
    const known = names.filter(isKnown);
    const missing = pathsOf(definition).filter(({ path, required }) => required && !path.includes('.') && !names.some((name) => plain(name).split('.')[0] === plain(path)));
    const share = names.length > 0 ? known.length / names.length : 0;
    const score = share - 0.2 * missing.length + ((kind === 'relationships') === found.isEdges ? 0.5 : -0.5) + (found.types.has(definition.key) ? 1 : 0);
    return { kind, key: definition.key, definition, known, unknown: names.filter((name) => !isKnown(name)), missing: missing.map(({ path }) => path), score };
  }).sort((a, b) => b.score - a.score);
}

/** For each column what it is called in the type, or '' where it is left out. */
export function mapping(header, definition, kind) {
  const paths = pathsOf(definition).map(({ path }) => path);
  const all = [...(kind === 'relationships' ? OWN : ['id']), ...paths];
  const taken = new Set();
  return header.map((name) => {
    const found = all.find((path) => path === name) ?? all.find((path) => plain(path) === plain(name));
    if (!found || taken.has(found)) return '';
    taken.add(found);
    return found;
  });
}

/** The body that is sent: the file as it is where it can be, else one made of it. */
export async function bodyOf(file, found, { type, kind, action, columns }) {
  if (found.form === 'operations' || found.form === 'lines-of-operations') return file;
  if (found.form === 'csv') return csvBody(file, found, columns);
  if (found.form === 'lines-of-records') {
    const operation = (line) => (line.trim() === '' ? '' : `${asOperation(parse(line), type, kind, action)}\n`);
    return mapped(file, (stream) => linesOf(stream, strictly()), operation);
  }
  if (file.size > ARRAY_BYTES_MAX) throw new BadFile('a JSON array of this size is not read in a browser; write one record a line (NDJSON)');
  const root = parse(decoded(new TextDecoder('utf-8', { fatal: true }), await file.arrayBuffer()));
  const items = root.kind === 'array' ? root.items : [root];
  const line = found.form === 'array-of-operations' ? (item) => inline(item) : (item) => asOperation(item, type, kind, action);
  return new Blob(items.map((item) => `${line(item)}\n`), { type: NDJSON });
}

/** Members of `meta` that the server gives; a client may send the last as well, but not to say when this write came. */
const OF_SERVER = ['source', 'version', 'updatedAt'];

/**
 * A record as an operation; of one that was read, which has a version, what the server gave is left out. What it has that
 * no record has goes along, for the server to tell of.
 */
function asOperation(record, type, kind, action) {
  if (record.kind !== 'object') throw new BadFile('what stands in the file is not all objects');
  const own = isRecord(record, kind);
  const of = own && member(record, 'type')?.text;
  if (of && of !== type) throw new BadFile(`a record is of the type ${of}, and ${type} was chosen; send the records of each type by themselves`);
  const name = action.toLowerCase();
  const write = (part) => inline(part);
  const parts = [`"type": ${JSON.stringify(type)}`];
  const take = (member_, text) => text && parts.push(`"${member_}": ${write(text)}`);
  if (kind === 'resources' || action === 'DELETE') take('id', member(record, 'id'));
  if (kind === 'relationships') {
    take('from', member(record, 'from'));
    take('to', member(record, 'to'));
  }
  if (action !== 'DELETE') {
    take('data', dataOf(record, kind));
    if (own) for (const { name: other, value } of record.members) if (!OF_RECORD[kind].includes(other)) parts.push(`${JSON.stringify(other)}: ${write(value)}`);
    if (own && kind === 'resources') take('contained', member(record, 'contained'));
    const meta = own ? member(record, 'meta') : null;
    const wasRead = meta?.kind === 'object' && member(meta, 'version');
    take('meta', wasRead ? { ...meta, members: meta.members.filter(({ name: one }) => !OF_SERVER.includes(one)) } : meta);
  }
  return `{"action": "${action}", "${name}": {${parts.join(', ')}}}`;
}

async function mapped(file, parts, make) {
  const pieces = [];
  let text = '';
  for await (const part of parts(file.stream())) {
    text += make(part);
    // Large blobs are kept by the browser outside the memory of the page.
    if (text.length > 1_000_000) {
      pieces.push(new Blob([text]));
      text = '';
    }
  }
  return new Blob([...pieces, text], { type: NDJSON });
}

async function* rowsOf(stream, delimiter, strict = false) {
  const rows = new CsvRows(delimiter, { strict });
  const reader = stream.pipeThrough(strict ? strictly() : new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    yield rows.take(done ? '' : value, done);
    if (done) return;
  }
}

async function csvBody(file, found, columns) {
  const isSame = columns.every((name, at) => name === found.header[at]) && found.delimiter === ',';
  if (isSame) return file;
  const kept = columns.map((name, at) => (name ? at : -1)).filter((at) => at >= 0);
  if (kept.length === 0) throw new BadFile('no column is sent; say for one at least what it is');
  let count = 0;
  const text = (rows) => rows.map((row) => {
    count += 1;
    if (count === 1) return rowText(kept.map((at) => columns[at]));
    // Which of its cells is which is not known.
    if (row.length !== found.header.length) {
      throw new BadFile(`row ${count} has ${row.length} ${row.length === 1 ? 'cell' : 'cells'}, and the header ${found.header.length}`);
    }
    return rowText(kept.map((at) => row[at]));
  }).join('');
  return mapped(file, (stream) => rowsOf(stream, found.delimiter, true), text);
}

/** The operation with this index in a body: `{node}`, or of CSV `{header, row}`; `null` where it is not found. */
export async function operationInBody(body, form, index) {
  const stream = body.slice(0, SEARCH_BYTES_MAX).stream();
  if (form === 'csv') {
    let header = null;
    let seen = -1;
    for await (const rows of rowsOf(stream, ',')) {
      for (const row of rows) {
        if (!header) header = row.map((cell) => cell.replace(/^\uFEFF/, ''));
        else if ((seen += 1) === index) return { header, row };
      }
    }
    return null;
  }
  let seen = -1;
  if (form === 'operations') {
    const elements = new Elements('operations');
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return null;
      const some = elements.take(value);
      if (seen + some.length >= index) return { node: parse(some[index - seen - 1]) };
      seen += some.length;
    }
  }
  for await (const line of linesOf(stream)) {
    if (line.trim() !== '' && (seen += 1) === index) return { node: parse(line) };
  }
  return null;
}
