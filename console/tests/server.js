// Servers for the tests: real processes, each in a temporary folder of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The binary that is tested: that of `GRANARY_BIN`, or the release build. */
export const GRANARY = resolve(process.env.GRANARY_BIN ?? join(ROOT, 'target/release/granary'));
export const EXAMPLES = join(ROOT, 'examples/airports');

/** Environment without what could lead the binary elsewhere. */
function environment(more = {}) {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('GRANARY_'));
  return { ...Object.fromEntries(own), ...more };
}

/** A server, once it says where it listens. `words` are those of its command line. */
async function started(words, more) {
  const folder = mkdtempSync(join(tmpdir(), 'granary-console-'));
  const process_ = spawn(GRANARY, [...words, '--json', '--data', join(folder, 'data'), '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(more),
  });
  let told = '';
  process_.stderr.on('data', (text) => (told = (told + text).slice(-4000)));
  const ended = new Promise((done) => process_.once('exit', done));
  const url = await new Promise((found, failed) => {
    process_.once('error', failed);
    ended.then((code) => failed(new Error(`granary ${words.join(' ')} ended with ${code}: ${told}`)));
    createInterface({ input: process_.stdout }).on('line', (line) => {
      const said = line.startsWith('{') ? JSON.parse(line) : {};
      if (said.url) found(said.url.replace(/\/$/, ''));
    });
  });
  return {
    url,
    folder,
    async stop() {
      process_.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** An empty server. */
export function serve(more) {
  return started(['serve'], more);
}

/** The airports of the demo, with the tasks that brought them. */
export function airports() {
  return started(['demo']);
}

/** A call that must succeed. */
export async function call(server, method, path, body, { key, type = 'application/json', encoding } = {}) {
  const isWritten = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const sent = isWritten ? body : JSON.stringify(body);
  const headers = { ...(sent === undefined ? {} : { 'content-type': type }), ...(encoding ? { 'content-encoding': encoding } : {}), ...(key ? { 'x-api-key': key } : {}) };
  const answer = await fetch(server.url + path, { method, body: sent, headers });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
  return text ? JSON.parse(text) : null;
}

/** The end of a task. */
export async function ended(server, source, id) {
  for (;;) {
    const answer = await fetch(`${server.url}/sources/${source}/v1/tasks/${id}?withReceipts=false`, { headers: { prefer: 'wait=30' } });
    const task = await answer.json();
    if (task.status !== 'PENDING') return task;
  }
}

/** The clinic of the founding text: providers who work at sites. */
export async function clinic(server, options) {
  await call(server, 'PUT', '/catalog/v1/sources/clinic', { type: 'registry' }, options);
  const v1 = '/sources/clinic/v1';
  await call(server, 'PUT', `${v1}/profiles/provider`, {
    description: 'Who treats people.',
    properties: {
      name: { type: 'symbol', rules: [{ required: true }] },
      practiceNumber: { type: 'integer', rules: [{ min: 1 }] },
      fee: { type: 'decimal' },
      address: { type: 'address' },
      specialities: { type: 'array', items: { type: 'symbol' } },
    },
  }, options);
  await call(server, 'PUT', `${v1}/profiles/site`, { properties: { name: { type: 'symbol' } } }, options);
  await call(server, 'PUT', `${v1}/relationship-definitions/worksAt`, {
    from: { profileKey: 'provider', includeKey: 'worksAt', includeCardinality: '0:*' },
    to: { profileKey: 'site', includeKey: 'staff', includeCardinality: '0:*' },
    properties: { since: { type: 'date' } },
  }, options);
}

/** An API key, made as an operator makes it: from then on the server asks for one. */
export async function key(server, role, { by, sources } = {}) {
  return (await call(server, 'POST', '/access/v1/keys', { role, ...(sources ? { sources } : {}) }, { key: by })).key;
}

