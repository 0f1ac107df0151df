// CSV (RFC 4180): rows from pieces of text, and text from rows.

/** The longest row: a quote that is never closed would else take the whole file. The server takes 10 MB. */
const ROW_MAX = 20_000_000;

/** A file whose form is not known, or that cannot be sent from here. */
export class BadFile extends Error {}

/** Rows from text that comes in pieces. A strict one refuses what the server would, and takes nothing for what it may be. */
export class CsvRows {
  constructor(delimiter = ',', { strict = false } = {}) {
    this.delimiter = delimiter;
    this.strict = strict;
    this.rest = '';
    this.count = 0;
  }

  /** Takes a piece, and answers the rows that it completes; the last piece is told by `last`. */
  take(piece, last = false) {
    const text = this.rest + piece;
    const rows = [];
    let from = 0;
    for (;;) {
      const row = rowFrom(text, from, this.delimiter, last);
      if (!row) break;
      if (this.strict && row.fault) throw new BadFile(`row ${this.count + 1} is no CSV: ${row.fault}`);
      // Empty lines are passed over.
      if (row.cells.length > 1 || row.cells[0] !== '' || row.quoted) {
        this.count += 1;
        rows.push(row.cells);
      }
      from = row.end;
    }
    this.rest = text.slice(from);
    if (this.rest.length > ROW_MAX) throw new BadFile('a row is longer than 20 MB; is there a quote that is never closed?');
    return rows;
  }
}

/** The row that begins at `from`; `null` where it may go on. */
function rowFrom(text, from, delimiter, last) {
  if (from >= text.length) return null;
  const cells = [];
  let cell = '';
  let quoted = false;
  let fault = null;
  let at = from;
  // True where the cell was in quotes, and they are closed.
  let closed = false;
  for (;;) {
    if (text[at] === '"' && cell === '' && !closed) {
      quoted = true;
      let piece = at + 1;
      for (;;) {
        const quote = text.indexOf('"', piece);
        if (quote < 0) {
          if (!last) return null;
          cell += text.slice(piece);
          fault ??= 'it opens a quote that is not closed';
          return { cells: [...cells, cell], end: text.length, quoted, fault };
        }
        cell += text.slice(piece, quote);
        if (text[quote + 1] === '"') {
          cell += '"';
          piece = quote + 2;
        } else {
          // The next piece may begin with a second quote.
          if (quote + 1 >= text.length && !last) return null;
          at = quote + 1;
          closed = true;
          break;
        }
      }
    }
    const c = text[at];
    if (c === undefined) {
      if (!last) return null;
      return { cells: [...cells, cell], end: at, quoted, fault };
    }
    if (c === delimiter) {
      cells.push(cell);
      cell = '';
      closed = false;
      at += 1;
    } else if (c === '\n' || (c === '\r' && text[at + 1] === '\n')) {
      return { cells: [...cells, cell], end: at + (c === '\n' ? 1 : 2), quoted, fault };
    } else if (c === '\r' && at + 1 >= text.length && !last) {
      return null;
    } else {
      if (closed) fault ??= 'something follows a closing quote';
      else if (c === '"') fault ??= 'a quote stands inside a cell; put the cell in quotes and write the quote twice';
      cell += c;
      at += 1;
    }
  }
}

/** A row as text, with a line end. One of a single empty cell is no empty line. */
export function rowText(cells) {
  if (cells.length === 1 && cells[0] === '') return '""\n';
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\n`;
}

/** What stands between the cells of this header: the most frequent of those that are in use. */
export function delimiterOf(head) {
  const line = head.slice(0, head.search(/[\r\n]|$/));
  const count = (c) => line.split(c).length - 1;
  const [best] = [',', ';', '\t'].sort((a, b) => count(b) - count(a));
  return count(best) > 0 ? best : ',';
}
