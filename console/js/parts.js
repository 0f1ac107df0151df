// Parts that views share: errors, empty states, tables, pages, questions.

import { ApiError } from './api.js';
import { h, number, put } from './dom.js';

/** Says something to who does not see the page. */
export function announce(text) {
  document.getElementById('announcer').textContent = text;
}

/** What went wrong: code, message, pointers unless they are shown elsewhere, and the id of the call to name when reporting it. */
export function errorBox(error, title = null, withDetails = true) {
  if (!(error instanceof ApiError)) {
    return h('div.error', { role: 'alert' }, h('strong', title ?? 'Something went wrong in the console'), h('p', String(error?.message ?? error)));
  }
  const code = error.code ? `${error.code} ${error.type}` : error.type;
  return h('div.error', { role: 'alert' },
    h('div.error-head', h('span.code', code), title && h('strong', title)),
    h('p', error.message),
    withDetails && error.details.length > 1 && h('ul.faults',
      error.details.slice(0, 100).map((detail) => h('li', detail.path && h('code', detail.path), ' ', detail.message))),
    error.detailsTotal > error.details.length && h('p.muted', `${number(error.detailsTotal - error.details.length)} more faults are not shown`),
    error.status >= 500 && error.requestId && h('p.muted.small', 'Name this call when you report it: ', h('code', error.requestId)));
}

/** Nothing is there: says what to do next, with a line for the shell where there is one. */
export function empty(title, text, line = null, action = null) {
  return h('div.empty', h('p.empty-title', title), text && h('p', text), line && shellLine(line), action);
}

/** A line for the shell, to be copied. */
export function shellLine(line) {
  const copy = h('button.quiet.copy', {
    type: 'button',
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(line);
        copy.textContent = 'Copied';
        announce('Copied');
      } catch {
        getSelection().selectAllChildren(code);
      }
    },
  }, 'Copy');
  const code = h('code', line);
  return h('div.shell', h('pre', { tabindex: '0', role: 'group', 'aria-label': 'A line for the shell' }, code), copy);
}

/** A table that scrolls on its own where it is wide. `columns` are titles or `{title, number, spare}`: a spare one is left out of a narrow window. */
export function table(caption, columns, rows) {
  const heads = columns.map((column) => {
    const { title, number: right, spare } = typeof column === 'string' ? { title: column } : column;
    return h('th', { scope: 'col', class: right ? 'right' : spare ? 'spare' : '' }, title === '' ? h('span.hidden', 'Actions') : title);
  });
  return h('div.scroll', { tabindex: '0', role: 'group', 'aria-label': caption },
    h('table', h('caption.hidden', caption), h('thead', h('tr', heads)), h('tbody', rows)));
}

/** Chips for the status and the outcome of a task. */
export function statusChip(task) {
  const { status, outcome } = task;
  const worst = status === 'SUCCESS' && outcome && outcome !== 'COMPLETE';
  const tone = { PENDING: 'busy', SUCCESS: worst ? 'warn' : 'good', FAILURE: 'bad', CANCELLED: 'off' }[status] ?? 'off';
  const text = {
    PENDING: task.startedAt ? 'running' : 'waiting',
    SUCCESS: { COMPLETE: 'all succeeded', PARTIAL: 'some failed', NONE: 'none succeeded' }[outcome] ?? 'finished',
    FAILURE: 'could not be carried out',
    CANCELLED: 'cancelled',
  }[status] ?? status;
  return h(`span.chip.${tone}`, text);
}

/** What a task does: `bulk on resources`, `purge of provider`. */
export function kindOf({ kind, targetType, collectionKey }) {
  const on = collectionKey ? ` of ${collectionKey}` : targetType ? ` on ${targetType.toLowerCase()}s` : '';
  return `${kind.toLowerCase()}${on}`;
}

export function receiptChip(status) {
  const tone = { SUCCESS: 'good', FAILURE: 'bad', CANCELLED: 'off', PENDING: 'busy' }[status] ?? 'off';
  return h(`span.chip.${tone}`, status.toLowerCase());
}

/** A bar of what became of the operations of a task. */
export function countsBar(counts) {
  const { total, success, failure, cancelled } = counts;
  const bar = h('div.bar', { role: 'img', 'aria-label': `${number(success)} succeeded, ${number(failure)} failed, ${number(cancelled)} cancelled of ${number(total)}` });
  for (const [name, n] of [['good', success], ['bad', failure], ['off', cancelled]]) {
    const part = h(`span.${name}`);
    // Also a few of very many are seen.
    part.style.width = n > 0 && total > 0 ? `${Math.max(0.6, (100 * n) / total)}%` : '0';
    bar.append(part);
  }
  return bar;
}

/** Asks before what cannot be taken back. */
export function confirmed(question, text, yes) {
  return new Promise((resolve) => {
    const dialog = h('dialog', { 'aria-labelledby': 'question' },
      h('h2', { id: 'question' }, question), h('p', text),
      h('div.row.end',
        h('button.quiet', { type: 'button', onclick: () => dialog.close('') }, 'No'),
        h('button.danger', { type: 'button', onclick: () => dialog.close('yes') }, yes)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A field with its label above. */
export function field(label, input, note = null) {
  const id = input.id || `f-${label.toLowerCase().replace(/\W+/g, '-')}`;
  input.id = id;
  if (note) input.setAttribute('aria-describedby', `${id}-note`);
  return h('div.field', h('label', { for: id }, label), input, note && h('span.muted.small', { id: `${id}-note` }, note));
}

/** A choice of one. `options` are `[value, text]` or values. */
export function select(options, value, onchange, extra = {}) {
  const made = options.map((option) => {
    const [of, text] = Array.isArray(option) ? option : [option, option];
    return h('option', { value: of, selected: of === value }, text);
  });
  return h('select', { ...extra, onchange: (event) => onchange(event.target.value) }, made);
}

const asked = new WeakMap();

/** Shows what a promise brings, or why not. A view that was left shows nothing, nor does what was asked for before. */
export async function fill(place, signal, make) {
  const turn = (asked.get(place) ?? 0) + 1;
  asked.set(place, turn);
  const wanted = () => !signal.aborted && asked.get(place) === turn;
  place.setAttribute('aria-busy', 'true');
  try {
    const made = await make();
    if (wanted()) put(place, made);
  } catch (error) {
    if (wanted()) put(place, errorBox(error));
  } finally {
    if (asked.get(place) === turn) place.removeAttribute('aria-busy');
  }
}

/** Waits, unless the view is left; false where it was. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(!signal.aborted), ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve(false);
    }, { once: true });
  });
}

/** Newer and older pages of a list: cursors go one way, so the way back is the browser's. */
export function pager(firstHref, nextHref, at = null) {
  if (!firstHref && !nextHref) return null;
  return h('nav.pager', { 'aria-label': 'Pages' },
    firstHref && h('a.button', { href: firstHref }, 'First page'),
    at && h('span.muted', at),
    nextHref && h('a.button', { href: nextHref, rel: 'next' }, 'Next page'));
}
