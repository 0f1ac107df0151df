// Records of a type, and edges of a type: a page of the list, filtered as the API filters.

import { definitions, getText, path } from '../api.js';
import { cut, h, put, time } from '../dom.js';
import { inline, member, parse } from '../json.js';
import { empty, field, fill, pager, select, table } from '../parts.js';
import { decoded, go, link } from '../router.js';

const LIMIT = 50;
/** So many properties are columns. */
const COLUMNS = 5;
const CELL = 60;
/** Types whose values are read at a glance. */
const SIMPLE = new Set(['symbol', 'code', 'uri', 'url', 'boolean', 'integer', 'decimal', 'date', 'datetime', 'instant', 'time']);

export async function view({ source, type, kind = 'data', query, place, signal }) {
  const content = h('div');
  put(place, h('h1', 'Data'), content);
  await fill(content, signal, async () => {
    const { profiles, relationships } = await definitions(source, signal);
    const roots = profiles.filter((profile) => (profile.type ?? 'ROOT') === 'ROOT');
    const first = roots[0] ?? relationships[0];
    if (!first) {
      return empty('This source has no types yet', 'Records are of a type: write its profile first.', `granary profile apply -f provider.json --source ${source}`,
        h('a.button', { href: link(['sources', source, 'profiles', 'new'], { new: 1 }) }, 'New profile'));
    }
    const chosen = type ?? first.key;
    const definition = (kind === 'edges' ? relationships : profiles).find(({ key }) => key === chosen);
    const choices = [...roots.map(({ key }) => [`data/${key}`, key]), ...relationships.map(({ key }) => [`edges/${key}`, `${key} (relationships)`])];
    const list = h('div');
    fill(list, signal, () => (kind === 'edges' ? edges : resources)(source, chosen, definition, query, signal));
    return [
      h('section.card.filters', { 'aria-label': 'What is shown' },
        field('Type', select(choices, `${kind}/${chosen}`, (value) => {
          const at = value.indexOf('/');
          go(link(['sources', source, value.slice(0, at), value.slice(at + 1)]));
        })),
        kind === 'edges' ? ofEnds(source, chosen, definition, query) : ofResources(source, chosen, query)),
      list,
    ];
  });
}

function form(children, onsubmit) {
  return h('form.filter', {
    onsubmit: (event) => {
      event.preventDefault();
      onsubmit();
    },
  }, children);
}

const input = (value, extra = {}) => h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', value: value ?? '', ...extra });

/** `system:value:use` as the API reads it: each part is percent-encoded. */
export function notation(system, value, use) {
  return [system, value, use].map((part) => encodeURIComponent(part)).join(':');
}

function ofResources(source, type, query) {
  const id = input('', { id: 'go-id' });
  const [system, value, use] = (query.get('identifier') ?? '::').split(':').map(decoded);
  const parts = [input(system, { id: 'id-system' }), input(value, { id: 'id-value' }), input(use, { id: 'id-use', size: 8 })];
  return [
    form([field('Open the one with id', id), h('button', { type: 'submit' }, 'Open')], () => {
      if (id.value.trim()) go(link(['sources', source, 'data', type, id.value.trim()]));
    }),
    form([
      field('Identifier: system', parts[0]), field('value', parts[1]), field('use', parts[2]),
      h('button', { type: 'submit' }, 'Filter'),
      query.has('identifier') && h('a.button.quiet', { href: link(['sources', source, 'data', type]) }, 'Show all'),
    ], () => {
      const [a, b, c] = parts.map((part) => part.value.trim());
      go(link(['sources', source, 'data', type], { identifier: a || b || c ? notation(a, b, c) : null }));
    }),
  ];
}

function ofEnds(source, type, definition, query) {
  const from = input(query.get('from'), { id: 'end-from' });
  const to = input(query.get('to'), { id: 'end-to' });
  return form([
    field(`From: id of ${definition?.from.profileKey ?? 'a resource'}`, from),
    field(`To: id of ${definition?.to.profileKey ?? 'a resource'}`, to),
    h('button', { type: 'submit' }, 'Filter'),
    (query.has('from') || query.has('to')) && h('a.button.quiet', { href: link(['sources', source, 'edges', type]) }, 'Show all'),
  ], () => go(link(['sources', source, 'edges', type], { from: from.value.trim(), to: to.value.trim() })));
}

/** A page of a list: its records as they are written, and the addresses of the first and the next page. */
async function page(where, at, filters, query, signal) {
  const { text } = await getText(where, { ...filters, limit: LIMIT, cursor: query.get('cursor') }, signal);
  const node = parse(text);
  const next = member(member(node, 'meta'), 'cursor')?.text;
  return {
    records: member(node, 'data').items,
    pages: pager(query.has('cursor') ? link(at, filters) : null, next ? link(at, { ...filters, cursor: next }) : null),
  };
}

function shownShort(node) {
  if (!node || node.kind === 'null') return '';
  return cut(node.kind === 'object' || node.kind === 'array' ? inline(node) : node.text, CELL);
}

async function resources(source, type, profile, query, signal) {
  const filters = { identifier: query.get('identifier') };
  const at = ['sources', source, 'data', type];
  const { records, pages } = await page(path`/sources/${source}/v1/resources/${type}`, at, filters, query, signal);
  if (records.length === 0) {
    return query.size > 0
      ? empty('No record is like that', 'Identifiers are compared whole: system, value and use as they are stored.')
      : empty(`No records of ${type} yet`, 'Drop a file under Upload, or send one from the command line.', `granary bulk ${type}.csv --source ${source} --type ${type} --wait`,
        h('a.button', { href: link(['sources', source, 'upload']) }, 'Upload'));
  }
  const columns = Object.entries(profile?.properties ?? {}).filter(([, property]) => SIMPLE.has(property.type)).slice(0, COLUMNS);
  const right = (property) => property.type === 'integer' || property.type === 'decimal';
  const rows = records.map((record) => {
    const id = member(record, 'id').text;
    const data = member(record, 'data');
    const meta = member(record, 'meta');
    return h('tr',
      h('td.nowrap', h('a', { href: link([...at, id]) }, id)),
      columns.map(([name, property]) => h('td', { class: right(property) ? 'right' : '' }, shownShort(member(data, name)))),
      h('td.right', member(meta, 'version').text),
      h('td.muted.nowrap', time(member(meta, 'updatedAt').text)));
  });
  const heads = ['Id', ...columns.map(([title, property]) => ({ title, number: right(property) })), { title: 'Version', number: true }, 'Updated'];
  return h('section.card', { 'aria-label': `Records of ${type}` }, table(`Records of ${type}`, heads, rows), pages);
}

async function edges(source, type, definition, query, signal) {
  const filters = { from: query.get('from'), to: query.get('to') };
  const at = ['sources', source, 'edges', type];
  const { records, pages } = await page(path`/sources/${source}/v1/relationships/${type}`, at, filters, query, signal);
  if (records.length === 0) {
    return empty(filters.from || filters.to ? 'No edge is like that' : `No edges of ${type} yet`, 'Ids are compared whole.', `granary bulk ${type}.ndjson --source ${source} --wait`);
  }
  const columns = Object.keys(definition?.properties ?? {}).slice(0, COLUMNS);
  const rows = records.map((edge) => {
    const end = (name) => {
      const of = member(edge, name);
      const [profile, id] = [member(of, 'type').text, member(of, 'id').text];
      return h('td.nowrap', h('a', { href: link(['sources', source, 'data', profile, id]) }, id), ' ', h('span.muted.small', profile));
    };
    const id = member(edge, 'id').text;
    return h('tr', end('from'), end('to'),
      columns.map((name) => h('td', shownShort(member(member(edge, 'data'), name)))),
      h('td.muted.nowrap', time(member(member(edge, 'meta'), 'updatedAt').text)),
      h('td', h('a', { href: link([...at, id]), 'aria-label': `Edge ${id}` }, 'edge')));
  });
  return h('section.card', { 'aria-label': `Edges of ${type}` },
    table(`Edges of ${type}`, ['From', 'To', ...columns, 'Updated', ''], rows), pages);
}
