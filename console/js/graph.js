// The types of a source as a graph: resources from left to right along their relationships, contained types under their
// parents. Each line says at either end what the relationship is called there, and how many one record may have.

import { h, s } from './dom.js';
import { link } from './router.js';

const NODE_WIDTH = 176;
const NODE_HEIGHT = 52;
const PORT = 34;
const STACK = 30;
const ROW_GAP = 34;
const LETTER = 6.6;
const SWEEPS = 6;

/** The roots in columns, so that most relationships go to the right; long ones get a place in each column they cross. */
function layout(roots, relationships) {
  const rank = new Map(roots.map((key) => [key, 0]));
  const out = new Map(roots.map((key) => [key, []]));
  const edges = relationships
    .filter(({ from, to }) => rank.has(from.profileKey) && rank.has(to.profileKey))
    .map((definition) => ({ definition, from: definition.from.profileKey, to: definition.to.profileKey, reversed: false }));
  for (const edge of edges) if (edge.from !== edge.to) out.get(edge.from).push(edge);
  // What would lead back is turned round for the layout.
  const state = new Map();
  const visit = (key) => {
    state.set(key, 'open');
    for (const edge of out.get(key)) {
      if (state.get(edge.to) === 'open') edge.reversed = true;
      else if (!state.has(edge.to)) visit(edge.to);
    }
    state.set(key, 'done');
  };
  const incoming = new Set(edges.filter((edge) => edge.from !== edge.to).map((edge) => edge.to));
  [...roots].sort((a, b) => Number(incoming.has(a)) - Number(incoming.has(b))).forEach((key) => state.has(key) || visit(key));
  const right = edges.filter((edge) => edge.from !== edge.to).map((edge) => (edge.reversed ? { edge, a: edge.to, b: edge.from } : { edge, a: edge.from, b: edge.to }));
  for (let round = 0; round < roots.length; round += 1) {
    let moved = false;
    for (const { a, b } of right) {
      if (rank.get(b) <= rank.get(a)) {
        rank.set(b, rank.get(a) + 1);
        moved = true;
      }
    }
    if (!moved) break;
  }
  const columns = [];
  const place = (item) => (columns[item.column] ??= []).push(item);
  const items = new Map(roots.map((key) => [key, { key, column: rank.get(key), near: [] }]));
  items.forEach(place);
  for (const { edge, a, b } of right) {
    let before = items.get(a);
    edge.way = [];
    for (let column = rank.get(a) + 1; column < rank.get(b); column += 1) {
      const passing = { column, near: [], height: PORT };
      place(passing);
      edge.way.push(passing);
      join(before, passing);
      before = passing;
    }
    join(before, items.get(b));
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 === 0 ? columns : [...columns].reverse()) {
      column.forEach((item, at) => {
        item.order = item.near.length > 0 ? item.near.reduce((sum, other) => sum + (other.at ?? 0), 0) / item.near.length : at;
      });
      column.sort((x, y) => x.order - y.order).forEach((item, at) => (item.at = at - column.length / 2));
    }
  }
  return { columns, items, edges };
}

function join(a, b) {
  a.near.push(b);
  b.near.push(a);
}

/** Contained types under a parent, depth first, each once. */
function inside(profile, byKey, depth = 1, seen = new Set([profile.key])) {
  const found = [];
  for (const [containKey, { types, cardinality }] of Object.entries(profile.contained ?? {})) {
    for (const type of types) {
      found.push({ type, containKey, cardinality, depth });
      if (!seen.has(type) && byKey.has(type)) found.push(...inside(byKey.get(type), byKey, depth + 1, new Set([...seen, type])));
    }
  }
  return found;
}

/** The graph. Names lead to their definitions. */
export function graph(source, profiles, relationships) {
  const byKey = new Map(profiles.map((profile) => [profile.key, profile]));
  const roots = profiles.filter((profile) => (profile.type ?? 'ROOT') === 'ROOT');
  const { columns, items, edges } = layout(roots.map(({ key }) => key), relationships);
  const width = Math.min(280, Math.max(NODE_WIDTH, ...profiles.map(({ key }) => key.length * 8 + 40)));
  for (const item of items.values()) {
    const touching = edges.filter(({ from, to }) => from === item.key || to === item.key);
    const side = (isRight) => touching.flatMap((edge) => portsOf(edge, item.key, isRight));
    item.right = side(true);
    item.left = side(false);
    item.box = Math.max(NODE_HEIGHT, Math.max(item.right.length, item.left.length) * PORT + 6);
    item.inside = inside(byKey.get(item.key), byKey);
    item.height = item.box + item.inside.length * STACK;
  }
  const labels = edges.map(({ definition: { from, to, key } }) => Math.max(
    (from.includeKey.length + to.includeKey.length + 9) * LETTER + 30, key.length * LETTER + 40));
  const gap = Math.min(440, Math.max(120, ...labels));
  const tall = Math.max(0, ...columns.map((column) => heightOf(column)));
  columns.forEach((column, at) => {
    let y = 16 + (tall - heightOf(column)) / 2;
    for (const item of column) {
      item.x = 16 + at * (width + gap);
      item.y = y;
      y += item.height + ROW_GAP;
    }
  });
  // Lines of one side are in the order of where they go, so that they do not cross at the box.
  for (const item of items.values()) {
    const goal = ({ edge, isFrom }) => {
      const way = edge.way ?? [];
      const forward = isFrom !== edge.reversed;
      const next = (forward ? way[0] : way.at(-1)) ?? items.get(isFrom ? edge.to : edge.from);
      return next.y;
    };
    for (const side of [item.right, item.left]) side.sort((x, y) => goal(x) - goal(y));
  }
  const total = { width: 32 + columns.length * width + Math.max(0, columns.length - 1) * gap, height: tall + 32 };
  const hasLoop = edges.some(({ from, to }) => from === to);
  if (hasLoop) total.width += gap * 0.75;
  const port = (edge, isFrom) => {
    const item = items.get(isFrom ? edge.from : edge.to);
    const onRight = item.right.findIndex((one) => one.edge === edge && one.isFrom === isFrom);
    const side = onRight >= 0 ? item.right : item.left;
    const at = onRight >= 0 ? onRight : item.left.findIndex((one) => one.edge === edge && one.isFrom === isFrom);
    return { x: onRight >= 0 ? item.x + width : item.x, y: item.y + (item.box * (at + 0.5)) / side.length, right: onRight >= 0 };
  };
  const drawnEdges = edges.map((edge) => drawEdge(source, edge, port(edge, true), port(edge, false), width, gap));
  const drawnNodes = [...items.values()].map((item) => drawNode(source, byKey.get(item.key), item, width));
  const svg = s('svg.graph', { width: total.width, height: total.height, viewBox: `0 0 ${total.width} ${total.height}`, role: 'group', 'aria-label': `Types of ${source} and the relationships between them` },
    s('defs', s('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto-start-reverse' }, s('path.arrow', { d: 'M0 0.5 7.5 4 0 7.5z' }))),
    drawnEdges, drawnNodes);
  return h('div.scroll.graph-frame', { tabindex: '0', role: 'group', 'aria-label': 'Graph of types' }, svg);
}

function heightOf(column) {
  return column.reduce((sum, item) => sum + item.height + ROW_GAP, -ROW_GAP);
}

/** The ends of an edge that are at this side of a node. */
function portsOf(edge, key, isRight) {
  if (edge.from === edge.to) return isRight ? [{ edge, isFrom: true }, { edge, isFrom: false }] : [];
  const isFrom = edge.from === key;
  return (isFrom !== edge.reversed) === isRight ? [{ edge, isFrom }] : [];
}

function drawEdge(source, edge, from, to, width, gap) {
  const { definition } = edge;
  let points = [from, ...(edge.way ?? []).flatMap(({ x, y }) => [{ x, y: y + PORT / 2 }, { x: x + width, y: y + PORT / 2 }]), to];
  if (edge.reversed) points = [from, ...points.slice(1, -1).reverse(), to];
  let d = `M${from.x} ${from.y}`;
  if (edge.from === edge.to) {
    const far = from.x + gap * 0.75;
    d += `C${far} ${from.y} ${far} ${to.y} ${to.x} ${to.y}`;
  } else {
    for (let at = 1; at < points.length; at += 1) {
      const [a, b] = [points[at - 1], points[at]];
      const mid = (a.x + b.x) / 2;
      d += `C${mid} ${a.y} ${mid} ${b.y} ${b.x} ${b.y}`;
    }
  }
  const end = ({ x, y, right }, { includeKey, includeCardinality }) =>
    s('text.end', { x: right ? x + 8 : x - 10, y: y - 6, 'text-anchor': right ? 'start' : 'end' },
      s('tspan', `${includeKey} `), s('tspan.cardinality', includeCardinality));
  const { from: of, to: on } = definition;
  // What is seen comes first.
  const said = `${of.includeKey} ${of.includeCardinality} ${on.includeKey} ${on.includeCardinality}, relationship ${definition.key} from ${of.profileKey} to ${on.profileKey}`;
  return s('a.edge', { href: link(['sources', source, 'relationship-definitions', definition.key]), 'aria-label': said },
    s('title', definition.description ? `${definition.key}: ${definition.description}` : definition.key),
    s('path.hit', { d }), s('path.wire', { d, 'marker-end': 'url(#arrow)' }), end(from, of), ' ', end(to, on));
}

function drawNode(source, profile, item, width) {
  const { key } = profile;
  const properties = Object.keys(profile.properties ?? {}).length;
  const size = `${properties} ${properties === 1 ? 'property' : 'properties'}`;
  const rows = item.inside.map(({ type, containKey, cardinality, depth }, at) => {
    const y = item.y + item.box + at * STACK;
    const x = item.x + 10 + depth * 12;
    return s('a.part', { href: link(['sources', source, 'profiles', type]), 'aria-label': `${key} contains ${containKey} ${cardinality}: ${type}` },
      s('rect', { x, y: y + 4, width: item.x + width - x, height: STACK - 4, rx: 5 }),
      s('text', { x: x + 8, y: y + 21 }, s('tspan', `${containKey} `), s('tspan.cardinality', cardinality)),
      s('title', `contained: ${type}`));
  });
  return s('g.node', rows, s('a', { href: link(['sources', source, 'profiles', key]), 'aria-label': `${key} ${size}, profile` },
    s('title', profile.description ?? key),
    s('rect.box', { x: item.x, y: item.y, width, height: item.box, rx: 8 }),
    s('text.name', { x: item.x + 14, y: item.y + item.box / 2 - 3 }, key), ' ',
    s('text.sub', { x: item.x + 14, y: item.y + item.box / 2 + 14 }, size)));
}
