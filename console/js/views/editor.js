// An editor for a definition as JSON. Faults that the server told of are marked in the text, at the end of their line and
// in a list that leads to them.

import { ApiError } from '../api.js';
import { counted, h, put } from '../dom.js';
import { JsonError, lineOf, parse } from '../json.js';
import { placeOf } from '../marks.js';
import { announce, errorBox } from '../parts.js';

/** `save(text)` sends what is written, and fails with the error of the API. */
export function editor({ text, label, save, note = null }) {
  let faults = [];
  const backdrop = h('pre.backdrop', { 'aria-hidden': 'true' });
  const gutter = h('div.gutter', { 'aria-hidden': 'true' });
  const area = h('textarea.source', { 'aria-label': label, 'aria-describedby': 'editor-faults', spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off', value: text });
  const list = h('div', { id: 'editor-faults' });
  const outcome = h('div');
  const button = h('button.primary', { type: 'button', onclick: send }, 'Save');

  function places() {
    const written = area.value;
    let root;
    try {
      root = parse(written);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      const at = Math.min(error.at, Math.max(0, written.length - 1));
      return [{ from: at, to: at + 1, line: lineOf(written, at), missing: false, fault: { path: '', message: `not JSON: ${error.message}` } }];
    }
    const found = faults.map((fault) => {
      const place = placeOf(root, written, fault);
      const is = `${place.missing} ${written.slice(place.from, place.to)}`;
      return { ...place, line: lineOf(written, place.from), fault, is };
    });
    // What was changed since is for the server to judge again.
    const same = found.filter(({ fault, is }) => (fault.was ??= is) === is);
    faults = same.map(({ fault }) => fault);
    return same;
  }

  function draw() {
    const written = area.value;
    const found = places().sort((a, b) => a.from - b.from);
    const lines = written.split('\n');
    area.rows = Math.max(12, lines.length + 1);
    const faulty = new Map();
    for (const place of found) faulty.set(place.line, [...(faulty.get(place.line) ?? []), place]);
    put(gutter, lines.map((_, at) => h('div', { class: faulty.has(at + 1) ? 'faulty' : '' }, at + 1)));
    let offset = 0;
    put(backdrop, lines.map((line, at) => {
      const here = faulty.get(at + 1) ?? [];
      const parts = [];
      let from = 0;
      for (const place of here) {
        const a = Math.max(from, place.from - offset);
        const b = Math.min(line.length, Math.max(a, place.to - offset));
        parts.push(line.slice(from, a), h('mark', line.slice(a, b) || ' '));
        from = b;
      }
      parts.push(line.slice(from));
      offset += line.length + 1;
      const lens = here.length > 0 && h('span.lens', `  ${here.map(({ fault }) => fault.message).join('; ')}`);
      return h('div', parts, lens, line === '' && here.length === 0 ? ' ' : null);
    }));
    put(list, found.length > 0 && [
      h('p.faults-title', counted(found.length, 'fault')),
      h('ul.plain.fault-list', found.map((place) => h('li', h('button.link', { type: 'button', onclick: () => goTo(place) },
        h('span.place', `line ${place.line}`), place.fault.path && h('code', place.fault.path), h('span', place.missing ? `missing: ${place.fault.message}` : place.fault.message))))),
    ]);
    sync();
  }

  function goTo({ from, to }) {
    area.focus();
    area.setSelectionRange(from, to);
    area.scrollIntoView({ block: 'nearest' });
  }

  function sync() {
    backdrop.scrollLeft = area.scrollLeft;
  }

  async function send() {
    put(outcome);
    button.disabled = true;
    try {
      faults = [];
      const said = await save(area.value);
      put(outcome, h('p.done', { role: 'status' }, said));
    } catch (error) {
      const told = error instanceof ApiError ? error.details.filter(({ path }) => typeof path === 'string') : [];
      faults = told;
      put(outcome, errorBox(error, 'Nothing was saved', told.length === 0));
      announce(error.message);
    } finally {
      button.disabled = false;
      draw();
    }
  }

  area.addEventListener('input', draw);
  area.addEventListener('scroll', sync);
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  });
  draw();
  return h('div.editor-all', outcome, list,
    h('div.editor', gutter, h('div.layers', backdrop, area)),
    h('div.row', button, h('span.muted.small', 'Ctrl+Enter saves.'), note));
}
