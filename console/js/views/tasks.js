// The tasks of a source, newest first.

import { get, path } from '../api.js';
import { h, number, put, time } from '../dom.js';
import { countsBar, empty, errorBox, field, kindOf, pager, pause, select, statusChip, table } from '../parts.js';
import { go, link } from '../router.js';

const LIMIT = 50;
const EVERY_MS = 2000;
const KINDS = [['', 'Bulk and purge'], ['BULK', 'Bulk'], ['PURGE', 'Purge'], ['SINGLE', 'Single writes'], ['BUNDLE', 'Bundles']];
const STATUSES = [['', 'any'], ['PENDING', 'pending'], ['SUCCESS', 'finished'], ['CANCELLED', 'cancelled'], ['FAILURE', 'could not be carried out']];
const OUTCOMES = [['', 'any'], ['COMPLETE', 'all succeeded'], ['PARTIAL', 'some failed'], ['NONE', 'none succeeded']];

export async function view({ source, query, place, signal }) {
  const filters = { kind: query.get('kind'), status: query.get('status'), outcome: query.get('outcome') };
  const at = ['sources', source, 'tasks'];
  const list = h('div');
  const choose = (label, name, options) => field(label, select(options, filters[name] ?? '', (value) => go(link(at, { ...filters, [name]: value }))));
  put(place,
    h('h1', 'Tasks'),
    h('section.card.filters', { 'aria-label': 'What is shown' },
      choose('Kind', 'kind', KINDS), choose('Status', 'status', STATUSES), choose('Outcome', 'outcome', OUTCOMES)),
    list);
  const cursor = query.get('cursor');
  const look = async () => {
    try {
      const page = await get(path`/sources/${source}/v1/tasks`, { ...filters, cursor, limit: LIMIT }, signal);
      if (signal.aborted) return false;
      // What a reader is at stays where it is.
      const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
      put(list, shown(source, page, filters, at, cursor));
      if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      put(list, errorBox(error));
      // Asking again does not help where the call is not right.
      return error.status === 0 || error.status >= 500;
    }
  };
  // The first page is looked at again and again; an older one stays as it is.
  const again = async () => {
    while (!cursor && (await pause(EVERY_MS, signal)) && (await look()));
  };
  if (await look()) again();
}

function shown(source, { data, meta }, filters, at, cursor) {
  if (data.length === 0) {
    return Object.values(filters).some(Boolean)
      ? empty('No task is like that', 'Tasks are kept for some days after their end; see `taskRetentionDays` at /limits.')
      : empty('No tasks yet', 'A bulk request becomes a task. Drop a file under Upload, or send one from the command line.', `granary bulk records.ndjson --source ${source} --wait`, h('a.button', { href: link(['sources', source, 'upload']) }, 'Upload'));
  }
  const rows = data.map((task) => h('tr',
    h('td.nowrap', h('a.mono', { href: link([...at, task.taskId]) }, `${task.taskId.slice(0, 14)}…`)),
    h('td.muted', kindOf(task), task.retryOf && ', a retry'),
    h('td', statusChip(task)),
    h('td.wide', countsBar(task.counts)),
    h('td.right', number(task.counts.total)),
    h('td.right', task.counts.failure > 0 ? h('span.bad-text', number(task.counts.failure)) : h('span.muted', '0')),
    h('td.muted.nowrap', time(task.createdAt))));
  return h('section.card', { 'aria-label': 'Tasks' },
    table('Tasks', ['Task', 'Kind', 'Status', 'Progress', { title: 'Operations', number: true }, { title: 'Failed', number: true }, 'Accepted'], rows),
    pager(cursor ? link(at, filters) : null, meta.cursor ? link(at, { ...filters, cursor: meta.cursor }) : null));
}
