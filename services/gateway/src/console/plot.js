// Small plots of the last two minutes.
import { say, svg } from './dom.js';

const SECONDS = 120;
const WIDTH = 240;
const HEIGHT = 56;

/** A line that grows to the right. `write` makes text of a value. */
export function plot(label, write) {
  const values = [];
  const area = svg('path', { class: 'plot-area' });
  const line = svg('path', { class: 'plot-line' });
  const node = svg('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, area, line);
  const draw = () => {
    const known = values.filter((value) => value !== null);
    const top = Math.max(...known, 1e-9);
    const x = (i) => WIDTH - ((values.length - 1 - i) * WIDTH) / (SECONDS - 1);
    const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 8);
    // Where nothing was measured the line has a gap.
    let path = '';
    let shade = '';
    let start = null;
    values.forEach((value, i) => {
      if (value === null) start = null;
      else {
        path += `${start === null ? 'M' : 'L'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
        start ??= i;
        if (values[i + 1] == null) shade += `${segment(start, i, x, y)}`;
      }
    });
    line.setAttribute('d', path);
    area.setAttribute('d', shade);
    const told = known.length
      ? `now ${write(values.at(-1))}, between ${write(Math.min(...known))} and ${write(Math.max(...known))} in the last ${values.length} seconds`
      : 'nothing measured yet';
    node.setAttribute('aria-label', `${label}: ${told}`);
  };
  const segment = (from, to, x, y) => {
    let d = `M${x(from).toFixed(1)} ${HEIGHT}`;
    for (let i = from; i <= to; i += 1) d += `L${x(i).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    return `${d}L${x(to).toFixed(1)} ${HEIGHT}Z`;
  };
  const add = (value, shown) => {
    values.push(value ?? null);
    if (values.length > SECONDS) values.shift();
    if (shown) say(shown, write(value));
    draw();
  };
  return { node, add };
}
