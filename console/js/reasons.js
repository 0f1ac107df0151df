// Groups failures by their reason: the type of the error and its message without what differs from one to the next. Keeps
// of each failure its index alone, so that very many fit.

import { split } from './marks.js';

/** More reasons than these are counted together. */
export const REASONS_MAX = 100;

/** A message without names, numbers and lines: `record with id '…' already exists`. */
export function template(message) {
  return message
    .replace(/ \(line \d+(, column '[^']*')?\)/g, '')
    .replace(/'[^']*'/g, "'…'")
    .replace(/"[^"]*"/g, '"…"')
    .replace(/-?\d[\d.,]*/g, '#');
}

/** What an error is about: its type, its place in the operation, and what is said. */
export function reasonOf(error) {
  const first = (error.details ?? [])[0];
  const told = first ? { path: first.path ?? null, message: first.message } : split(error.message ?? '');
  const place = (told.path ?? '').replace(/\/\d+(?=\/|$)/g, '/#');
  return { type: first?.type ?? error.type, code: error.code, place, message: template(told.message), told: told.message };
}

export class Reasons {
  constructor() {
    this.groups = new Map();
    this.count = 0;
  }

  /** Takes the failure of one operation. */
  add(index, error) {
    this.count += 1;
    const reason = reasonOf(error);
    let name = `${reason.type} ${reason.place} ${reason.message}`;
    if (!this.groups.has(name) && this.groups.size >= REASONS_MAX) {
      name = 'others';
      Object.assign(reason, { type: 'OTHER', place: '', message: 'other reasons', told: 'other reasons' });
    }
    const group = this.groups.get(name) ?? { name, ...reason, indexes: [] };
    group.indexes.push(index);
    // Where all say the same, it is said in full.
    if (group.told !== reason.told) group.told = group.message;
    this.groups.set(name, group);
  }

  /** The reasons, the most frequent first. */
  sorted() {
    return [...this.groups.values()].sort((a, b) => b.indexes.length - a.indexes.length);
  }
}
