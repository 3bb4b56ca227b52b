// The platform live: who runs, how it does, and what happens when something is killed.
import { call, get, has, poll, Problem, request, sleep } from './api.js';
import { announce, fill, h, millis, moment, number, say, span } from './dom.js';
import { badge, confirm, dialog, during, empty, problemBox, toast } from './parts.js';
import { inbox } from './alerts.js';
import { chaos } from './chaos.js';
import { plot } from './plot.js';

const JOURNAL = 50;
const percent = (part) => (part == null ? '–' : `${number(part * 100, 1)} %`);
const rate = (value) => (value == null ? '–' : number(value, value < 10 ? 1 : 0));

/** Name, what it is of, how it is written, what is above the plot. */
const SIGNALS = [
  ['Requests/s', (s) => s.requests_per_second, rate],
  ['Failed', (s) => s.error_ratio, percent],
  ['Latency p50', (s) => s.p50_ms, millis],
  ['Latency p95', (s) => s.p95_ms, millis],
  ['Latency p99', (s) => s.p99_ms, millis],
  ['In flight', (s) => s.in_flight, rate],
  ['Saturation', (s) => s.saturation, percent],
];

export async function show(page, context) {
  page.append(h('h1', {}, 'Ops commander'), h('p', { class: 'lead' }, 'Asking the platform…'));
  if (!(await has('/api/ops/state'))) return withoutCommander(page, context);
  const first = await context.guard(() => get('/ops/state', context.signal));
  const view = board(page, context);
  view.state(first);
  return void follow(view, context);
}

/** All that is on the page, and how news changes it. */
function board(page, { signal }) {
  const live = h('span', { class: 'live' }, 'connecting');
  const about = h('p', { class: 'lead' });
  const map = services();
  const signals = h('div', { class: 'signals' });
  const plots = SIGNALS.map(([label, of, write]) => {
    const value = h('p', { class: 'value' }, '–');
    const line = plot(label, write);
    signals.append(h('div', { class: 'card signal' }, h('p', { class: 'fine' }, label), value, line.node));
    return (s) => line.add(of(s), value);
  });
  const queues = h('div', {});
  const log = journal();
  const alerts = inbox(signal);
  const out = h('div', { class: 'outcome' });
  const random = h('button', { type: 'button', class: 'danger big', onclick: () => during(random, out, () => kill({})) }, 'KILL RANDOM REPLICA');
  const breaking = chaos();
  page.replaceChildren(
    h('div', { class: 'spread wrap' }, h('div', {}, h('h1', {}, 'Ops commander'), about), live),
    h('div', { class: 'row wrap' }, random, breaking.buttons, h('p', { class: 'fine grow' }, 'A killed process dies at once, without a goodbye. Watch what takes its place; the shop should notice nothing.')),
    out,
    alerts.node,
    h('section', { 'aria-labelledby': 'golden' }, h('h2', { id: 'golden' }, 'Golden signals, last 2 minutes'), signals),
    h('section', { 'aria-labelledby': 'map' }, h('h2', { id: 'map' }, 'Replicas'), map.node),
    h('div', { class: 'columns' },
      h('section', { 'aria-labelledby': 'events' }, h('h2', { id: 'events' }, 'Journal'), log.node),
      h('div', {}, breaking.node, h('section', { 'aria-labelledby': 'queues' }, h('h2', { id: 'queues' }, 'Queues'), queues))));
  signal.addEventListener('abort', () => say(live, 'stopped'));
  return {
    alerts,
    entries: log.add,
    live(text, ok) {
      say(live, text);
      live.classList.toggle('is-live', ok);
    },
    state(now) {
      say(about, `${now.environment}, version ${now.version}`);
      breaking.update(now);
      map.update(now.services, new Date(now.at));
      for (const add of plots) add(now.signals);
      fill(queues, now.queues, () => queueTable(now.queues));
    },
  };
}

/** The stream of news, taken up again whenever it ends. */
async function follow(view, { signal }) {
  for (let wait = 1; !signal.aborted; wait = Math.min(wait * 2, 10)) {
    try {
      const response = await request('GET', '/ops/live', { signal });
      // Asked once the stream has begun, so that nothing of the time before it is missed.
      view.entries((await get(`/ops/journal?limit=${JOURNAL}`, signal)).items);
      await view.alerts.load();
      view.live('live', true);
      wait = 1;
      await read(response.body, (name, data) => {
        if (name === 'state') view.state(data);
        if (name === 'journal') view.entries([data]);
        if (name === 'alert') view.alerts.news(data);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) {
        view.live('log in again to go on', false);
        return;
      }
    }
    if (signal.aborted) return;
    view.live(`taking it up again in ${wait} s`, false);
    await sleep(wait * 1000, signal);
  }
}

/** Server-sent events (WHATWG HTML, section 9.2) out of a body: EventSource can't send a token. */
async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/);
      const of = (field) => lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).trimStart());
      const data = of('data').join('\n');
      if (data) on(of('event')[0] ?? 'message', JSON.parse(data));
    }
  }
}

/** The map. Rows stay the same elements, so that focus stays where it is. */
function services() {
  const node = h('div', { class: 'services' });
  const rows = new Map();
  const replica = (name) => {
    const state = h('span', {});
    const since = h('span', { class: 'fine' });
    const button = h('button', { type: 'button', class: 'small', 'aria-label': `Kill ${name}`, onclick: () => askKill(name) }, 'Kill');
    const where = h('span', { class: 'fine' });
    const row = h('li', { class: 'replica', 'data-replica': name }, h('div', { class: 'grow' }, h('p', { class: 'strong' }, name), since, where), state, button);
    return { row, update(now, at) {
      if (fill(state, now.state, badge(now.state)) && row.seenOnce && now.state !== 'ready') {
        row.classList.remove('struck');
        requestAnimationFrame(() => row.classList.add('struck'));
      }
      row.seenOnce = true;
      row.dataset.state = now.state;
      row.dataset.restarts = now.restarts;
      const up = now.started_at && now.state !== 'down' ? `up ${span((at - new Date(now.started_at)) / 1000)}` : 'not running';
      say(since, `${up} · ${now.restarts === 1 ? '1 restart' : `${now.restarts} restarts`}`);
      say(where, now.address ?? '');
      button.hidden = !now.killable;
      button.disabled = now.state === 'down';
    } };
  };
  const update = (all, at) => {
    for (const { replicas } of all) {
      for (const now of replicas) {
        if (!rows.has(now.name)) rows.set(now.name, replica(now.name));
        rows.get(now.name).update(now, at);
      }
    }
    const count = ({ replicas }) => replicas.filter((one) => one.state === 'ready').length;
    fill(node, all.map((service) => [service.name, service.replicas.map((one) => one.name)]), () => all.map((service) => h('div', { class: 'card service' },
      h('div', { class: 'spread' }, h('h3', {}, service.name), h('p', { class: 'fine', 'data-count': service.name })),
      h('ul', {}, service.replicas.map((one) => rows.get(one.name).row)))));
    for (const service of all) {
      say(node.querySelector(`[data-count="${CSS.escape(service.name)}"]`), `${count(service)} of ${service.replicas.length} ready`);
    }
  };
  return { node, update };
}

async function kill(body) {
  const entry = await call('POST', '/ops/kill', { body });
  toast(`${entry.target ?? 'A replica'} was killed.`);
}

function askKill(replica) {
  const force = async (out) => {
    try {
      await kill({ replica });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'last_replica') throw error;
      box.close();
      lastOne(replica, error);
      out.replaceChildren();
    }
  };
  const box = confirm({
    title: `Kill ${replica}?`,
    text: 'The process dies at once (SIGKILL), with all that it has in its hands. It is started again by itself.',
    button: `Kill ${replica}`,
    action: force,
  });
}

/** The last ready one: refused, unless somebody insists. */
function lastOne(replica, problem) {
  const out = h('div', { class: 'outcome' });
  const yes = h('button', { type: 'button', class: 'danger', onclick: () => during(yes, out, async () => { await kill({ replica, force: true }); box.close(); }) }, 'Kill it all the same');
  const no = h('button', { type: 'button', autofocus: true, onclick: () => box.close() }, 'Leave it');
  const box = dialog(`${replica} is the last one`, problemBox(problem), h('div', { class: 'row' }, yes, no), out);
}

/** What was done and what happened, newest first. */
function journal() {
  const node = h('div', { role: 'log', 'aria-label': 'Journal' }, empty('Quiet so far', 'Kills, deaths and recoveries show here.'));
  const known = new Map();
  const add = (entries) => {
    for (const entry of entries) known.set(entry.id, entry);
    const all = [...known.values()].sort((a, b) => b.at.localeCompare(a.at)).slice(0, JOURNAL);
    for (const id of known.keys()) if (!all.some((entry) => entry.id === id)) known.delete(id);
    if (all.length) fill(node, all, () => h('ul', { class: 'journal' }, all.map(line)));
    const [last] = entries;
    if (entries.length === 1 && last.recovered_ms != null) announce(`${last.target} is back after ${millis(last.recovered_ms)}.`);
  };
  return { node, add };
}

function line(entry) {
  return h('li', { class: 'entry' }, h('div', { class: 'grow' },
    h('p', {}, h('strong', {}, entry.action), ' ', entry.target ?? '', entry.recovered_ms == null ? '' : h('span', { class: 'healed' }, ` back after ${millis(entry.recovered_ms)}`)),
    h('p', { class: 'fine' }, moment(entry.at), ' · ', entry.who, entry.detail ? ` · ${entry.detail}` : '')), badge(entry.outcome));
}

export function queueTable(queues) {
  if (!queues.length) return empty('No queues', 'The worker can’t be asked right now.');
  const states = ['waiting', 'running', 'retrying', 'dead'];
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Queues' }, h('table', {},
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Queue'), states.map((s) => h('th', { scope: 'col', class: 'number' }, s)), h('th', { scope: 'col', class: 'number' }, 'oldest'))),
    h('tbody', {}, queues.map((q) => h('tr', {}, h('th', { scope: 'row' }, q.name),
      states.map((s) => h('td', { class: `number${s === 'dead' && q[s] ? ' bad' : ''}` }, number(q[s] ?? 0))),
      h('td', { class: 'number' }, span(q.oldest_seconds ?? 0)))))));
}

/** Without commander the front door still tells how many replicas are ready. */
function withoutCommander(page, { signal, refresh }) {
  const place = h('div', { class: 'services' });
  const queues = h('div', {});
  page.replaceChildren(h('h1', {}, 'Ops commander'),
    h('p', { class: 'notice' }, 'Commander doesn’t run here, so nothing can be killed from this page and there are no signals. This is what the front door knows.'),
    h('section', { 'aria-labelledby': 'map' }, h('h2', { id: 'map' }, 'Replicas'), place),
    h('section', { 'aria-labelledby': 'queues' }, h('h2', { id: 'queues' }, 'Queues'), queues));
  const look = async () => {
    const status = await get('/status', signal);
    fill(place, status.services, () => Object.entries(status.services).map(([name, { ready, total }]) => h('div', { class: 'card service' },
      h('div', { class: 'spread' }, h('h3', {}, name), badge(ready === total ? 'ready' : ready ? 'degraded' : 'down')),
      h('p', {}, `${ready} of ${total} ready`))));
    const list = Object.entries(status.queues ?? {}).map(([name, q]) => ({ name, ...q }));
    fill(queues, list, () => queueTable(list));
  };
  refresh(look);
  poll(signal, 1000, look);
}
