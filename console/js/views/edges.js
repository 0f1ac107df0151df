// One edge, with the records at its ends.

import { definitions, getText, path } from '../api.js';
import { h, put } from '../dom.js';
import { member, parse } from '../json.js';
import { marked } from '../marks.js';
import { fill } from '../parts.js';
import { link } from '../router.js';
import { fields, meta, nameOf } from './record.js';

export async function view({ source, type, id, place, signal }) {
  const content = h('div');
  put(place,
    h('div.title', h('p.crumb', h('a', { href: link(['sources', source, 'edges', type]) }, type)), h('h1', id)),
    content);
  await fill(content, signal, async () => {
    const { relationships, profiles } = await definitions(source, signal);
    const definition = relationships.find(({ key }) => key === type);
    const includes = definition ? [definition.from.includeKey, definition.to.includeKey].join(',') : null;
    const { text } = await getText(path`/sources/${source}/v1/relationships/${type}/${id}`, { includes }, signal);
    const node = parse(text);
    const included = member(node, 'includes');
    const end = (name) => {
      const of = member(node, name);
      const [profile, target] = [member(of, 'type').text, member(of, 'id').text];
      const record = member(included, profile)?.items.find((one) => member(one, 'id').text === target);
      const data = member(record, 'data');
      return h('section.card', { 'aria-label': name },
        h('h2', `${name} `, h('a', { href: link(['sources', source, 'data', profile, target]) }, target), ' ', h('span.tag', profile)),
        nameOf(data) && h('p.lead', nameOf(data)),
        data && fields(source, data, profiles.find(({ key }) => key === profile)?.properties));
    };
    const data = member(node, 'data');
    return [
      h('div.columns', end('from'), end('to')),
      data && h('section.card', h('h2', 'Data'), fields(source, data, definition?.properties)),
      meta(node),
      h('details.card', h('summary', 'As it is stored'), marked({ ...node, members: node.members.filter(({ name }) => name !== 'includes') }, [], `edge ${id} as JSON`)),
    ];
  });
}
