// Answers that are read as they come: lines, events, and the receipts of a rejection while a file is still on its way.

import { ApiError, call, headers, url } from './api.js';

/** How much work is done before the browser may draw, in milliseconds. */
const TURN_MS = 12;

/** The longest line, and the longest element of an array, in characters. The server takes operations of 10 MB. */
const PART_MAX = 20_000_000;

function bounded(part) {
  if (part.length > PART_MAX) throw new RangeError('a line or an element is longer than 20 MB');
  return part;
}

/** Lets the browser draw and take input. */
export function breathe() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

/** The lines of a stream, which is decoded so. The browser gets its turn in between. */
export async function* linesOf(stream, decoder = new TextDecoderStream()) {
  const reader = stream.pipeThrough(decoder).getReader();
  let rest = '';
  let turn = performance.now();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += value;
      let from = 0;
      for (let at = rest.indexOf('\n'); at >= 0; at = rest.indexOf('\n', from)) {
        yield rest.slice(from, at);
        from = at + 1;
        if (performance.now() - turn > TURN_MS) {
          await breathe();
          turn = performance.now();
        }
      }
      rest = bounded(rest.slice(from));
    }
    if (rest) yield rest;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** The lines of a list as NDJSON. */
export async function* lines(where, query, signal) {
  const response = await call('GET', where, { query, signal, headers: { accept: 'application/x-ndjson' } });
  if (response.body) yield* linesOf(response.body);
}

/** Counts the records of a list without keeping any, to at most `max`. Tells how far it is. */
export async function countLines(where, max, signal, tell = () => {}) {
  const response = await call('GET', where, { signal, headers: { accept: 'application/x-ndjson' } });
  const reader = response.body.getReader();
  let found = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return { found, more: false };
    for (let at = value.indexOf(10); at >= 0; at = value.indexOf(10, at + 1)) found += 1;
    tell(found);
    if (found > max) {
      await reader.cancel().catch(() => {});
      return { found: max, more: true };
    }
  }
}

/** The events of a task, until its end. A stream that breaks off is taken up again where it was. */
export async function* events(where, signal) {
  let last = null;
  for (;;) {
    const extra = last === null ? {} : { 'last-event-id': last };
    let broken = null;
    try {
      const response = await call('GET', where, { signal, headers: { accept: 'text/event-stream', ...extra } });
      if (response.status === 204) return;
      let event = {};
      for await (const line of linesOf(response.body)) {
        if (line === '') {
          if (event.id) last = event.id;
          if (event.data) yield { name: event.name, data: JSON.parse(event.data) };
          if (event.name === 'end') return;
          event = {};
        }
        const at = line.indexOf(':');
        if (at <= 0) continue;
        const value = line.slice(at + 1).replace(/^ /, '');
        if (line.startsWith('event')) event.name = value;
        if (line.startsWith('id')) event.id = value;
        if (line.startsWith('data')) event.data = value;
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof ApiError && error.status !== 0 && error.status < 500 && error.status !== 429) throw error;
      broken = error;
    }
    yield { name: 'broken', error: broken };
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** How much of a rejection is kept: the rest is told by the command line. */
export const REJECTION_BYTES_MAX = 24_000_000;

/** Finds the elements of one array in JSON text that comes in pieces, such as `"receipts":[`. */
export class Elements {
  constructor(name) {
    this.opening = new RegExp(`"${name}"\\s*:\\s*\\[`);
    this.text = '';
    this.at = 0;
    this.begun = false;
    this.ended = false;
    this.head = '';
  }

  /** Takes a piece, and answers the elements that it completes, as text. */
  take(piece) {
    this.text += piece;
    const found = [];
    if (!this.begun) {
      const match = this.opening.exec(this.text);
      if (!match) return found;
      this.head = this.text.slice(0, match.index);
      this.text = this.text.slice(match.index + match[0].length);
      this.begun = true;
      this.start();
    }
    const text = this.text;
    for (; this.at < text.length && !this.ended; this.at += 1) {
      const c = text.charCodeAt(this.at);
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (c === 92) this.escaped = true;
        else if (c === 34) this.inString = false;
      } else if (c === 34) this.inString = true;
      else if (c === 123 || c === 91) {
        if (this.depth === 0) this.from = this.at;
        this.depth += 1;
      } else if (c === 125 || c === 93) {
        if (this.depth === 0) this.ended = true;
        else {
          this.depth -= 1;
          if (this.depth === 0) found.push(text.slice(this.from, this.at + 1));
        }
      }
    }
    const keep = this.depth > 0 ? this.from : this.at;
    this.text = bounded(text.slice(keep));
    this.at -= keep;
    this.from = 0;
    return found;
  }

  start() {
    this.depth = 0;
    this.from = 0;
    this.at = 0;
    this.inString = false;
    this.escaped = false;
  }
}

/**
 * Sends a file, and tells how much of it has gone: `fetch` does not tell. Answers `{status, body}`, where a rejection is
 * `{error, receipts, more}` with at most as many receipts as REJECTION_BYTES_MAX hold.
 */
export function upload(where, query, extra, body, { signal, tell = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const receipts = [];
    const elements = new Elements('receipts');
    let read = 0;
    const rejection = (more) => ({ status: 400, body: { ...headOf(elements), receipts, more } });
    request.open('POST', url(where, query));
    for (const [name, value] of Object.entries(headers(extra))) {
      request.setRequestHeader(name, value);
    }
    request.upload.addEventListener('progress', (event) => tell(event.loaded, event.total));
    const take = () => {
      for (const text of elements.take(request.responseText.slice(read))) receipts.push(JSON.parse(text));
      read = request.responseText.length;
    };
    request.addEventListener('progress', () => {
      if (request.status !== 400) return;
      take();
      if (read > REJECTION_BYTES_MAX) {
        resolve(rejection(true));
        request.abort();
      }
    });
    request.addEventListener('load', () => {
      if (request.status === 400) {
        take();
        if (elements.begun) return resolve(rejection(false));
      }
      const requestId = request.getResponseHeader('x-request-id');
      try {
        const answer = JSON.parse(request.responseText);
        if (request.status < 300) resolve({ status: request.status, body: answer });
        else reject(new ApiError(request.status, { ...answer, requestId }));
      } catch {
        reject(new ApiError(request.status, { message: `the server answered ${request.status}`, requestId }));
      }
    });
    const gone = 'the connection broke before the answer came; the request may have been accepted: look at the tasks';
    request.addEventListener('error', () => reject(new ApiError(0, { message: gone })));
    request.addEventListener('abort', () => reject(new DOMException('called off', 'AbortError')));
    signal?.addEventListener('abort', () => request.abort());
    request.send(body);
  });
}

function headOf(elements) {
  try {
    return JSON.parse(`${elements.head.replace(/,\s*$/, '')}}`);
  } catch {
    return {};
  }
}
