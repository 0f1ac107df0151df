// One record: its data, what it contains, its meta, and its edges in both directions.

import { definitions, get, getText, path } from '../api.js';
import { cut, h, put, time } from '../dom.js';
import { member, parse } from '../json.js';
import { marked } from '../marks.js';
import { empty, fill } from '../parts.js';
import { link } from '../router.js';

/** So many edges of a type are shown beside a record. */
const EDGES_SHOWN = 12;
/** Properties that may say what a record is called. */
const NAMES = ['name', 'title', 'label', 'display', 'designation'];

export async function view({ source, type, id, place, signal }) {
  const content = h('div');
  put(place,
    h('div.title',
      h('p.crumb', h('a', { href: link(['sources', source, 'data', type]) }, type)),
      h('h1', id)),
    content);
  await fill(content, signal, async () => {
    const [{ text }, { profiles, relationships }] = await Promise.all([
      getText(path`/sources/${source}/v1/resources/${type}/${id}`, {}, signal),
      definitions(source, signal),
    ]);
    const node = parse(text);
    const realId = member(node, 'id').text;
    const byKey = new Map(profiles.map((profile) => [profile.key, profile]));
    const name = nameOf(member(node, 'data'));
    return [
      name && h('p.lead', name),
      h('div.columns.record',
        h('div',
          h('section.card', { 'aria-labelledby': 'data' }, h('h2', { id: 'data' }, 'Data'), fields(source, member(node, 'data'), byKey.get(type)?.properties)),
          contained(source, member(node, 'contained'), byKey, 2),
          h('details.card', h('summary', 'As it is stored'), marked(node, [], `${type} ${realId} as JSON`))),
        h('div',
          edgesOf(source, type, realId, relationships, signal),
          meta(node))),
    ];
  });
}

/** What a record is called, where it has such a property. */
export function nameOf(data) {
  for (const name of NAMES) {
    const found = member(data, name);
    if (found?.kind === 'string') return found.text;
    const text = member(found, 'text');
    if (text?.kind === 'string') return text.text;
  }
  return null;
}

/** Properties with their values, nested as they are. */
export function fields(source, data, properties = {}) {
  if (!data || data.members.length === 0) return h('p.muted', 'nothing');
  return h('dl.fields', data.members.map(({ name, value }) => h('div',
    h('dt', { title: properties?.[name]?.description ?? null }, name),
    h('dd', shown(source, value, properties?.[name])))));
}

function shown(source, node, property) {
  if (node.kind === 'object') {
    const [type, id] = [member(node, 'type'), member(node, 'id')];
    if (property?.type === 'reference' && type?.kind === 'string' && id?.kind === 'string') {
      return h('a', { href: link(['sources', source, 'data', type.text, id.text]) }, `${type.text} ${id.text}`);
    }
    return fields(source, node, property?.properties);
  }
  if (node.kind === 'array') {
    if (node.items.length === 0) return h('span.muted', 'none');
    const simple = node.items.every((item) => item.kind !== 'object' && item.kind !== 'array');
    return h(`ul.plain${simple ? '.inline' : ''}`, node.items.map((item) => h('li', shown(source, item, property?.items))));
  }
  if (node.kind === 'string') return node.text === '' ? h('span.muted', 'empty text') : h('span.text', node.text);
  return h(`span.${node.kind === 'number' ? 'tabular' : 'word'}`, node.text);
}

function contained(source, node, byKey, level) {
  return (node?.members ?? []).map(({ name, value }) => h(level === 2 ? 'section.card.contained' : 'div.contained', { role: level === 2 ? null : 'group', 'aria-label': `contained ${name}` },
    h(`h${Math.min(level, 6)}`, name, ' ', h('span.muted', value.items.length)),
    value.items.map((item) => {
      const type = member(item, 'type').text;
      return h('div.part',
        h('p.part-head', h('code', member(item, 'id').text), ' ', h('a.tag', { href: link(['sources', source, 'profiles', type]) }, type)),
        fields(source, member(item, 'data'), byKey.get(type)?.properties),
        contained(source, member(item, 'contained'), byKey, level + 1));
    })));
}

export function meta(node) {
  const of = member(node, 'meta');
  const identifiers = member(of, 'identifier')?.items ?? [];
  return h('section.card', { 'aria-labelledby': 'meta' }, h('h2', { id: 'meta' }, 'Meta'),
    h('dl.fields',
      h('div', h('dt', 'version'), h('dd.tabular', member(of, 'version').text)),
      h('div', h('dt', 'created'), h('dd', time(member(of, 'createdAt').text))),
      h('div', h('dt', 'updated'), h('dd', time(member(of, 'updatedAt').text))),
      identifiers.length > 0 && h('div', h('dt', 'identifiers'), h('dd', h('ul.plain', identifiers.map((identifier) => {
        const part = (name) => member(identifier, name)?.text ?? '';
        return h('li', h('code', part('value')), ' ', h('span.muted.small', [part('use'), part('system')].filter(Boolean).join(' · ')));
      }))))));
}

function edgesOf(source, type, id, relationships, signal) {
  const ends = relationships.flatMap((definition) => [
    definition.from.profileKey === type && { definition, end: 'from', other: 'to' },
    definition.to.profileKey === type && { definition, end: 'to', other: 'from' },
  ]).filter(Boolean);
  return h('section.card', { 'aria-labelledby': 'edges' }, h('h2', { id: 'edges' }, 'Relationships'),
    ends.length === 0
      ? empty('No relationships', `No relationship definition names ${type}.`)
      : ends.map((one) => edgesOfEnd(source, id, one, signal)));
}

function edgesOfEnd(source, id, { definition, end, other }, signal) {
  const list = h('div');
  fill(list, signal, async () => {
    const page = await get(path`/sources/${source}/v1/relationships/${definition.key}`, { [end]: id, limit: EDGES_SHOWN }, signal);
    if (page.data.length === 0) return h('p.muted.small', 'none');
    return [
      h('ul.plain.walk', page.data.map((edge) => {
        const target = edge[other];
        const label = h('span.muted');
        named(source, target, label, signal);
        return h('li',
          h('a', { href: link(['sources', source, 'data', target.type, target.id]) }, target.id), ' ', label,
          h('a.small.quiet-link', { href: link(['sources', source, 'edges', definition.key, edge.id]), 'aria-label': `Edge ${edge.id}` }, 'edge'));
      })),
      page.meta.cursor && h('p', h('a', { href: link(['sources', source, 'edges', definition.key], { [end]: id }) }, `more than ${EDGES_SHOWN}: show them all`)),
    ];
  });
  const arrow = end === 'from' ? '→' : '←';
  return h('div.direction',
    h('h3', definition[end].includeKey, ' ', h('span.cardinality', definition[end].includeCardinality), ' ',
      h('span.muted.small', h('span', { 'aria-hidden': 'true' }, arrow), ` ${definition[other].profileKey} by ${definition.key}`)),
    list);
}

/** What the record at the other end is called. */
async function named(source, { type, id }, label, signal) {
  try {
    const { text } = await getText(path`/sources/${source}/v1/resources/${type}/${id}`, {}, signal);
    const name = nameOf(member(parse(text), 'data'));
    if (name) label.textContent = cut(name, 48);
  } catch {
    // Its id says enough.
  }
}
