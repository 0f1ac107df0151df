// A line that grows at its right end: operations a second, over the last two minutes.

import { compact, h, number, s } from './dom.js';

const POINTS = 120;
const WIDTH = 600;
const HEIGHT = 120;

/** A round number that is not below `n`. */
function ceiling(n) {
  if (n <= 10) return 10;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((step) => step * power).find((round) => round >= n);
}

export class LiveChart {
  constructor(unit) {
    this.unit = unit;
    this.values = [];
    this.area = s('path.area');
    this.line = s('path.trace');
    this.top = s('text.axis', { x: WIDTH - 4, y: 12, 'text-anchor': 'end' });
    this.svg = s('svg.chart', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      s('line.grid', { x1: 0, x2: WIDTH, y1: 1, y2: 1 }),
      s('line.grid', { x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }),
      s('line.grid', { x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 }),
      this.area, this.line);
    this.value = h('span.figure', '0');
    this.peak = h('span.muted.small', '');
    this.element = h('div.live',
      h('div.live-head', h('span', this.value, ' ', h('span.muted', unit)), this.peak), this.svg,
      h('div.live-foot.muted.small', h('span', '2 min ago'), h('span', 'now')));
    this.draw();
  }

  /** The value of the last second. */
  push(value) {
    this.values.push(Math.max(0, value));
    if (this.values.length > POINTS) this.values.shift();
    this.draw();
  }

  draw() {
    const last = this.values.at(-1) ?? 0;
    const peak = Math.max(0, ...this.values);
    const top = ceiling(peak);
    const x = (at) => ((POINTS - this.values.length + at) * WIDTH) / (POINTS - 1);
    const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 10);
    const points = this.values.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    this.line.setAttribute('d', points.length > 0 ? `M${points.join('L')}` : '');
    this.area.setAttribute('d', points.length > 0 ? `M${x(0).toFixed(1)} ${HEIGHT}L${points.join('L')}L${WIDTH} ${HEIGHT}Z` : '');
    this.value.textContent = compact(last);
    this.peak.textContent = peak > 0 ? `at most ${number(Math.round(peak))}` : 'nothing in the last two minutes';
    this.svg.setAttribute('aria-label', `${this.unit}: ${number(Math.round(last))} now, at most ${number(Math.round(peak))} in the last two minutes`);
  }
}
