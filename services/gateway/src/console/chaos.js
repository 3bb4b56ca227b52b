// Breaking on purpose, within bounds: load, faults and outages. Each is gone by itself when its time is over.
import { call, newKey } from './api.js';
import { fill, h, millis, number, say, span } from './dom.js';
import { dialog, during, empty, field, form, toast } from './parts.js';

const KINDS = { orders: 'Orders', products: 'Products read', images: 'Pictures read', jobs: 'Jobs' };

const count = (label, name, value, max, hint) => field({ label, name, type: 'number', min: 0, max, value, required: true, hint });
const share = () => field({ label: 'Share of requests, %', name: 'percent', type: 'number', min: 1, max: 100, value: 100, required: true });
const route = () => field({ label: 'Route', name: 'route', placeholder: '/orders/{id}', hint: 'As the service names it; empty: all.' });
const some = ({ percent, route: of }) => ({ percent: Number(percent), ...(of ? { route: of } : {}) });
const mode = () => field({ label: 'How', input: h('select', { name: 'mode' }, ['stopped', 'slow', 'severed'].map((name) => h('option', {}, name))) });
const dependency = { all: true, fields: () => [mode(), count('Delay when slow, ms', 'latency_ms', 1000, 30000)], spec: ({ mode: how, latency_ms: ms }) => ({ mode: how, ...(how === 'slow' ? { latency_ms: Number(ms) } : {}) }) };

/** What each fault asks for, and the spec that it becomes. */
const FAULTS = {
  latency: { about: 'Answers come late.', fields: () => [count('Delay, ms', 'latency_ms', 2000, 60000), share(), route()], spec: (v) => ({ latency_ms: Number(v.latency_ms), ...some(v) }) },
  error: { about: 'Answers are errors.', fields: () => [field({ label: 'Status', name: 'status', type: 'number', min: 400, max: 599, value: 503, required: true }), share(), route()], spec: (v) => ({ status: Number(v.status), ...some(v) }) },
  hang: { about: 'Requests are taken and never answered.', fields: () => [share(), route()], spec: some },
  unready: { about: 'The replica says that it isn’t ready.' },
  cpu: { about: 'Burns processor time.', fields: () => [count('Threads', 'threads', 1, 8)], spec: (v) => ({ threads: Number(v.threads) }) },
  memory: { about: 'Takes memory.', fields: () => [count('Megabytes', 'megabytes', 64, 512)], spec: (v) => ({ megabytes: Number(v.megabytes) }) },
  crash: { about: 'The process aborts.' },
  database: { about: 'The service’s database is away, slow, or cuts connections.', ...dependency },
  queue: { about: 'The queue is away, slow, or cuts connections.', ...dependency },
  expired_key: { about: 'New access tokens are signed with a key that nobody accepts any more. For auth alone.' },
};

/** The buttons beside the red one, and what they have set in motion. `update` gets each new state. */
export function chaos() {
  const out = h('div', { class: 'outcome' });
  const load = h('button', { type: 'button', class: 'primary big', onclick: () => askLoad() }, 'ACTIVATE LOAD');
  const stop = h('button', { type: 'button', hidden: true, onclick: () => during(stop, out, async () => { await call('DELETE', '/ops/load'); toast('The load stops.'); }) }, 'Stop the load');
  let services = [];
  const fault = h('button', { type: 'button', class: 'big', onclick: () => askFault(services) }, 'INJECT FAULT');
  const running = h('p', { class: 'stress', role: 'status' });
  const active = h('div', {});
  const node = h('section', { 'aria-labelledby': 'broken' }, h('h2', { id: 'broken' }, 'Broken on purpose'), h('div', { class: 'row wrap' }, running, stop), out, active);
  const update = (now) => {
    services = now.services;
    stop.hidden = !now.load;
    load.disabled = Boolean(now.load);
    running.classList.toggle('is-on', Boolean(now.load));
    say(running, now.load ? loadLine(now.load) : 'No load from here.');
    const at = new Date(now.at);
    const list = now.faults.map((f) => ({ ...f, left: Math.max(0, Math.round((new Date(f.until) - at) / 1000)) }));
    fill(active, list, () => (list.length ? faults(list, out) : empty('Nothing is broken', 'Faults that are active show here, and how long they last.')));
  };
  return { node, buttons: [load, fault], update };
}

function loadLine(load) {
  const failed = load.sent ? ` · ${number((load.failed / load.sent) * 100, 2)} % failed` : '';
  return `Load: ${KINDS[load.kind] ?? load.kind}, ${number(load.rate)}/s · ${number(load.sent)} sent${failed} · p99 ${millis(load.p99_ms)}`;
}

function faults(list, out) {
  const all = h('button', { type: 'button', onclick: () => during(all, out, async () => { await call('DELETE', '/ops/faults'); toast('All faults are taken back.'); }) }, 'Take all back');
  const line = (f) => {
    const back = h('button', { type: 'button', class: 'small', 'aria-label': `Take back ${f.fault} of ${f.replica}`, onclick: () => during(back, out, () => call('DELETE', `/ops/faults/${f.id}`)) }, 'Take back');
    return h('li', { class: 'entry', 'data-fault': f.fault }, h('div', { class: 'grow' }, h('p', {}, h('strong', {}, f.fault), ' ', f.replica), h('p', { class: 'fine' }, [...details(f), `${span(f.left)} left`].join(' · '))), back);
  };
  return [h('ul', { class: 'journal' }, list.map(line)), h('div', { class: 'row' }, all)];
}

/** Its parameters, as words. */
function details(f) {
  const known = { mode: f.mode, delay: f.latency_ms && millis(f.latency_ms), status: f.status, route: f.route, share: f.percent && f.percent < 100 && `${f.percent} %`, threads: f.threads, memory: f.megabytes && `${f.megabytes} MB` };
  return Object.entries(known).filter(([, value]) => value).map(([name, value]) => `${name} ${value}`);
}

function askLoad() {
  const kind = h('select', { name: 'kind' }, Object.entries(KINDS).map(([value, text]) => h('option', { value }, text)));
  const send = async ({ kind: of, rate, seconds }) => {
    await call('POST', '/ops/load', { body: { kind: of, rate: Number(rate), seconds: Number(seconds), abort_failed_ratio: 0.5 }, key: newKey() });
    toast('The load begins.');
    box.close();
  };
  const box = dialog('Activate load', h('p', {}, 'Requests at a constant rate, whatever the answers do. It stops early when half of them fail.'),
    form({ button: 'Start', id: 'load', send }, field({ label: 'What', input: kind }),
      field({ label: 'Requests per second', name: 'rate', type: 'number', min: 1, max: 2000, value: 100, required: true }),
      field({ label: 'Seconds', name: 'seconds', type: 'number', min: 1, max: 600, value: 60, required: true })));
}

function askFault(services) {
  const pick = (name, values) => h('select', { name }, values.map((value) => h('option', {}, value)));
  const kind = pick('fault', Object.keys(FAULTS));
  const service = pick('service', services.map((s) => s.name));
  const scope = h('select', { name: 'scope' }, h('option', { value: 'one' }, 'One replica'), h('option', { value: 'all' }, 'All its replicas'));
  const about = h('p', { class: 'hint' });
  const more = h('div', {});
  const choose = () => {
    say(about, FAULTS[kind.value].about);
    more.replaceChildren(...(FAULTS[kind.value].fields?.() ?? []));
    if (FAULTS[kind.value].all) scope.value = 'all';
  };
  kind.addEventListener('change', choose);
  choose();
  const send = async (values) => {
    const spec = { fault: values.fault, seconds: Number(values.seconds), ...FAULTS[values.fault].spec?.(values) };
    const { items } = await call('POST', '/ops/faults', { body: { service: values.service, scope: values.scope, spec }, key: newKey() });
    toast(`${values.fault}: ${items.map((f) => f.replica).join(', ')}`);
    box.close();
  };
  const box = dialog('Inject a fault', h('p', {}, 'It takes itself back when its time is over, even if nobody is left to do so.'),
    form({ button: 'Inject', danger: true, id: 'fault', send }, field({ label: 'Fault', input: kind }), about,
      h('div', { class: 'columns' }, field({ label: 'Service', input: service }), field({ label: 'Where', input: scope })), more,
      field({ label: 'Seconds', name: 'seconds', type: 'number', min: 1, max: 600, value: 30, required: true })));
}
