// Upload: drop a file, see what it fits, map its columns, check it, send it, watch it.

import { ApiError, definitions, get, path } from '../api.js';
import { bytes, cut, h, number, put } from '../dom.js';
import { BadFile, CSV, bodyOf, fits, look, mapping, pathsOf } from '../files.js';
import { inline } from '../json.js';
import { empty, errorBox, field, select, shellLine, table } from '../parts.js';
import { go, link } from '../router.js';
import { upload } from '../streams.js';
import { checked } from './checked.js';

const FORMS = {
  operations: 'JSON, a bulk request',
  'lines-of-operations': 'NDJSON, one operation a line',
  'lines-of-records': 'NDJSON, one record a line',
  'array-of-operations': 'JSON, an array of operations',
  'array-of-records': 'JSON, an array of records',
  csv: 'CSV',
};
const ACTIONS = [['CREATE', 'create: fails where the id is taken'], ['UPSERT', 'upsert: creates or replaces'], ['DELETE', 'delete']];
const SAMPLES_SHOWN = 3;
const FITS_SHOWN = 4;

export async function view({ source, place, signal }) {
  const work = h('div');
  const input = h('input', { type: 'file', id: 'file', accept: '.json,.ndjson,.jsonl,.csv,.txt', onchange: () => input.files[0] && begin(input.files[0]) });
  const drop = h('div.drop',
    h('p.empty-title', 'Drop a JSON, NDJSON or CSV file here'),
    h('p', h('label', { for: 'file' }, 'or choose one: '), input),
    h('p.muted.small', 'Nothing is sent until you say so.'));
  put(place, h('h1', 'Upload'), drop, work,
    h('details.card', h('summary', 'Larger files, or by a script'),
      h('p', 'The command line shows progress, takes compressed files and standard input, and ends with an exit code that tells what came of it.'),
      shellLine(`granary bulk records.ndjson --source ${source} --wait`)));
  const [types, limits] = await Promise.all([definitions(source, signal), get('/limits', {}, signal)]);
  if (types.profiles.length === 0) {
    put(work, empty('This source has no types yet', 'A file must fit a profile: write one first.', null, h('a.button', { href: link(['sources', source, 'profiles', 'new'], { new: 1 }) }, 'New profile')));
  }
  for (const name of ['dragenter', 'dragover']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add('over');
    });
  }
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    const [file] = event.dataTransfer.files;
    if (file) begin(file);
  });

  async function begin(file) {
    try {
      if (file.size > limits.bulkBodyBytes) throw new BadFile(`the file has ${bytes(file.size)}, and a bulk request at most ${bytes(limits.bulkBodyBytes)} (limit bulkBodyBytes): cut it in parts`);
      const found = await look(file);
      put(work, prepared(source, file, found, types, signal));
    } catch (error) {
      put(work, errorBox(error instanceof BadFile ? new ApiError(0, { type: 'FILE', message: error.message }) : error, file.name));
    }
  }
}

/** The file as it was found, what may be chosen, and what is done with it. */
function prepared(source, file, found, types, signal) {
  const saysType = found.form.endsWith('operations');
  const candidates = fits(found, types);
  const chosen = { fit: candidates[0], action: 'CREATE', separator: '|', columns: [], body: null, attempt: null };
  const options = h('div');
  const outcome = h('div', { 'aria-live': 'polite' });
  const drawOptions = () => {
    chosen.body = null;
    chosen.attempt = null;
    put(outcome);
    if (found.form === 'csv') chosen.columns = mapping(found.header, chosen.fit.definition, chosen.fit.kind);
    put(options, saysType ? operationsFound(found, types) : optionsFor(found, candidates, chosen, drawOptions, changed));
  };
  const changed = () => {
    chosen.body = null;
    chosen.attempt = null;
    put(outcome);
  };
  drawOptions();
  const check = h('button', { type: 'button', onclick: () => run(true) }, 'Check it');
  const send = h('button.primary', { type: 'button', onclick: () => run(false) }, 'Send it');

  async function run(validateOnly) {
    check.disabled = send.disabled = true;
    const bar = h('progress', { max: 1, 'aria-label': 'Upload' });
    const said = h('span.muted', 'making the request ready');
    put(outcome, h('div.row', bar, said));
    const tell = (loaded, total) => {
      bar.value = total > 0 ? loaded / total : 1;
      put(said, loaded < total ? `${bytes(loaded)} of ${bytes(total)} sent` : 'sent; being checked');
    };
    try {
      chosen.body ??= await bodyOf(file, found, { type: chosen.fit?.key, kind: chosen.fit?.kind, action: chosen.action, columns: chosen.columns });
      const target = saysType ? (found.isEdges || isRelationship(found, types) ? 'relationships' : 'resources') : chosen.fit.kind;
      const isCsv = found.contentType === CSV;
      const query = { receipts: 'failures', validateOnly: validateOnly || null, ...(isCsv ? { type: chosen.fit.key, action: chosen.action.toLowerCase(), separator: chosen.separator === '|' ? null : chosen.separator } : {}) };
      const headers = { 'content-type': found.contentType };
      // The same request under the same key is carried out once, also where the answer to the first was lost.
      if (!validateOnly) headers['idempotency-key'] = chosen.attempt ??= randomKey();
      const where = path`/sources/${source}/v1/` + `${target}/bulk`;
      const { body } = await upload(where, query, headers, chosen.body, { signal, tell });
      if (body.status === 'ACCEPTED') go(link(['sources', source, 'tasks', body.taskId]));
      else put(outcome, checked(body, chosen.body, found.form, signal));
    } catch (error) {
      if (!signal.aborted) put(outcome, errorBox(error instanceof BadFile ? new ApiError(0, { type: 'FILE', message: error.message }) : error, validateOnly ? 'It was not checked' : 'It was not sent'));
    } finally {
      check.disabled = send.disabled = false;
    }
  }

  return [
    h('section.card', { 'aria-labelledby': 'the-file' },
      h('h2', { id: 'the-file' }, file.name, ' ', h('span.muted', bytes(file.size))),
      h('p.muted', FORMS[found.form], `, ${number(found.names.size)} ${found.names.size === 1 ? 'property' : 'properties'} in its first ${number(found.samples.length)}`),
      options,
      h('div.row.after', check, send, h('span.muted.small', 'Checking stores nothing.'))),
    outcome,
  ];
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(18))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function isRelationship(found, { relationships }) {
  const [first] = found.types.keys();
  return relationships.some(({ key }) => key === first);
}

/** A file that says itself what is done to which type. */
function operationsFound(found, { profiles, relationships }) {
  const known = new Set([...profiles, ...relationships].map(({ key }) => key));
  const rows = [...found.types].map(([type, n]) => h('tr', h('td', h('code', type)), h('td', known.has(type) ? h('span.chip.good', 'known') : h('span.chip.bad', 'no such type')), h('td.right', number(n))));
  return [
    h('p', 'It says itself what is done: ', [...found.actions].map(([action, n]) => h('span.tag', `${action.toLowerCase()} ${number(n)}`))),
    table('Types in the file', ['Type', 'In this source', { title: 'In the first operations', number: true }], rows),
  ];
}

function optionsFor(found, candidates, chosen, redraw, changed) {
  if (!chosen.fit) return empty('No type to fit', 'The source has no ROOT profile.');
  const best = candidates.slice(0, FITS_SHOWN).map((fit) => h('tr', { class: fit === chosen.fit ? 'chosen' : '' },
    h('td', h('button.link', { type: 'button', 'aria-pressed': String(fit === chosen.fit), onclick: () => choose(fit) }, fit.key), ' ', h('span.muted.small', fit.kind)),
    h('td', `${fit.known.length} of ${fit.known.length + fit.unknown.length}`),
    h('td.muted', cut(fit.unknown.join(', '), 60)),
    h('td', fit.missing.length > 0 ? h('span.bad-text', cut(fit.missing.join(', '), 60)) : h('span.muted', 'none'))));
  const choose = (fit) => {
    chosen.fit = fit;
    redraw();
  };
  const all = candidates.map((fit) => [`${fit.kind}/${fit.key}`, `${fit.key} (${fit.kind})`]);
  return [
    h('h3', 'The profile it fits'),
    table('Types by how well they fit', ['Type', 'Names known', 'Not known', 'Required and missing'], best),
    h('div.filters.inline-fields',
      field('Type', select(all, `${chosen.fit.kind}/${chosen.fit.key}`, (value) => choose(candidates.find((fit) => `${fit.kind}/${fit.key}` === value)))),
      field('Action', select(ACTIONS, chosen.action, (value) => {
        chosen.action = value;
        changed();
      })),
      found.form === 'csv' && field('Elements of an array are joined by', h('input', {
        type: 'text', size: 3, maxlength: 4, value: chosen.separator, oninput: (event) => {
          chosen.separator = event.target.value || '|';
          changed();
        },
      }))),
    found.form === 'csv' ? columnsOf(found, chosen, changed) : samplesOf(found),
  ];
}

/** What each column is in the type. */
function columnsOf(found, chosen, changed) {
  const own = chosen.fit.kind === 'relationships' ? ['id', 'from', 'to'] : ['id'];
  const paths = pathsOf(chosen.fit.definition);
  const options = [['', 'leave it out'], ...own.map((name) => [name, name]), ...paths.map((one) => [one.path, `${one.path} (${one.type})${one.required ? ' required' : ''}`])];
  const rows = found.header.map((name, at) => h('tr',
    h('td', h('code', name)),
    h('td', select(options, chosen.columns[at], (value) => {
      chosen.columns[at] = value;
      changed();
    }, { 'aria-label': `Column ${name} is` })),
    h('td.muted', cut(found.samples.slice(0, SAMPLES_SHOWN).map((row) => row[at] ?? '').filter(Boolean).join(' · '), 70))));
  return [h('h3', 'Its columns'), table('Columns', ['Column', 'Is', 'For instance'], rows)];
}

function samplesOf(found) {
  const rows = [...found.names].map(([name, values]) => h('tr', h('td', h('code', name)), h('td.muted', cut(values.slice(0, SAMPLES_SHOWN).map((value) => inline(value)).join(' · '), 90))));
  return [h('h3', 'Its properties'), table('Properties', ['Property', 'For instance'], rows)];
}
