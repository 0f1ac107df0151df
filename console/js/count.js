// How many records a type has. The API has no count, so they are counted as they are listed: up to a bound by itself, and
// to the end where that is asked for. What was counted is kept for the tab.

import { path } from './api.js';
import { counted, h, number, put } from './dom.js';
import { countLines } from './streams.js';
import { announce } from './parts.js';

/** Up to so many records of a type are counted without being asked. */
export const COUNT_MAX = 20_000;
/** So many lists are counted at once. */
const AT_ONCE = 2;

const kept = new Map();
const waiting = [];
let running = 0;

function listOf(source, kind, type) {
  return kind === 'edges' ? path`/sources/${source}/v1/relationships/${type}` : path`/sources/${source}/v1/resources/${type}`;
}

/** Forgets what was counted: records were written. */
export function forgetCounts(source) {
  for (const name of kept.keys()) if (name.startsWith(`/sources/${encodeURIComponent(source)}/`)) kept.delete(name);
}

/** Counts a type in its turn. */
function counting(where, max, signal, tell) {
  return new Promise((resolve, reject) => {
    waiting.push(async () => {
      try {
        signal.throwIfAborted();
        const result = await countLines(where, max, signal, tell);
        kept.set(where, result);
        resolve(result);
      } catch (error) {
        reject(error);
      }
    });
    next();
  });
}

async function next() {
  if (running >= AT_ONCE || waiting.length === 0) return;
  running += 1;
  await waiting.shift()();
  running -= 1;
  next();
}

/** Shows how many records a type has, as soon as it is known. `tell(found, more)` is called with it. */
export function count(source, kind, type, signal, tell = () => {}) {
  const where = listOf(source, kind, type);
  const place = h('span.count', '…');
  const show = ({ found, more }) => {
    tell(found, more);
    if (!more) return put(place, h('span', { title: counted(found, 'record') }, number(found)));
    const button = h('button.link', { type: 'button', title: 'Count all of them', 'aria-label': `more than ${number(found)} ${type}; count all of them` }, `${number(found)}+`);
    button.addEventListener('click', async () => {
      button.disabled = true;
      let drawn = 0;
      const progress = (so) => {
        if (performance.now() - drawn < 150) return;
        drawn = performance.now();
        button.textContent = `${number(so)}…`;
      };
      await counting(where, Infinity, signal, progress).then(show, failed);
      announce(`counted ${type}`);
    });
    return put(place, button);
  };
  const failed = () => put(place, h('span.muted', { title: 'could not be counted' }, '–'));
  if (kept.has(where)) show(kept.get(where));
  else counting(where, COUNT_MAX, signal).then(show, failed);
  return place;
}
