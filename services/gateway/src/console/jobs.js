// Background jobs: how many wait, submitting one, looking at one, trying again.
import { call, get, newKey, poll } from './api.js';
import { fill, h, moment, number, say, short } from './dom.js';
import { badge, confirm, dialog, during, empty, field, form, toast } from './parts.js';
import { queueTable } from './ops.js';

const STATES = ['all', 'waiting', 'running', 'retrying', 'done', 'dead'];

/** What each kind asks for, and the payload that it becomes. */
const KINDS = {
  echo: { about: 'Gives back what it gets.', fields: () => [field({ label: 'Text', name: 'text', value: 'hello', required: true })], payload: ({ text }) => ({ text }) },
  sleep: { about: 'Takes its time.', fields: () => [field({ label: 'Milliseconds', name: 'ms', type: 'number', min: 0, max: 60000, value: 3000, required: true })], payload: ({ ms }) => ({ ms: Number(ms) }) },
  fail: { about: 'Fails, to see retries and dead letters at work.', fields: () => [field({ label: 'Fails this often', name: 'times', type: 'number', min: 0, max: 25, hint: 'Empty: always, until it is a dead letter.' })], payload: ({ times }) => (times === '' ? {} : { times: Number(times) }) },
  report: { about: 'Counts the sales of a day.', fields: () => [field({ label: 'Day', name: 'day', type: 'date', hint: 'Empty: today.' })], payload: ({ day }) => (day ? { day } : {}) },
};

export async function show(page, context) {
  const { signal, guard, refresh, argument } = context;
  page.append(h('h1', {}, 'Jobs'), h('p', { class: 'lead' }, 'Asking the worker…'));
  await guard(() => get('/jobs?limit=1', signal));
  const depth = h('div', {});
  const view = list(context);
  page.replaceChildren(h('h1', {}, 'Jobs'),
    h('div', { class: 'columns' },
      h('section', { 'aria-labelledby': 'depth' }, h('h2', { id: 'depth' }, 'Queues'), depth),
      h('section', { class: 'card' }, h('h2', {}, 'Submit a job'), submit(view.look))),
    h('section', { 'aria-labelledby': 'list' }, h('div', { class: 'spread wrap' }, h('h2', { id: 'list' }, 'Jobs, newest first'), view.replay), view.filter, view.node));
  const depths = async () => {
    const { queues } = await get('/status', signal);
    const all = Object.entries(queues ?? {}).map(([name, q]) => ({ name, ...q }));
    fill(depth, all, () => queueTable(all));
    view.dead(queues?.jobs?.dead ?? 0);
  };
  refresh(() => Promise.all([depths(), view.look()]));
  poll(signal, 2000, depths);
  poll(signal, 2000, () => guard(view.look));
  if (argument) one(argument, view.look);
}

function submit(look) {
  const more = h('div', {});
  const kind = h('select', { name: 'kind' }, Object.keys(KINDS).map((name) => h('option', {}, name)));
  const about = h('p', { class: 'hint' });
  const choose = () => {
    say(about, KINDS[kind.value].about);
    more.replaceChildren(...KINDS[kind.value].fields());
  };
  kind.addEventListener('change', choose);
  choose();
  const send = async (values) => {
    const job = await call('POST', '/job', { body: { kind: values.kind, payload: KINDS[values.kind].payload(values) }, key: newKey() });
    toast(`The job ${short(job.id)} is queued.`);
    await look();
  };
  return form({ button: 'Submit', id: 'submit', send }, field({ label: 'Kind', input: kind }), about, more);
}

function list({ signal }) {
  let state = 'all';
  let pages = 1;
  const node = h('div', {});
  const out = h('div', { class: 'outcome' });
  const look = async () => {
    const items = [];
    let next = null;
    for (let i = 0; i < pages; i += 1) {
      const query = new URLSearchParams({ limit: 25, ...(state === 'all' ? {} : { state }), ...(next ? { after: next } : {}) });
      const part = await get(`/jobs?${query}`, signal);
      items.push(...part.items);
      next = part.next;
      if (!next) break;
    }
    fill(node, [items, next, state], () => [table(items, state, look),
      next && h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => { pages += 1; return look(); } }, 'Older ones'))]);
  };
  const filter = h('fieldset', { class: 'choice' }, h('legend', { class: 'hush' }, 'State'), STATES.map((name) => h('label', {},
    h('input', { type: 'radio', name: 'state', value: name, checked: name === state, onchange: () => { state = name; pages = 1; look().catch(() => {}); } }), h('span', {}, name))));
  const all = h('button', { type: 'button', hidden: true, onclick: () => confirm({
    title: 'Replay all dead letters?',
    text: 'Each of them starts again now, with all its tries before it.',
    button: 'Replay all',
    action: async () => {
      const { replayed } = await call('POST', '/jobs/dead/retry', { key: newKey() });
      toast(replayed === 1 ? 'One job runs again.' : `${number(replayed)} jobs run again.`);
      await look();
    },
  }) });
  const dead = (count) => {
    all.hidden = count === 0;
    say(all, count === 1 ? 'Replay the dead letter' : `Replay all ${number(count)} dead letters`);
  };
  return { node, filter, look, dead, replay: h('div', {}, all, out) };
}

function table(items, state, look) {
  if (!items.length) return empty(state === 'dead' ? 'No dead letters' : 'No jobs here', state === 'dead' ? 'Every job found its end.' : 'Submit one above.');
  const out = h('div', { class: 'outcome' });
  const again = (job) => {
    const button = h('button', { type: 'button', class: 'small', 'aria-label': `Retry ${job.kind} ${short(job.id)}`, onclick: () => during(button, out, () => retry(job.id, look)) }, 'Retry');
    return button;
  };
  const stuck = (job) => job.state === 'dead' || job.state === 'retrying';
  return [out, h('ul', { class: 'orders' }, items.map((job) => h('li', { class: 'order', 'data-id': job.id },
    h('div', { class: 'grow' }, h('p', { class: 'strong' }, job.kind, ' ', h('code', { class: 'fine' }, short(job.id))),
      h('p', { class: 'fine' }, moment(job.created_at), ` · ${job.attempts} of ${job.max_attempts} tries`, job.last_error ? ` · ${job.last_error}` : '')),
    badge(job.state),
    h('div', { class: 'row tight' }, stuck(job) && again(job),
      h('button', { type: 'button', class: 'small', 'aria-label': `Details of ${job.kind} ${short(job.id)}`, onclick: () => one(job.id, look) }, 'Details')))))];
}

async function retry(id, look) {
  await call('POST', `/jobs/${id}/retry`, { key: newKey() });
  toast('It starts again.');
  await look();
}

/** One job, live while the dialog is open. */
function one(id, look) {
  const place = h('div', {}, h('p', { class: 'lead' }, 'Fetching…'));
  const out = h('div', { class: 'outcome' });
  const again = h('button', { type: 'button', class: 'primary', hidden: true, onclick: () => during(again, out, () => retry(id, look)) }, 'Retry now');
  const box = dialog('Job', place, h('div', { class: 'row' }, again), out);
  const stop = new AbortController();
  box.addEventListener('close', () => stop.abort());
  const json = (value) => h('pre', { tabindex: '0' }, JSON.stringify(value, null, 2));
  during(again, out, async () => { await get(`/jobs/${encodeURIComponent(id)}`, stop.signal); }).catch(() => {});
  poll(stop.signal, 1000, async () => {
    const job = await get(`/jobs/${encodeURIComponent(id)}`, stop.signal);
    again.hidden = job.state !== 'dead' && job.state !== 'retrying';
    fill(place, job, h('dl', {},
      h('dt', {}, 'Kind'), h('dd', {}, job.kind), h('dt', {}, 'State'), h('dd', {}, badge(job.state)),
      h('dt', {}, 'Tries'), h('dd', {}, `${job.attempts} of ${job.max_attempts}`),
      h('dt', {}, 'Submitted'), h('dd', {}, moment(job.created_at)),
      h('dt', {}, job.finished_at ? 'Finished' : 'Due'), h('dd', {}, moment(job.finished_at ?? job.run_at)),
      job.last_error && [h('dt', {}, 'Last error'), h('dd', {}, job.last_error)],
      h('dt', {}, 'Id'), h('dd', {}, h('code', {}, job.id)),
      h('dt', {}, 'Payload'), h('dd', {}, json(job.payload)),
      job.result != null && [h('dt', {}, 'Result'), h('dd', {}, json(job.result))]));
  });
}
