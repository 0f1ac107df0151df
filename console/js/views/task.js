// One task: live progress, rate and time left, cancel and retry, its failures by reason, its receipts.

import { ApiError, call, get, path } from '../api.js';
import { forgetCounts } from '../count.js';
import { counted, h, number, put, span, time } from '../dom.js';
import { announce, confirmed, countsBar, empty, errorBox, fill, kindOf, receiptChip, statusChip, table } from '../parts.js';
import { go, link } from '../router.js';
import { events, upload } from '../streams.js';
import { failuresOf, operationOf } from './failures.js';

/** The rate is that of the last so many milliseconds. */
const WINDOW_MS = 5000;
const RECEIPTS_A_PAGE = 25;
const STATUSES = ['', 'FAILURE', 'SUCCESS', 'CANCELLED', 'PENDING'];

export async function view({ source, id, query, place, signal }) {
  const where = path`/sources/${source}/v1/tasks/${id}`;
  let task = await get(where, {}, signal);
  const progress = h('div');
  const actions = h('div');
  const trouble = h('div');
  const failures = h('div');
  const receipts = h('div');
  put(place,
    h('div.title', h('p.crumb', h('a', { href: link(['sources', source, 'tasks']) }, 'Tasks')), h('h1.mono', task.taskId), actions),
    trouble, progress, failures, receipts);
  const rate = new Rate();
  let failuresAt = null;
  const draw = () => {
    rate.take(task);
    put(progress, progressOf(source, task, rate));
    drawActions(source, where, task, actions, trouble, signal);
    // What failed so far is read when the task has ended: while it runs the count says enough.
    if (task.status !== 'PENDING' && failuresAt !== task.completedAt) {
      failuresAt = task.completedAt;
      forgetCounts(source);
      if (task.counts.failure > 0) put(failures, failuresOf(source, task, signal));
      receiptsOf(source, task, query.get('status') ?? '', null, receipts, signal);
    }
  };
  draw();
  if (task.status !== 'PENDING') return;
  put(receipts, h('p.muted', 'Receipts are shown once the task has ended.'));
  follow();

  async function follow() {
    let isBroken = false;
    try {
      for await (const event of events(`${where}/events`, signal)) {
        if (signal.aborted) return;
        if (event.name === 'broken') {
          isBroken = true;
          put(trouble, event.error ? errorBox(event.error, 'The progress broke off; it is taken up again') : null);
          continue;
        }
        if (isBroken) put(trouble);
        isBroken = false;
        task = event.data;
        draw();
      }
      announce(`The task has ended: ${number(task.counts.success)} succeeded, ${number(task.counts.failure)} failed`);
    } catch (error) {
      if (!signal.aborted) put(trouble, errorBox(error));
    }
  }
}

/** Operations a second, as of late. */
class Rate {
  constructor() {
    this.points = [];
  }

  take(task) {
    const done = task.counts.total - task.counts.pending;
    const at = performance.now();
    this.points.push({ done, at });
    while (this.points.length > 2 && at - this.points[0].at > WINDOW_MS) this.points.shift();
  }

  /** `null` where nothing is known yet. */
  perSecond() {
    const [first, last] = [this.points[0], this.points.at(-1)];
    const seconds = (last.at - first.at) / 1000;
    return seconds > 0.2 ? (last.done - first.done) / seconds : null;
  }
}

function progressOf(source, task, rate) {
  const { counts } = task;
  const done = counts.total - counts.pending;
  const running = task.status === 'PENDING';
  const began = task.startedAt ?? task.createdAt;
  const took = task.completedAt ? (new Date(task.completedAt) - new Date(began)) / 1000 : null;
  const perSecond = running ? rate.perSecond() : took > 0 ? done / took : null;
  const left = running && perSecond > 0 ? counts.pending / perSecond : null;
  const tile = (name, value, tone = '') => h('div', h('dt', name), h(`dd${tone}`, value));
  return h('section.card', { 'aria-label': 'Progress' },
    h('div.row.spread', statusChip(task),
      h('span.muted', kindOf(task)),
      task.retryOf && h('span.muted', 'a retry of ', h('a.mono', { href: link(['sources', source, 'tasks', task.retryOf]) }, `${task.retryOf.slice(0, 14)}…`))),
    countsBar(counts),
    h('dl.tiles',
      tile('applied', `${number(done)} of ${number(counts.total)}`),
      tile('succeeded', number(counts.success), '.good-text'),
      tile('failed', number(counts.failure), counts.failure > 0 ? '.bad-text' : ''),
      tile('cancelled', number(counts.cancelled)),
      task.deletedCount !== undefined && tile('deleted', number(task.deletedCount)),
      tile('operations a second', perSecond === null ? '–' : number(Math.round(perSecond))),
      running ? tile('time left', left === null ? '–' : `about ${span(left)}`) : tile('took', took === null ? '–' : span(took)),
      tile('accepted', time(task.createdAt))));
}

function drawActions(source, where, task, actions, trouble, signal) {
  const running = task.status === 'PENDING';
  const canRetry = !running && task.kind === 'BULK' && task.counts.failure + task.counts.cancelled > 0;
  const wanted = running ? 'cancel' : canRetry ? 'retry' : '';
  // Buttons that a reader is at are not drawn anew with each event.
  if (actions.dataset.shown === wanted) return;
  actions.dataset.shown = wanted;
  const cancel = h('button.danger', {
    type: 'button',
    onclick: async () => {
      if (!(await confirmed('Cancel this task?', 'What is applied stays. What is not yet applied becomes cancelled, and can be tried again later.', 'Cancel the task'))) return;
      await attempt(trouble, cancel, async () => {
        await call('POST', `${where}/cancel`);
        announce('Cancelled');
      });
    },
  }, 'Cancel');
  const again = h('button.primary', {
    type: 'button',
    onclick: () => attempt(trouble, again, async () => {
      const { status, body } = await upload(`${where}/retry`, { receipts: 'failures' }, {}, null, { signal });
      if (status === 400) throw new ApiError(400, rejected(body));
      go(link(['sources', source, 'tasks', body.taskId]));
    }),
  }, `Retry ${counted(task.counts.failure + task.counts.cancelled, 'operation')}`);
  put(actions, running && cancel, canRetry && again);
}

/** A retry is checked anew; what no longer passes is told as one error. */
function rejected({ error, receipts }) {
  if (error) return error;
  const details = receipts.flatMap((receipt) => receipt.error?.details ?? [receipt.error]).filter(Boolean);
  return { code: 400, type: 'REJECTED', message: `${counted(receipts.length, 'operation')} would not be accepted by the definitions in force; correct the definition or send them anew`, details: details.slice(0, 20), detailsTotal: details.length };
}

async function attempt(trouble, button, run) {
  put(trouble);
  button.disabled = true;
  try {
    await run();
  } catch (error) {
    put(trouble, errorBox(error));
  } finally {
    button.disabled = false;
  }
}

/** A page of receipts, of whatever status. */
function receiptsOf(source, task, status, cursor, place, signal) {
  const list = h('div');
  const detail = h('div', { 'aria-live': 'polite' });
  const choose = STATUSES.map((one) => h('button.choice', {
    type: 'button',
    'aria-pressed': String(one === status),
    onclick: () => receiptsOf(source, task, one, null, place, signal),
  }, one === '' ? 'all' : one.toLowerCase()));
  put(place, h('section.card', { 'aria-labelledby': 'receipts' },
    h('div.card-head', h('h2', { id: 'receipts' }, 'Receipts'), h('div.choices', { role: 'group', 'aria-label': 'Status of receipts' }, choose)),
    list, detail,
    h('p.muted.small', 'All of them, one a line: ', h('code', `granary receipts ${task.taskId} --source ${source}`))));
  fill(list, signal, async () => {
    const page = await get(path`/sources/${source}/v1/tasks/${task.taskId}/receipts`, { status, cursor, limit: RECEIPTS_A_PAGE }, signal);
    if (page.data.length === 0) return empty('No receipts like that', null);
    const rows = page.data.map((receipt) => h('tr',
      h('td.right', number(receipt.index)),
      h('td', receiptChip(receipt.status), receipt.unchanged && h('span.muted.small', ' unchanged')),
      h('td.muted', receipt.action.toLowerCase()),
      h('td', receipt.type),
      h('td.nowrap', idOf(source, receipt)),
      h('td.muted.description', receipt.error?.message ?? ''),
      h('td', h('button.link', { type: 'button', 'aria-label': `Operation ${receipt.index}`, onclick: () => fill(detail, signal, () => operationOf(source, task.taskId, receipt.index, signal)) }, 'operation'))));
    return [
      table('Receipts', [{ title: '#', number: true }, 'Status', 'Action', 'Type', 'Id', 'Message', ''], rows),
      page.meta.cursor && h('nav.pager', { 'aria-label': 'Pages of receipts' },
        h('button', { type: 'button', onclick: () => receiptsOf(source, task, status, page.meta.cursor, place, signal) }, 'Next page')),
    ];
  });
}

function idOf(source, { targetType, type, id, status, action }) {
  if (!id) return '';
  if (status !== 'SUCCESS' || action === 'DELETE') return h('span.mono', id);
  return h('a.mono', { href: link(['sources', source, targetType === 'RESOURCE' ? 'data' : 'edges', type, id]) }, id);
}
