// Makes elements. Texts go in as text nodes, never as markup: there is no other way here.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('a.quiet', {href, onclick}, children…)`. `null` and `false` are left out. */
export function h(what, ...rest) {
  return filled(document.createElement(what.split('.')[0]), what, rest);
}

/** The same of SVG. */
export function s(what, ...rest) {
  return filled(document.createElementNS(SVG, what.split('.')[0]), what, rest);
}

function filled(element, what, rest) {
  const classes = what.split('.').slice(1);
  if (classes.length > 0) element.setAttribute('class', classes.join(' '));
  let children = rest;
  const first = rest[0];
  if (first && typeof first === 'object' && !Array.isArray(first) && !(first instanceof Node)) {
    children = rest.slice(1);
    for (const [name, value] of Object.entries(first)) set(element, name, value);
  }
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'class') element.setAttribute('class', `${element.getAttribute('class') ?? ''} ${value}`.trim());
  else if (name === 'value' || name === 'checked' || name === 'indeterminate') element[name] = value;
  else element.setAttribute(name, value === true ? '' : String(value));
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Puts these in place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** 28298 as `28,298`. */
export function number(n) {
  return whole.format(n);
}

/** 28298 as `28.3K`. */
export function compact(n) {
  return n < 10_000 ? whole.format(Math.round(n)) : short.format(n);
}

/** `1 record`, `2 records`. */
export function counted(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

export function bytes(n) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let at = 0;
  let left = n;
  while (left >= 1000 && at < units.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${left < 10 && at > 0 ? left.toFixed(1) : Math.round(left)} ${units[at]}`;
}

/** Seconds as people say them: `4 s`, `3 min`, `2 h 10 min`. */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 100) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** A moment as the reader's clock shows it; the exact one is in the title. */
export function time(text) {
  if (!text) return h('span.muted', '–');
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(text);
  const today = new Date().toDateString() === at.toDateString();
  const shown = today ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
  return h('time', { datetime: text, title: text }, shown);
}

/** At most so many characters, with … where some are left out. */
export function cut(text, max = 80) {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
