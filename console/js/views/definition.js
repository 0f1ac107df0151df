// One profile or relationship definition: read, and edited.

import { call, getText, path } from '../api.js';
import { h, number, put, time } from '../dom.js';
import { inline, member, parse, pretty } from '../json.js';
import { confirmed, empty, errorBox, field, fill, table } from '../parts.js';
import { go, link } from '../router.js';
import { editor } from './editor.js';

/** What the server adds, and does not take. */
const OF_SERVER = ['key', 'revision', 'createdAt', 'updatedAt'];
const TEMPLATES = {
  profiles: '{\n  "description": "",\n  "properties": {\n    "name": { "type": "symbol", "rules": [{ "required": true }] }\n  }\n}\n',
  'relationship-definitions': '{\n  "from": { "profileKey": "", "includeKey": "", "includeCardinality": "0:*" },\n  "to": { "profileKey": "", "includeKey": "", "includeCardinality": "0:*" }\n}\n',
};
const CALLED = { profiles: 'profile', 'relationship-definitions': 'relationship definition' };

export async function view({ source, kind, key, query, place, signal }) {
  if (key === 'new' && query.has('new')) {
    writeNew(source, kind, place);
    return;
  }
  const where = path`/sources/${source}/v1/` + kind + path`/${key}`;
  const content = h('div');
  put(place, heading(source, kind, key, query), content);
  await fill(content, signal, async () => {
    const { text, tag } = await getText(where, {}, signal);
    const node = parse(text);
    return query.has('edit') ? edited(source, kind, key, where, node, tag) : read(source, kind, node);
  });
}

function heading(source, kind, key, query) {
  const at = ['sources', source, kind, key];
  return h('div.title',
    h('p.crumb', h('a', { href: link(['sources', source]) }, source), ` / ${CALLED[kind]}`),
    h('h1', key),
    h('div.row',
      query.has('edit') ? h('a.button', { href: link(at) }, 'Read') : h('a.button', { href: link(at, { edit: 1 }) }, 'Edit'),
      h('a.button', { href: link(['sources', source, kind === 'profiles' ? 'data' : 'edges', key]) }, kind === 'profiles' ? 'Records' : 'Edges')));
}

function withoutServers(node) {
  return { ...node, members: node.members.filter(({ name }) => !OF_SERVER.includes(name)) };
}

function edited(source, kind, key, where, node, tag) {
  let condition = tag;
  const remove = h('button.quiet.danger', {
    type: 'button',
    onclick: async () => {
      if (!(await confirmed(`Delete ${key}?`, `It is refused while records, other definitions or running tasks need it.`, 'Delete'))) return;
      try {
        await call('DELETE', where);
        go(link(['sources', source]));
      } catch (error) {
        put(trouble, errorBox(error, 'Nothing was deleted'));
      }
    },
  }, 'Delete');
  const trouble = h('div');
  const made = editor({
    text: `${pretty(withoutServers(node))}\n`,
    label: `${CALLED[kind]} ${key} as JSON`,
    note: remove,
    save: async (text) => {
      const response = await call('PUT', where, { body: text, headers: { 'content-type': 'application/json', ...(condition ? { 'if-match': condition } : {}) } });
      const saved = await response.json();
      condition = response.headers.get('etag') ?? (await getText(where)).tag;
      return `Saved as revision ${saved.revision}. It judges later writes; stored records stay as they are.`;
    },
  });
  return h('section.card', trouble, made);
}

function writeNew(source, kind, place) {
  const input = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', maxlength: 62 });
  put(place,
    h('div.title', h('p.crumb', h('a', { href: link(['sources', source]) }, source)), h('h1', `New ${CALLED[kind]}`)),
    h('section.card',
      field('Key', input, '1 to 62 of A-Z a-z 0-9 _ -, such as provider'),
      editor({
        text: TEMPLATES[kind],
        label: `${CALLED[kind]} as JSON`,
        save: async (text) => {
          const key = input.value.trim();
          if (!key) {
            input.focus();
            throw new Error('it has no key; write one above');
          }
          const where = path`/sources/${source}/v1/` + kind + path`/${key}`;
          await call('PUT', where, { body: text, headers: { 'content-type': 'application/json', 'if-none-match': '*' } });
          go(link(['sources', source, kind, key]));
          return 'Saved.';
        },
      })));
}

function textOf(node, name) {
  return member(node, name)?.text ?? '';
}

function read(source, kind, node) {
  const facts = [
    ['Revision', textOf(node, 'revision')],
    ['Last changed', time(textOf(node, 'updatedAt'))],
    kind === 'profiles' && ['Type', (textOf(node, 'type') || 'ROOT').toLowerCase()],
  ].filter(Boolean);
  const properties = member(node, 'properties');
  const rows = properties ? [...propertyRows(properties, '')] : [];
  return [
    textOf(node, 'description') && h('p.lead', textOf(node, 'description')),
    h('dl.facts', facts.map(([name, value]) => h('div', h('dt', name), h('dd', value)))),
    kind === 'relationship-definitions' && ends(source, node),
    h('section.card', { 'aria-labelledby': 'properties' },
      h('h2', { id: 'properties' }, 'Properties ', h('span.muted', number(rows.length))),
      rows.length > 0
        ? table('Properties', ['Property', 'Type', 'Rules', 'Description'], rows)
        : empty('No properties', kind === 'profiles' ? 'Records of this profile hold no data of their own.' : 'Edges of this type hold no data of their own.')),
    contained(source, node),
  ];
}

function* propertyRows(properties, prefix) {
  for (const { name, value } of properties.members ?? []) {
    const full = `${prefix}${name}`;
    const items = member(value, 'items');
    const type = textOf(value, 'type');
    const shownType = type === 'array' ? `${textOf(items, 'type')}[]` : type;
    yield h('tr',
      h('td', h('code', full)),
      h('td', shownType ? h('span.tag', shownType) : ''),
      h('td', rules(value), items && rules(items), binding(value), items && binding(items)),
      h('td.muted.description', textOf(value, 'description')));
    const inner = member(value, 'properties') ?? member(items, 'properties');
    if (inner) yield* propertyRows(inner, `${full}${type === 'array' ? '[]' : ''}.`);
  }
}

function rules(property) {
  const list = member(property, 'rules');
  if (list?.kind !== 'array') return null;
  return list.items.map((rule) => {
    const when = member(rule, 'when');
    const said = (rule.members ?? []).filter(({ name }) => name !== 'when').map(({ name, value }) =>
      h('span.rule', name === 'required' && value.text === 'true' ? 'required' : [`${name} `, h('code', value.kind === 'string' ? value.text : inline(value))]));
    return [said, when && h('span.rule.when', 'when ', h('code', inline(when)))];
  });
}

function binding(property) {
  const vocabulary = member(member(property, 'binding'), 'vocabulary');
  return vocabulary && h('span.rule', `${textOf(vocabulary, 'strength')} code of `, h('code', textOf(vocabulary, 'key')));
}

function contained(source, node) {
  const all = member(node, 'contained')?.members ?? [];
  if (all.length === 0) return null;
  const rows = all.map(({ name, value }) => h('tr',
    h('td', h('code', name)),
    h('td', (member(value, 'types')?.items ?? []).map(({ text }) => h('a', { href: link(['sources', source, 'profiles', text]) }, text))),
    h('td', h('span.cardinality', textOf(value, 'cardinality')))));
  return h('section.card', { 'aria-labelledby': 'contained' }, h('h2', { id: 'contained' }, 'Contained resources'),
    table('Contained resources', ['Key', 'Profiles', 'How many'], rows));
}

function ends(source, node) {
  const rows = ['from', 'to'].map((end) => {
    const of = member(node, end);
    const profile = textOf(of, 'profileKey');
    return h('tr', h('th', { scope: 'row' }, end),
      h('td', h('a', { href: link(['sources', source, 'profiles', profile]) }, profile)),
      h('td', h('code', textOf(of, 'includeKey'))),
      h('td', h('span.cardinality', textOf(of, 'includeCardinality'))));
  });
  return h('section.card', { 'aria-labelledby': 'ends' }, h('h2', { id: 'ends' }, 'Ends'),
    table('Ends', ['End', 'Profile', 'Called from here', 'How many of it one record may have'], rows));
}
