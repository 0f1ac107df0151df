// A source: its types as a graph, and as a list.

import { definitions } from '../api.js';
import { count } from '../count.js';
import { h, put } from '../dom.js';
import { graph } from '../graph.js';
import { empty, fill, table } from '../parts.js';
import { link } from '../router.js';

export async function view({ source, place, signal }) {
  const content = h('div');
  put(place, h('h1', source), content);
  await fill(content, signal, async () => {
    const { profiles, relationships } = await definitions(source, signal);
    const make = h('div.row',
      h('a.button', { href: link(['sources', source, 'profiles', 'new'], { new: 1 }) }, 'New profile'),
      h('a.button', { href: link(['sources', source, 'relationship-definitions', 'new'], { new: 1 }) }, 'New relationship definition'));
    if (profiles.length === 0) {
      return empty('This source has no types yet', 'A profile is the schema of one type of record; a relationship definition joins two of them.',
        `granary profile apply -f provider.json --source ${source}`, make);
    }
    return [
      h('section.card', { 'aria-labelledby': 'graph' },
        h('div.card-head', h('h2', { id: 'graph' }, 'Types and relationships'), make),
        graph(source, profiles, relationships),
        h('p.muted.small', 'Read a line from either end: what the relationship is called there, and how many of it one record may have. What a type contains stands under it.')),
      h('section.card', { 'aria-labelledby': 'profiles' }, h('h2', { id: 'profiles' }, 'Profiles'),
        table('Profiles', ['Profile', 'Type', { title: 'Description', spare: true }, { title: 'Properties', number: true }, { title: 'Revision', number: true }, { title: 'Records', number: true }], profiles.map((profile) => profileRow(source, profile, signal)))),
      h('section.card', { 'aria-labelledby': 'definitions' }, h('h2', { id: 'definitions' }, 'Relationship definitions'),
        relationships.length === 0
          ? empty('No relationships', 'A relationship definition says which two profiles an edge joins, and how many at each end.', `granary relationship-definition apply -f works-at.json --source ${source}`)
          : table('Relationship definitions', ['Relationship', 'From', 'To', { title: 'Description', spare: true }, { title: 'Edges', number: true }], relationships.map((definition) => definitionRow(source, definition, signal)))),
    ];
  });
}

function profileRow(source, profile, signal) {
  const isRoot = (profile.type ?? 'ROOT') === 'ROOT';
  return h('tr',
    h('td.nowrap', h('a', { href: link(['sources', source, 'profiles', profile.key]) }, profile.key)),
    h('td', h('span.tag', isRoot ? 'root' : 'contained')),
    h('td.muted.spare', profile.description ?? ''),
    h('td.right', Object.keys(profile.properties ?? {}).length),
    h('td.right', profile.revision),
    h('td.right', isRoot ? count(source, 'data', profile.key, signal) : h('span.muted', '–')));
}

function end(source, { profileKey, includeKey, includeCardinality }) {
  return [h('a', { href: link(['sources', source, 'profiles', profileKey]) }, profileKey), ' ', h('code', includeKey), ' ', h('span.cardinality', includeCardinality)];
}

function definitionRow(source, definition, signal) {
  return h('tr',
    h('td.nowrap', h('a', { href: link(['sources', source, 'relationship-definitions', definition.key]) }, definition.key)),
    h('td.nowrap', end(source, definition.from)),
    h('td.nowrap', end(source, definition.to)),
    h('td.muted.spare', definition.description ?? ''),
    h('td.right', count(source, 'edges', definition.key, signal)));
}
