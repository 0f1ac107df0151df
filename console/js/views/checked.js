// What came of checking a file: that it fits, or its faults by reason, each at its place in the file.

import { counted, h, number } from '../dom.js';
import { operationInBody } from '../files.js';
import { faultsOf, marked } from '../marks.js';
import { errorBox } from '../parts.js';
import { ApiError } from '../api.js';
import { Reasons } from '../reasons.js';
import { operationOfFile, reasonList } from './failures.js';

/** `answer` is that of a bulk request; `body` is what was sent. */
export function checked(answer, body, form, signal) {
  if (answer.status === 'VALID') {
    return h('div.done', { role: 'status' }, h('strong', `All ${counted(answer.count, 'operation')} fit.`),
      ' Nothing was stored. Whether ids are free and ends exist is decided when it is applied.');
  }
  const reasons = new Reasons();
  const errors = new Map();
  answer.receipts.forEach((receipt) => {
    reasons.add(receipt.index, receipt.error);
    errors.set(receipt.index, receipt.error);
  });
  const list = reasonList(reasons, (index) => operationInFile(body, form, index, errors.get(index)), signal);
  list.draw();
  const many = answer.more ? `at least ${number(reasons.count)}` : number(reasons.count);
  return h('section.card', { 'aria-label': 'Faults' },
    answer.error && errorBox(new ApiError(400, answer.error), 'The file as a whole'),
    h('p', { role: 'status' }, h('strong', `Rejected: ${many} ${reasons.count === 1 ? 'operation is' : 'operations are'} not right.`), ' Nothing was stored: correct the file and drop it again.'),
    list.element);
}

async function operationInFile(body, form, index, error) {
  const found = await operationInBody(body, form, index).catch(() => null);
  if (!found) return operationOfFile(index, error, h('p.muted', 'It could not be read back from the file.'));
  if (found.node) return operationOfFile(index, error, marked(found.node, faultsOf(error, found.node), `operation ${index}`));
  return operationOfFile(index, error, cells(found, error));
}

/** A row of CSV, with the faults beside their cells. */
function cells({ header, row }, error) {
  const faults = faultsOf(error, null);
  const columnOf = (path) => path.split('/').slice(2).filter((step, at) => !(at === 0 && step === 'data')).join('.');
  const of = (name) => faults.filter(({ path }) => {
    const column = columnOf(path ?? '');
    return column === name || column.startsWith(`${name}.`) || (name.startsWith(`${column}.`) && column !== '');
  });
  const shown = new Set();
  const rows = header.map((name, at) => {
    const here = of(name);
    here.forEach((fault) => shown.add(fault));
    return h('tr', { class: here.length > 0 ? 'faulty' : '' },
      h('th', { scope: 'row' }, name),
      h('td', here.length > 0 ? h('mark', row[at] || '(empty)') : row[at] ?? ''),
      h('td.bad-text', here.map(({ message }) => h('div', message))));
  });
  const others = faults.filter((fault) => !shown.has(fault));
  return [
    others.length > 0 && h('ul.faults', others.map(({ path, message }) => h('li', path && h('code', columnOf(path) || path), ' ', message))),
    h('div.scroll', { tabindex: '0', role: 'group', 'aria-label': 'Row' }, h('table', h('caption.hidden', 'Row'), h('tbody', rows))),
  ];
}
