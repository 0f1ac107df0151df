// The shell: navigation, the key, the theme, and which view an address shows.

import { get, key, setKey, whenKeyIsNeeded } from './api.js';
import { h, put } from './dom.js';
import { errorBox, pause, select } from './parts.js';
import { go, here, link } from './router.js';
import * as data from './views/data.js';
import * as definition from './views/definition.js';
import * as edges from './views/edges.js';
import * as overview from './views/overview.js';
import * as record from './views/record.js';
import * as source from './views/source.js';
import * as task from './views/task.js';
import * as tasks from './views/tasks.js';
import * as upload from './views/upload.js';

const main = document.getElementById('main');
/** How often the server is asked whether it is ready, in milliseconds. */
const HEALTH_EVERY_MS = 10_000;

/** The view of an address: its module, what it is given, and its title. */
function viewOf(parts) {
  const [first, name, tab, a, b] = parts;
  if (parts.length === 0) return [overview, {}, 'Overview'];
  if (first !== 'sources' || !name) return null;
  const of = { source: name };
  if (parts.length === 2) return [source, of, name];
  if (tab === 'profiles' && a) return [definition, { ...of, kind: 'profiles', key: a }, `${a} · ${name}`];
  if (tab === 'relationship-definitions' && a) return [definition, { ...of, kind: tab, key: a }, `${a} · ${name}`];
  if (tab === 'data' && b) return [record, { ...of, type: a, id: b }, `${b} · ${a}`];
  if (tab === 'data') return [data, { ...of, type: a }, `Data · ${name}`];
  if (tab === 'edges' && b) return [edges, { ...of, type: a, id: b }, `${b} · ${a}`];
  if (tab === 'edges') return [data, { ...of, type: a, kind: 'edges' }, `Data · ${name}`];
  if (tab === 'tasks' && a) return [task, { ...of, id: a }, `Task · ${name}`];
  if (tab === 'tasks') return [tasks, of, `Tasks · ${name}`];
  if (tab === 'upload') return [upload, of, `Upload · ${name}`];
  return null;
}

let left = new AbortController();
let shown = null;

async function show() {
  declined = false;
  left.abort();
  left = new AbortController();
  const { signal } = left;
  const { parts, query } = here();
  const found = viewOf(parts);
  navigation(parts, signal);
  if (!found) {
    put(main, h('h1', 'There is no such page'), h('p', h('a', { href: '#/' }, 'To the overview')));
    return;
  }
  const [module, given, title] = found;
  document.title = `${title} · granary`;
  const isNew = shown !== null && shown !== parts.join('/');
  shown = parts.join('/');
  // A page that stays empty longer than that says that it waits.
  main.setAttribute('aria-busy', 'true');
  try {
    const place = h('div.view');
    const made = module.view({ ...given, query, signal, place });
    put(main, place);
    if (isNew) {
      main.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    await made;
  } catch (error) {
    if (!signal.aborted) put(main, h('h1', title), errorBox(error));
  } finally {
    if (!signal.aborted) main.removeAttribute('aria-busy');
  }
}

const TABS = [
  ['Types', []],
  ['Data', ['data']],
  ['Tasks', ['tasks']],
  ['Upload', ['upload']],
];
const TAB_OF = { data: 'Data', edges: 'Data', tasks: 'Tasks', upload: 'Upload' };

async function navigation(parts, signal) {
  const nav = document.getElementById('nav');
  const name = parts[0] === 'sources' ? parts[1] : null;
  if (!name) {
    put(nav);
    return;
  }
  const current = TAB_OF[parts[2]] ?? 'Types';
  const tabs = TABS.map(([title, more]) =>
    h('a.tab', { href: link(['sources', name, ...more]), 'aria-current': title === current ? 'page' : null }, title));
  const choose = (names) => select(names, name, (other) => go(link(['sources', other])), { 'aria-label': 'Source', class: 'source-choice' });
  const place = h('span', choose([name]));
  put(nav, place, h('span.tabs', tabs));
  try {
    const page = await get('/catalog/v1/sources', { limit: 1000 }, signal);
    const names = page.data.map((one) => one.key);
    if (!signal.aborted) put(place, choose(names.includes(name) ? names : [name, ...names]));
  } catch {
    // The view says what is wrong.
  }
}

// The key.

const dialog = document.getElementById('key-dialog');
const input = document.getElementById('key-input');
const keyButton = document.getElementById('key-button');
let asked = null;
/** True once it was said that there is none; nobody is asked again on the same page. */
let declined = false;

function showKeyButton() {
  keyButton.hidden = !key() && !declined;
}

/** Asks for a key, once for all calls that need one at the same time. */
function ask(why) {
  if (declined) return Promise.resolve(false);
  asked ??= new Promise((resolve) => {
    document.getElementById('key-why').textContent = why;
    document.getElementById('key-forget').hidden = !key();
    input.value = '';
    dialog.returnValue = '';
    dialog.addEventListener('close', () => {
      asked = null;
      const given = input.value.trim();
      input.value = '';
      if (dialog.returnValue === 'forget') setKey(null);
      const isNew = dialog.returnValue === 'use' && given !== '';
      if (isNew) setKey(given);
      else declined = true;
      showKeyButton();
      resolve(isNew);
      if (dialog.returnValue === 'forget') show();
    }, { once: true });
    dialog.showModal();
    input.focus();
  });
  return asked;
}

document.getElementById('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  dialog.close('use');
});
document.getElementById('key-cancel').addEventListener('click', () => dialog.close('no'));
document.getElementById('key-forget').addEventListener('click', () => dialog.close('forget'));
keyButton.addEventListener('click', async () => {
  declined = false;
  if (await ask('The key of this tab is sent with every call. Another one takes its place.')) show();
});

// The theme.

const themeButton = document.getElementById('theme-button');
const system = matchMedia('(prefers-color-scheme: dark)');

function theme() {
  return document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light');
}

function showTheme() {
  const other = theme() === 'dark' ? 'light' : 'dark';
  themeButton.textContent = other === 'dark' ? '◐ Dark' : '◐ Light';
  themeButton.setAttribute('aria-label', `Switch to the ${other} theme`);
}

themeButton.addEventListener('click', () => {
  const other = theme() === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset.theme = other;
  try {
    localStorage.setItem('granary.theme', other);
  } catch {
    // It holds for this page then.
  }
  showTheme();
});
system.addEventListener('change', showTheme);

// Whether the server is ready.

async function health() {
  const place = document.getElementById('health');
  for (;;) {
    let text = '';
    try {
      const answer = await fetch(new URL('readyz', new URL('.', document.baseURI)), { cache: 'no-store' });
      if (!answer.ok) text = (await answer.json()).reason ?? 'not ready';
    } catch {
      text = 'the server is out of reach';
    }
    if (place.textContent !== text) place.textContent = text;
    await pause(HEALTH_EVERY_MS, new AbortController().signal);
  }
}

// The address of the view is in the hash, so this link moves the focus by itself.
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
whenKeyIsNeeded(ask);
showKeyButton();
showTheme();
addEventListener('hashchange', show);
show();
health();
