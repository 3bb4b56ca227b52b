// Drills: what they will be, and what can be done in their place today.
import { has } from './api.js';
import { h } from './dom.js';
import { empty } from './parts.js';

const STEPS = [
  ['A story', 'What customers see, and what must hold: the hypothesis.'],
  ['A fault', 'Something breaks under load, for a bounded time.'],
  ['An alert', 'The right one fires, and clears again. Hints, if you want them.'],
  ['A verdict', 'Time to detect, time to recover, budget spent, and an audit: nothing lost, doubled or oversold.'],
];

export async function show(page) {
  const there = await has('/api/ops/drills').catch(() => false);
  page.append(
    h('h1', {}, 'Drills'),
    h('p', { class: 'lead' }, 'A drill breaks the platform on purpose and grades how it, and you, come through.'),
    there
      ? h('p', { class: 'notice' }, 'Drills are run through the API so far: ', h('a', { href: '/docs' }, 'see how'), '.')
      : empty('There are no drills yet', 'This platform can’t run one from here. What it can do today is below.'),
    h('section', { 'aria-labelledby': 'parts' }, h('h2', { id: 'parts' }, 'What a drill will be'),
      h('ol', { class: 'steps' }, STEPS.map(([title, text]) => h('li', { class: 'card' }, h('h3', {}, title), h('p', {}, text))))),
    h('section', { 'aria-labelledby': 'today' }, h('h2', { id: 'today' }, 'Today, in a shell'),
      h('p', {}, 'Sells under load, kills a replica every two seconds, counts what buyers saw, and audits every order, mail and piece of stock:'),
      h('pre', { tabindex: '0' }, 'seawall bench --orders 20000 --kill-every 2s'),
      h('p', {}, 'It ends with 0 only if no request failed and nothing was lost, doubled or oversold.')));
}
