// JSON as it is written: a tree that keeps the digits of numbers, the order of members and where each value stands, for
// records are shown as they are and faults are marked at their place.

/** How deep values may nest: far more than the server takes. */
const DEPTH_MAX = 200;

/** A fault of the text, at `at`. */
export class JsonError extends Error {
  constructor(message, at) {
    super(message);
    this.at = at;
  }
}

/**
 * Reads a text. A node has `kind`, where it stands (`from`, `to`), and by kind `members` (`{name, nameFrom, nameTo,
 * value}`), `items`, or `text`, which for a string is what it means and else what is written.
 */
export function parse(text) {
  const reader = new Reader(text);
  const node = reader.value(0);
  reader.space();
  if (reader.at < text.length) throw new JsonError('there is something behind the end of the value', reader.at);
  return node;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  space() {
    while (this.at < this.text.length && ' \t\r\n'.includes(this.text[this.at])) this.at += 1;
  }

  value(depth) {
    if (depth > DEPTH_MAX) throw new JsonError('it is nested too deeply', this.at);
    this.space();
    const from = this.at;
    const c = this.text[this.at];
    let node;
    if (c === '{') node = this.object(depth);
    else if (c === '[') node = this.array(depth);
    else if (c === '"') node = { kind: 'string', text: this.string() };
    else node = this.word();
    return { ...node, from, to: this.at };
  }

  object(depth) {
    const members = [];
    this.at += 1;
    this.space();
    while (this.text[this.at] !== '}') {
      if (members.length > 0) this.expect(',');
      this.space();
      if (this.text[this.at] !== '"') throw new JsonError('a name in quotes is missing', this.at);
      const nameFrom = this.at;
      const name = this.string();
      const nameTo = this.at;
      this.expect(':');
      members.push({ name, nameFrom, nameTo, value: this.value(depth + 1) });
      this.space();
    }
    this.at += 1;
    return { kind: 'object', members };
  }

  array(depth) {
    const items = [];
    this.at += 1;
    this.space();
    while (this.text[this.at] !== ']') {
      if (items.length > 0) this.expect(',');
      items.push(this.value(depth + 1));
      this.space();
    }
    this.at += 1;
    return { kind: 'array', items };
  }

  expect(c) {
    this.space();
    if (this.text[this.at] !== c) {
      throw new JsonError(this.at >= this.text.length ? 'the text ends too early' : `'${c}' is missing`, this.at);
    }
    this.at += 1;
  }

  string() {
    const from = this.at;
    for (this.at += 1; this.at < this.text.length; this.at += 1) {
      const c = this.text[this.at];
      if (c === '\\') this.at += 1;
      else if (c === '"') {
        this.at += 1;
        try {
          return JSON.parse(this.text.slice(from, this.at));
        } catch {
          throw new JsonError('this string is not valid', from);
        }
      }
    }
    throw new JsonError('this string has no end', from);
  }

  word() {
    const found = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/.exec(
      this.text.slice(this.at, this.at + 400),
    );
    if (!found) {
      throw new JsonError(this.at >= this.text.length ? 'the text ends too early' : 'no value begins here', this.at);
    }
    this.at += found[0].length;
    const kind = found[0] === 'null' ? 'null' : /^[tf]/.test(found[0]) ? 'boolean' : 'number';
    return { kind, text: found[0] };
  }
}

/** The member of an object with this name; `null` where there is none. */
export function member(node, name) {
  return node?.kind === 'object' ? (node.members.find((one) => one.name === name)?.value ?? null) : null;
}

/** Steps of a JSON pointer. */
export function steps(pointer) {
  return pointer === '' ? [] : pointer.slice(1).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

export function step(name) {
  return String(name).replaceAll('~', '~0').replaceAll('/', '~1');
}

/**
 * What a pointer points to: the node, the member it is in, and how much of the pointer was found. Where a member is
 * missing, the last that is there.
 */
export function find(node, pointer) {
  let found = { node, member: null, whole: true, pointer: '' };
  for (const name of steps(pointer)) {
    const at = found.node;
    let next = null;
    if (at.kind === 'object') {
      const inside = at.members.find((one) => one.name === name);
      if (inside) next = { node: inside.value, member: inside };
    } else if (at.kind === 'array' && /^\d+$/.test(name) && at.items[Number(name)]) {
      next = { node: at.items[Number(name)], member: null };
    }
    if (!next) return { ...found, whole: false };
    found = { ...next, whole: true, pointer: `${found.pointer}/${step(name)}` };
  }
  return found;
}

/** A node as text over several lines; short ones stay on one. */
export function pretty(node, indent = '', width = 96) {
  const flat = inline(node, width - indent.length);
  if (flat !== null) return flat;
  const inner = `${indent}  `;
  if (node.kind === 'object') {
    const parts = node.members.map(({ name, value }) => {
      const label = `${JSON.stringify(name)}: `;
      return `${inner}${label}${pretty(value, inner, width - label.length)}`;
    });
    return `{\n${parts.join(',\n')}\n${indent}}`;
  }
  const parts = node.items.map((item) => `${inner}${pretty(item, inner, width)}`);
  return `[\n${parts.join(',\n')}\n${indent}]`;
}

/** A node on one line, if it fits. */
export function inline(node, width = Infinity) {
  let text;
  if (node.kind === 'string') text = JSON.stringify(node.text);
  else if (node.kind === 'object') {
    const parts = [];
    let length = 2;
    for (const { name, value } of node.members) {
      const part = inline(value, width);
      if (part === null) return null;
      parts.push(`${JSON.stringify(name)}: ${part}`);
      length += parts.at(-1).length + 2;
      if (length > width) return null;
    }
    return parts.length > 0 ? `{${parts.join(', ')}}` : '{}';
  } else if (node.kind === 'array') {
    const parts = [];
    let length = 2;
    for (const item of node.items) {
      const part = inline(item, width);
      if (part === null) return null;
      parts.push(part);
      length += part.length + 2;
      if (length > width) return null;
    }
    return `[${parts.join(', ')}]`;
  } else return node.text;
  return node.kind === 'string' || text.length <= width ? text : null;
}

/** The line of a place in a text, counted from 1. */
export function lineOf(text, at) {
  let line = 1;
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', next + 1)) line += 1;
  return line;
}
