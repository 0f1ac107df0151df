// JSON as lines, with faults marked at their place and told under their line.

import { h, number, put } from './dom.js';
import { find, lineOf, parse, pretty } from './json.js';

/** Lines shown around a fault where not all are. */
const AROUND = 6;
/** Up to so many lines all are shown. */
const LINES_MAX = 200;
/** The most that is ever put into the page. */
const LINES_SHOWN_MAX = 2_000;

const TOKEN = /"(?:\\.|[^"\\])*"(\s*:)?|-?\d[\d.eE+-]*|true|false|null|[^"\d-]+|[\s\S]/g;

/**
 * Where a fault stands in a text: its range, and whether what it points to is missing. A value over several lines is
 * marked at its beginning.
 */
export function placeOf(root, text, fault) {
  const found = find(root, fault.path ?? '');
  const { node, member } = found;
  if (found.whole && fault.rule === 'unknown' && member) return { from: member.nameFrom, to: member.nameTo, missing: false };
  const isLarge = (node.kind === 'object' || node.kind === 'array') && text.slice(node.from, node.to).includes('\n');
  if (!found.whole) {
    const from = member ? member.nameFrom : node.from;
    return { from, to: isLarge ? node.from + 1 : node.to, missing: true };
  }
  if (isLarge) return { from: member ? member.nameFrom : node.from, to: node.from + 1, missing: false };
  return { from: node.from, to: node.to, missing: false };
}

/** A value, with its faults: `{path, message, rule?}`. */
export function marked(node, faults = [], label = 'JSON') {
  const text = pretty(node);
  const root = parse(text);
  const places = faults.map((fault) => ({ ...placeOf(root, text, fault), fault }));
  const lines = text.split('\n');
  const byLine = new Map();
  for (const place of places) {
    const line = lineOf(text, place.from) - 1;
    byLine.set(line, [...(byLine.get(line) ?? []), place]);
  }
  const list = h('ol.code', { 'aria-label': label, tabindex: '0' });
  const shownAll = lines.length <= LINES_MAX;
  draw(list, lines, byLine, shownAll);
  return list;
}

function draw(list, lines, byLine, all) {
  put(list);
  const marks = [...byLine.keys()];
  const near = (line) => line < AROUND || marks.some((mark) => Math.abs(mark - line) <= AROUND);
  let offset = 0;
  let hidden = 0;
  let shown = 0;
  const gap = () => {
    if (hidden === 0) return;
    const text = `${number(hidden)} lines are not shown`;
    const more = all || lines.length > LINES_SHOWN_MAX
      ? h('span.muted', text)
      : h('button.link', { type: 'button', onclick: () => draw(list, lines, byLine, true) }, `${text}; show all`);
    list.append(h('li.gap', more));
    hidden = 0;
  };
  lines.forEach((line, at) => {
    if (shown < LINES_SHOWN_MAX && (all || near(at))) {
      gap();
      shown += 1;
      const places = byLine.get(at) ?? [];
      const row = h('li', { value: at + 1, class: places.length > 0 ? 'faulty' : '' }, h('span.line', tokens(line, offset, places)));
      for (const { fault, missing } of places) {
        row.append(h('div.note', { role: 'note' },
          h('span.note-place', missing ? `${fault.path} is missing: ` : fault.path ? `${fault.path}: ` : ''), fault.message));
      }
      list.append(row);
    } else hidden += 1;
    offset += line.length + 1;
  });
  gap();
}

function tokens(line, offset, places) {
  const made = [];
  for (const found of line.matchAll(TOKEN)) {
    const from = offset + found.index;
    const to = from + found[0].length;
    const isFault = places.some((place) => from < place.to && to > place.from);
    const kind = found[1] !== undefined ? 'name' : kindOf(found[0]);
    if (isFault && found[1] !== undefined) {
      made.push(h('mark.t-name', found[0].slice(0, -found[1].length)), found[1]);
    } else if (isFault && found[0].trim()) made.push(h(`mark.t-${kind}`, found[0]));
    else made.push(kind === 'plain' ? found[0] : h(`span.t-${kind}`, found[0]));
  }
  return made.length > 0 ? made : ' ';
}

function kindOf(token) {
  if (token.startsWith('"')) return 'string';
  if (/^-?\d/.test(token)) return 'number';
  return /^(true|false|null)$/.test(token) ? 'word' : 'plain';
}

/**
 * The faults of an error as they stand in an operation: those it tells of with pointers; where it tells of none, what its
 * message is about.
 */
export function faultsOf(error, operation) {
  if (!error) return [];
  const told = (error.details ?? []).filter((detail) => typeof detail.path === 'string');
  if (told.length > 0) return told;
  const { path, message } = split(error.message ?? '');
  if (path !== null) return [{ path, message }];
  const payload = operation?.kind === 'object' ? operation.members.find(({ name }) => name !== 'action')?.name : null;
  if (!payload) return [{ path: '', message }];
  const end = /^(from|to): /.exec(message);
  const isAboutId = error.type === 'ALREADY_EXISTS' || error.type === 'NOT_FOUND';
  const about = end ? `/${end[1]}` : isAboutId && find(operation, `/${payload}/id`).whole ? '/id' : '';
  return [{ path: `/${payload}${about}`, message }];
}

/** A message whose pointer stands in front of it: `3 faults, the first at /create/data/name: …`. */
export function split(message) {
  const found = /^(?:\d+ faults, the first at )?(\/[^:]*): ([\s\S]*)$/.exec(message);
  return found ? { path: found[1], message: found[2] } : { path: null, message };
}
