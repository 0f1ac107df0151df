// The overview: sources, records by type, tasks now, operations a second.

import { all, call, definitions, get, key, path } from '../api.js';
import { LiveChart } from '../chart.js';
import { count, forgetCounts } from '../count.js';
import { counted, h, number, put, time } from '../dom.js';
import { countsBar, empty, errorBox, fill, kindOf, pause, statusChip, table } from '../parts.js';
import { link } from '../router.js';

/** So many sources are shown with their types. */
const SOURCES_MAX = 30;
/** So many types of a source. */
const TYPES_MAX = 12;
const EVERY_MS = 1000;
const TASKS_SHOWN = 8;
const OF_ALL = 'Operations of tasks that this server has applied.';
const OF_SOURCES = 'Operations of the tasks of your sources.';
const CREATE = "curl -X PUT localhost:8080/catalog/v1/sources/clinic -H 'content-type: application/json' -d '{\"type\":\"registry\"}'";

export async function view({ place, signal }) {
  const chart = new LiveChart('operations a second');
  const sourcesPlace = h('div');
  const tasksPlace = h('div', { 'aria-live': 'off' });
  const note = h('p.muted.small', OF_ALL);
  put(place,
    h('h1', 'Overview'),
    h('div.columns',
      h('section.card', { 'aria-labelledby': 'tasks-now' }, h('h2', { id: 'tasks-now' }, 'Tasks now'), tasksPlace),
      h('section.card', { 'aria-labelledby': 'rate' }, h('h2', { id: 'rate' }, 'Operations'), chart.element, note)),
    h('section', { 'aria-labelledby': 'sources' }, h('h2', { id: 'sources' }, 'Sources'), sourcesPlace));
  let sources = [];
  await fill(sourcesPlace, signal, async () => {
    sources = await all('/catalog/v1/sources', signal);
    if (sources.length === 0) {
      return empty('There is no source yet', 'A source holds profiles, records and tasks. Create one, then its first profile; or see it all on real data with `granary demo`.', CREATE);
    }
    const shown = sources.slice(0, SOURCES_MAX);
    return [
      h('div.grid', shown.map((source) => card(source, signal))),
      sources.length > shown.length && h('ul.plain.inline', sources.slice(SOURCES_MAX).map(({ key }) => h('li', h('a', { href: link(['sources', key]) }, key)))),
    ];
  });
  const keys = sources.slice(0, SOURCES_MAX).map(({ key }) => key);
  watch(keys, tasksPlace, chart, note, signal);
}

function card(source, signal) {
  const { key } = source;
  const place = h('div');
  fill(place, signal, async () => {
    const { profiles, relationships } = await definitions(key, signal);
    const roots = profiles.filter((profile) => (profile.type ?? 'ROOT') === 'ROOT');
    if (roots.length === 0) {
      return empty('No types yet', 'A profile is the schema of one type of record.', null, h('a.button', { href: link(['sources', key, 'profiles', 'new'], { new: 1 }) }, 'Write the first profile'));
    }
    const types = [
      ...roots.map((profile) => ['data', profile.key]),
      ...relationships.map((definition) => ['edges', definition.key]),
    ];
    const rows = types.slice(0, TYPES_MAX).map(([kind, type]) => h('tr',
      h('td', h('a', { href: link(['sources', key, kind, type]) }, type)),
      h('td.muted', kind === 'edges' ? 'relationships' : 'resources'),
      h('td.right', count(key, kind, type, signal))));
    return [
      table(`Records of ${key} by type`, ['Type', 'Kind', { title: 'Records', number: true }], rows),
      types.length > TYPES_MAX && h('p.muted', h('a', { href: link(['sources', key]) }, `${types.length - TYPES_MAX} more types`)),
    ];
  });
  return h('article.card', { 'aria-label': `Source ${key}` },
    h('div.card-head',
      h('h3', h('a', { href: link(['sources', key]) }, key)),
      h('span.muted.small', 'since ', time(source.createdAt)),
      h('a.button', { href: link(['sources', key, 'upload']), 'aria-label': `Upload to ${key}` }, 'Upload')),
    place);
}

/** Tasks and rate, again and again. */
async function watch(sources, place, chart, note, signal) {
  const seen = { applied: null, at: null, isOfAll: true, refusedKey: undefined, done: new Map(), doneInAll: 0, running: 0 };
  do {
    try {
      const [tasks, applied] = await Promise.all([tasksNow(sources, signal), operationsApplied(seen, signal)]);
      if (signal.aborted) return;
      showTasks(place, tasks);
      // A task has ended: what was counted is not so any more.
      const running = tasks.filter(({ task }) => task.status === 'PENDING');
      if (seen.running > running.length) sources.forEach(forgetCounts);
      seen.running = running.length;
      const total = applied ?? doneOf(tasks, seen);
      const isOfAll = applied !== null;
      put(note, isOfAll ? OF_ALL : OF_SOURCES);
      const now = performance.now();
      if (seen.applied !== null && seen.isOfAll === isOfAll) chart.push(((total - seen.applied) * 1000) / (now - seen.at));
      seen.applied = total;
      seen.isOfAll = isOfAll;
      seen.at = now;
    } catch (error) {
      if (signal.aborted) return;
      put(place, errorBox(error));
      // Without a right to it, asking again does not help.
      if (error.status === 401 || error.status === 403) return;
    }
  } while (await pause(Math.max(EVERY_MS, sources.length * 100), signal));
}

/** What the tasks that were seen have done, for keys that may not read the metrics of all sources. Those seen last are kept. */
function doneOf(tasks, seen) {
  const before = seen.done;
  seen.done = new Map(tasks.map(({ task }) => [task.taskId, task.counts.total - task.counts.pending]));
  for (const [id, done] of seen.done) seen.doneInAll += done - (before.get(id) ?? 0);
  return seen.doneInAll;
}

/** Operations that this server has applied since it began; `null` where the key is not for all sources. */
async function operationsApplied(seen, signal) {
  const sent = key();
  if (seen.refusedKey === sent) return null;
  try {
    const text = await (await call('GET', '/metrics', { signal })).text();
    const found = /^granary_operations_applied_total (\d+)/m.exec(text);
    return found ? Number(found[1]) : null;
  } catch (error) {
    if (error.status !== 403) throw error;
    seen.refusedKey = sent;
    return null;
  }
}

/** The tasks that have not ended, and the last that have. */
async function tasksNow(sources, signal) {
  const found = await Promise.all(sources.map(async (source) => {
    const page = await get(path`/sources/${source}/v1/tasks`, { limit: TASKS_SHOWN }, signal).catch((error) => {
      // It was deleted meanwhile.
      if (error.status === 404) return { data: [] };
      throw error;
    });
    const first = page.data.at(-1);
    // Where many came since, an older one may still run.
    const more = first && page.data.length === TASKS_SHOWN
      ? (await get(path`/sources/${source}/v1/tasks`, { status: 'PENDING', limit: TASKS_SHOWN }, signal)).data
      : [];
    const known = new Set(page.data.map((task) => task.taskId));
    return [...page.data, ...more.filter((task) => !known.has(task.taskId))].map((task) => ({ source, task }));
  }));
  const isRunning = ({ task }) => Number(task.status === 'PENDING');
  return found.flat().sort((a, b) => isRunning(b) - isRunning(a) || b.task.createdAt.localeCompare(a.task.createdAt));
}

function showTasks(place, tasks) {
  if (tasks.length === 0) {
    put(place, empty('No tasks yet', 'A bulk request becomes a task. Drop a file under Upload, or send one from the command line.', 'granary bulk providers.ndjson --source clinic --type provider --wait'));
    return;
  }
  const running = tasks.filter(({ task }) => task.status === 'PENDING').length;
  const rows = tasks.slice(0, TASKS_SHOWN).map(({ source, task }) => h('tr',
    h('td', h('a', { href: link(['sources', source, 'tasks', task.taskId]), 'aria-label': `Task ${task.taskId} of ${source}` }, source)),
    h('td.muted.nowrap', kindOf(task)),
    h('td', statusChip(task)),
    h('td.wide', countsBar(task.counts)),
    h('td.right', number(task.counts.total)),
    h('td.muted.nowrap', time(task.createdAt))));
  // Rows that a reader is at stay where they are.
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
  put(place,
    h('p', running > 0 ? h('strong', counted(running, 'task'), ' under way') : h('span.muted', 'Nothing is under way; these were the last.')),
    table('Tasks', ['Source', 'Kind', 'Status', 'Progress', { title: 'Operations', number: true }, 'Accepted'], rows));
  if (focused) place.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}
