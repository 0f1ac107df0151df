// The API, as any client calls it. The key is kept for the tab and sent with every call.

const BASE = new URL('.', document.baseURI);
const KEY = 'granary.key';

/** A call that failed: the error object of the API, or that the server is out of reach. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.message ?? 'the call failed');
    this.status = status;
    this.code = body.code ?? status;
    this.type = body.type ?? 'UNREACHABLE';
    this.details = body.details ?? [];
    this.detailsTotal = body.detailsTotal ?? this.details.length;
    this.requestId = body.requestId ?? null;
    this.body = body;
  }
}

export function key() {
  return sessionStorage.getItem(KEY);
}

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

let askForKey = async () => false;

/** Says what asks for a key; it answers whether there is another one. */
export function whenKeyIsNeeded(ask) {
  askForKey = ask;
}

/** A path of the API: each value is encoded. */
export function path(strings, ...values) {
  return strings.reduce((all, text, at) => all + encodeURIComponent(values[at - 1]) + text);
}

export function url(where, query = {}) {
  const full = new URL(where.replace(/^\//, ''), BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') full.searchParams.set(name, value);
  }
  return full;
}

export function headers(extra = {}) {
  const all = { ...extra };
  if (key()) all['x-api-key'] = key();
  return all;
}

/** Calls, asks for a key where one is needed, and answers the response, which may still be an error. */
export async function raw(method, where, { query, body, headers: extra, signal } = {}) {
  for (;;) {
    const sent = key();
    let response;
    try {
      response = await fetch(url(where, query), { method, body, headers: headers(extra), signal, cache: 'no-store' });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, { message: 'the server is out of reach; it may have been stopped, or the network is gone' });
    }
    if (response.status !== 401) return response;
    const why = await errorOf(response);
    // Another call may have got a key meanwhile.
    if (key() === sent && !(await askForKey(why.message))) throw why;
  }
}

export async function errorOf(response) {
  const requestId = response.headers.get('x-request-id');
  let body;
  try {
    body = await response.json();
  } catch {
    body = { message: `the server answered ${response.status}` };
  }
  return new ApiError(response.status, { ...body, requestId });
}

/** A call that must succeed. */
export async function call(method, where, options) {
  const response = await raw(method, where, options);
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** What a read answers, as a value. */
export async function get(where, query, signal) {
  return (await call('GET', where, { query, signal })).json();
}

/** What a read answers as it is written, with its tag: digits and order are kept. */
export async function getText(where, query, signal) {
  const response = await call('GET', where, { query, signal });
  return { text: await response.text(), tag: response.headers.get('etag') };
}

/** All pages of a list that is bounded by the server, such as profiles. */
export async function all(where, signal, max = 2_000) {
  const found = [];
  let cursor;
  do {
    const page = await get(where, { limit: 1000, cursor }, signal);
    found.push(...page.data);
    cursor = page.meta.cursor;
  } while (cursor && found.length < max);
  return found;
}

/** Profiles and relationship definitions of a source. */
export async function definitions(source, signal) {
  const [profiles, relationships] = await Promise.all([
    all(path`/sources/${source}/v1/profiles`, signal),
    all(path`/sources/${source}/v1/relationship-definitions`, signal),
  ]);
  return { profiles, relationships };
}
