// Failures grouped by their reason, and the operation behind each with the fault marked at its place. The receipts are
// read as a stream and counted; of each only its index is kept, and a page of them is in the document.

import { getText, path } from '../api.js';
import { counted, h, number, put } from '../dom.js';
import { member, parse } from '../json.js';
import { faultsOf, marked } from '../marks.js';
import { errorBox, fill } from '../parts.js';
import { Reasons } from '../reasons.js';
import { link } from '../router.js';
import { lines } from '../streams.js';

/** So many failures are read without being asked again. */
export const FAILURES_READ = 100_000;
const ROWS_A_PAGE = 20;
const DRAWN_EVERY_MS = 150;

/** The failures of a task that has ended, read as they come. */
export function failuresOf(source, task, signal) {
  const reasons = new Reasons();
  const list = reasonList(reasons, (index) => operationOf(source, task.taskId, index, signal), signal);
  const state = h('p.muted', { role: 'status' });
  const section = h('section.card', { 'aria-labelledby': 'failures' },
    h('h2', { id: 'failures' }, 'Failures by reason'), state, list.element);
  readOn(0, FAILURES_READ);
  return section;

  async function readOn(from, until) {
    const total = task.counts.failure;
    let last = from - 1;
    let drawn = 0;
    let stop = false;
    const button = h('button.quiet', { type: 'button', onclick: () => (stop = true) }, 'Stop');
    const tell = () => put(state, `${number(reasons.count)} of ${counted(total, 'failure')} read `, reasons.count < total && button);
    try {
      const where = path`/sources/${source}/v1/tasks/${task.taskId}/receipts`;
      for await (const line of lines(where, { status: 'FAILURE', from }, signal)) {
        const receipt = JSON.parse(line);
        reasons.add(receipt.index, receipt.error);
        last = receipt.index;
        if (performance.now() - drawn > DRAWN_EVERY_MS) {
          drawn = performance.now();
          tell();
          list.draw();
        }
        if (stop || reasons.count >= until) break;
      }
    } catch (error) {
      if (signal.aborted) return;
      section.append(errorBox(error));
    }
    list.draw();
    if (reasons.count >= total || last < from) put(state, counted(reasons.count, 'failure'), ', all read');
    else {
      put(state, `the first ${number(reasons.count)} of ${counted(total, 'failure')} `,
        h('button.link', { type: 'button', onclick: () => readOn(last + 1, reasons.count + FAILURES_READ) }, 'read on'));
    }
  }
}

/** Reasons as a list; each opens to its operations. `show(index)` makes what is behind one. */
export function reasonList(reasons, show, signal) {
  const element = h('ul.reasons');
  const rows = new Map();

  function row(group) {
    const count = h('span.reason-count.tabular');
    const said = h('span');
    const panel = h('div.reason-panel', { hidden: true });
    const button = h('button.reason', { type: 'button', 'aria-expanded': 'false' },
      count, h('span.code', group.type), h('span.reason-text', group.place && h('code', group.place), ' ', said));
    button.addEventListener('click', () => {
      const open = panel.hidden;
      panel.hidden = !open;
      button.setAttribute('aria-expanded', String(open));
      if (open) operations(group, 0, panel);
      else put(panel);
    });
    const item = h('li', button, panel);
    const update = () => {
      count.textContent = number(group.indexes.length);
      said.textContent = group.told;
    };
    return { item, update };
  }

  function operations(group, page, panel) {
    const from = page * ROWS_A_PAGE;
    const indexes = group.indexes.slice(from, from + ROWS_A_PAGE);
    const detail = h('div', { 'aria-live': 'polite' });
    const open = (index) => fill(detail, signal, () => show(index));
    const buttons = indexes.map((index) => h('button.choice', {
      type: 'button',
      'aria-label': `Operation ${index}`,
      onclick: (event) => {
        for (const other of panel.querySelectorAll('.choice[aria-pressed=true]')) other.setAttribute('aria-pressed', 'false');
        event.currentTarget.setAttribute('aria-pressed', 'true');
        open(index);
      },
    }, `#${number(index)}`));
    const turn = (title, to) => h('button.quiet', { type: 'button', onclick: () => operations(group, to, panel) }, title);
    put(panel,
      h('div.row.wrap',
        h('span.muted', `operations ${number(from + 1)} to ${number(from + indexes.length)} of ${number(group.indexes.length)}:`),
        buttons,
        page > 0 && turn('Before', page - 1),
        from + indexes.length < group.indexes.length && turn('More', page + 1)),
      detail);
    buttons[0]?.setAttribute('aria-pressed', 'true');
    if (indexes.length > 0) open(indexes[0]);
  }

  return {
    element,
    /** Shows the counts as they are now. Rows that are there stay, for one may be open. */
    draw() {
      for (const group of reasons.sorted()) {
        if (!rows.has(group.name)) rows.set(group.name, row(group));
        rows.get(group.name).update();
      }
      const order = reasons.sorted().map((group) => rows.get(group.name).item);
      order.forEach((item, at) => {
        if (element.children[at] !== item) element.insertBefore(item, element.children[at] ?? null);
      });
    },
  };
}

/** One operation of a task as it was sent, with what is wrong with it. */
export async function operationOf(source, taskId, index, signal) {
  const of = path`/sources/${source}/v1/tasks/${taskId}`;
  const receipt = JSON.parse((await getText(`${of}/receipts`, { from: index, limit: 1 }, signal)).text).data[0];
  let operation = null;
  let gone = null;
  try {
    const sent = parse((await getText(`${of}/operations`, { from: index, limit: 1 }, signal)).text);
    operation = member(member(sent, 'data')?.items[0], 'operation');
  } catch (error) {
    if (error.status !== 410 && error.status !== 404) throw error;
    gone = error;
  }
  return h('div.operation',
    h('p', h('strong', `Operation ${number(index)}`), ' ', h('span.muted', `${receipt.action.toLowerCase()} ${receipt.type} `), receipt.id && target(source, receipt)),
    receipt.error && h('p', h('span.code', `${receipt.error.code} ${receipt.error.type}`), ' ', receipt.error.message),
    operation
      ? marked(operation, faultsOf(receipt.error, operation), `operation ${index}`)
      : h('p.muted', gone?.message ?? 'The operation is kept no longer; what it wrote is in its record.'));
}

function target(source, { targetType, type, id }) {
  return h('a.mono', { href: link(['sources', source, targetType === 'RESOURCE' ? 'data' : 'edges', type, id]) }, id);
}

/** One operation of a file that was only checked. */
export function operationOfFile(index, error, shownAs) {
  return h('div.operation',
    h('p', h('strong', `Operation ${number(index)}`)),
    error && h('p', h('span.code', `${error.code} ${error.type}`), ' ', error.message),
    shownAs);
}

