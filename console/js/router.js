// Addresses of the console: `#/sources/clinic/data/provider?identifier=…`. Each view has one, so that links and the
// browser's buttons work.

/** An address; each part is encoded. `query` may hold `null`, which is left out. */
export function link(parts, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const search = new URLSearchParams(kept).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`;
}

/** The address that the browser is at: its parts and its query. */
export function here() {
  const raw = location.hash.startsWith('#/') ? location.hash.slice(2) : '';
  const at = raw.indexOf('?');
  const path = at < 0 ? raw : raw.slice(0, at);
  const query = new URLSearchParams(at < 0 ? '' : raw.slice(at + 1));
  const parts = path.split('/').filter(Boolean).map(decoded);
  return { parts, query };
}

/** A part of an address; one that is not encoded rightly stays as it is. */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Goes to an address. */
export function go(address) {
  location.hash = address;
}
