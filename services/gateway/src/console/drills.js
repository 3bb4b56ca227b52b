// Drills: run one and read the verdict, or have something broken and find out what.
import { call, get, has, newKey, poll, request } from './api.js';
import { announce, fill, h, millis, moment, number, say, short, svg } from './dom.js';
import { badge, dialog, during, empty, field, form, toast } from './parts.js';

const PHASES = { steady: 'Is all well?', fault: 'It is broken', recovery: 'It heals', audit: 'Counting what is stored', over: 'Over' };
const LEAD = 'A drill breaks the platform on purpose, under load, and grades how it, and you, come through.';
const seconds = (value) => (value == null ? '–' : `${number(value, 1)} s`);

export async function show(page, context) {
  const { signal, guard, refresh } = context;
  page.append(h('h1', {}, 'Drills'), h('p', { class: 'lead' }, LEAD));
  if (!(await has('/api/ops/drills'))) {
    page.append(empty('There are no drills here', 'Commander doesn’t run on this platform.'));
    return;
  }
  const { items } = await guard(() => get('/ops/drills', signal));
  const present = h('div', {});
  const past = h('div', {});
  const out = h('div', { class: 'outcome' });
  const look = async () => {
    const runs = (await get('/ops/drills/runs', signal)).items;
    const running = runs.find((run) => run.state === 'running');
    const whole = running && (await get(`/ops/drills/runs/${running.id}`, signal));
    underWay(present, whole, items, look);
    fill(past, runs.filter((run) => run !== running), () => history(runs.filter((run) => run !== running)));
    for (const button of page.querySelectorAll('[data-start]')) button.disabled = Boolean(running);
  };
  const start = (button, name, how, body) => during(button, out, async () => {
    await call('POST', `/ops/drills/${name}/${how}`, { body, key: newKey() });
    toast(how === 'run' ? 'The drill begins.' : 'Something is broken now. Find out what.');
    await look();
    present.scrollIntoView({ block: 'nearest' });
  });
  const hidden = h('button', { type: 'button', class: 'danger big', 'data-start': true, onclick: () => start(hidden, 'any', 'break', { hidden: true }) }, 'SURPRISE ME');
  page.append(
    h('div', { class: 'row wrap' }, hidden, h('p', { class: 'fine grow' }, 'Something breaks and nobody is told what. Look around, take hints, say what it was. It ends after ten minutes.')),
    out, present,
    h('section', { 'aria-labelledby': 'all' }, h('h2', { id: 'all' }, `All ${items.length} drills`), h('div', { class: 'services' }, items.map((drill) => card(drill, start)))),
    h('section', { 'aria-labelledby': 'past' }, h('h2', { id: 'past' }, 'Runs, newest first'), past));
  refresh(look);
  poll(signal, 1000, () => guard(look));
}

function card(drill, start) {
  const button = (how, text, style) => {
    const it = h('button', { type: 'button', class: style, 'data-start': true, 'aria-label': `${text}: ${drill.title}`, onclick: () => start(it, drill.name, how, {}) }, text);
    return it;
  };
  return h('article', { class: 'card drill', 'data-drill': drill.name }, h('h3', {}, drill.title),
    h('p', { class: 'fine' }, h('code', {}, drill.name), drill.gate ? ' · in the release gate' : ''),
    h('p', {}, drill.story), h('p', { class: 'fine' }, 'Must hold: ', drill.hypothesis),
    h('div', { class: 'row' }, button('run', 'Run', 'primary'), button('break', 'Break it, I find out', '')));
}

/** What runs: a drill with its timeline, or an exercise with hints and a place for the answer. */
function underWay(place, run, drills, look) {
  if (!run) {
    delete place.dataset.run;
    fill(place, 'none');
    return;
  }
  if (place.dataset.run !== run.id) {
    place.dataset.run = run.id;
    place.seen = undefined;
    fill(place, run.id, () => frame(run, drills, look));
  }
  const drill = drills.find((one) => one.name === run.drill);
  say(place.querySelector('.phase'), PHASES[run.phase] ?? run.phase);
  say(place.querySelector('h2'), drill?.title ?? 'Something is wrong');
  fill(place.querySelector('.timeline'), run.timeline, () => timeline(run.timeline));
}

function frame(run, drills, look) {
  const out = h('div', { class: 'outcome' });
  const end = h('button', { type: 'button', onclick: () => during(end, out, async () => {
    const { drill } = await call('POST', '/ops/drills/restore');
    toast(drill ? `It was ${drill}. All is taken back.` : 'All is taken back.');
    await look();
  }) }, run.kind === 'exercise' ? 'Give up and restore' : 'Stop the drill');
  return h('section', { class: 'card run', 'aria-live': 'polite' }, h('div', { class: 'spread wrap' }, h('h2', {}), h('span', { class: 'badge phase' })),
    run.story && h('p', {}, run.story), h('div', { class: 'timeline' }), run.kind === 'exercise' && exercise(out, look), h('div', { class: 'row' }, end), out);
}

function exercise(out, look) {
  const hints = h('ol', { class: 'hints' });
  const more = h('button', { type: 'button', onclick: () => during(more, out, async () => {
    const { number: nth, of, hint } = await call('GET', '/ops/drills/present/hint');
    if (hints.children.length < nth) hints.append(h('li', {}, hint));
    announce(hint);
    more.disabled = nth >= of;
  }) }, 'Give me a hint');
  const send = async ({ answer }, _, place) => {
    const said = await call('POST', '/ops/drills/present/verify', { body: answer ? { answer } : {} });
    const state = said.healthy ? 'The platform is healthy.' : `Not healthy: ${said.reasons.join('; ')}.`;
    const verdict = { right: 'Right!', wrong: 'That is not it.' }[said.answer] ?? '';
    place.replaceChildren(h('p', { class: 'notice', role: 'status' }, h('strong', {}, verdict), ` ${said.answer === 'right' ? said.drill : said.question} ${state}`));
    await look();
  };
  return h('div', { class: 'columns' }, h('div', {}, h('h3', {}, 'Hints'), hints, h('div', { class: 'row' }, more)),
    form({ button: 'Verify', id: 'verify', send }, field({ label: 'What was it?', name: 'answer', maxlength: 200, hint: 'The root cause in a word or two, such as a service. Empty: only look whether all is well.' })));
}

const timeline = (events) => h('ol', { class: 'events' }, events.map((event) => h('li', {}, h('span', { class: 'fine' }, seconds(event.at)), ' ', event.what)));

function history(runs) {
  if (!runs.length) return empty('No runs yet', 'Start one above. Each leaves a verdict and the draft of a postmortem.');
  return h('ul', { class: 'orders' }, runs.map((run) => h('li', { class: 'order', 'data-run': run.id },
    h('div', { class: 'grow' }, h('p', { class: 'strong' }, run.drill ?? 'hidden'), h('p', { class: 'fine' }, moment(run.at), ` · ${run.kind} · seed ${run.seed}`)),
    badge(run.verdict ?? run.state),
    h('button', { type: 'button', class: 'small', 'aria-label': `Report of ${run.drill} ${short(run.id)}`, onclick: () => report(run.id) }, 'Report'))));
}

/** The verdict, what was measured against what was asked, and the draft of a postmortem. */
function report(id) {
  const place = h('div', {}, h('p', { class: 'lead' }, 'Fetching…'));
  const out = h('div', { class: 'outcome' });
  const copy = h('button', { type: 'button', onclick: () => during(copy, out, async () => {
    const text = await (await request('GET', `/ops/drills/runs/${id}/report`)).text();
    const url = URL.createObjectURL(new Blob([text], { type: 'text/markdown' }));
    h('a', { href: url, download: `drill-${short(id)}.md` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }) }, 'Download the postmortem draft');
  dialog('Report', place, h('div', { class: 'row' }, copy), out);
  during(copy, out, async () => {
    const run = await get(`/ops/drills/runs/${id}`);
    place.replaceChildren(...(run.report ? whole(run.report) : [badge(run.verdict ?? run.state), timeline(run.timeline)]));
  });
}

function whole(r) {
  const { requests: q, recovery, detection, audit } = r;
  return [h('p', { class: 'strong' }, r.title, ' ', badge(r.verdict)),
    r.reasons.length > 0 && h('ul', { class: 'reasons' }, r.reasons.map((reason) => h('li', {}, reason))),
    r.by_second.length > 0 && bars(r),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Pass marks' }, h('table', {},
      h('thead', {}, h('tr', {}, ['Mark', 'Asked', 'Measured', ''].map((title) => h('th', { scope: 'col' }, title)))),
      h('tbody', {}, r.marks.map((mark) => h('tr', {}, h('th', { scope: 'row' }, mark.mark), h('td', {}, mark.limit), h('td', {}, mark.measured), h('td', {}, badge(mark.passed ? 'passed' : 'failed'))))))),
    h('dl', {}, h('dt', {}, 'Requests'), h('dd', {}, `${number(q.sent)} sent, ${number(q.failed + q.refused)} bad, p99 ${millis(q.p99_ms)}`),
      h('dt', {}, 'Detected'), h('dd', {}, detection.observed ? (detection.alert ? `${detection.alert} after ${seconds(detection.seconds)}` : 'no alert fired') : 'not observed: no Prometheus was asked'),
      h('dt', {}, 'Recovered'), h('dd', {}, seconds(recovery.recovered)),
      h('dt', {}, 'Loss audit'), h('dd', {}, audit ? `${number(audit.violations)} violations in ${number(audit.orders)} orders` : 'not made')),
    h('h3', {}, 'Timeline'), timeline(r.timeline)].filter(Boolean);
}

/** Good and bad requests of each second, the fault shaded. */
function bars({ by_second: all, fault_from: from, fault_until: until }) {
  const top = Math.max(...all.map((s) => s.ok + s.refused + s.failed), 1);
  const rect = (kind, x, y, width, height) => svg('rect', { class: kind, x, y, width, height });
  const shade = from == null ? [] : [rect('bar-fault', from, 0, Math.max((until ?? all.length) - from, 0.2), 40)];
  const columns = all.map((s, i) => {
    const bad = ((s.refused + s.failed) / top) * 40;
    const good = (s.ok / top) * 40;
    return [rect('bar-good', i + 0.1, 40 - good - bad, 0.8, good), rect('bar-bad', i + 0.1, 40 - bad, 0.8, bad)];
  });
  const bad = all.reduce((sum, s) => sum + s.refused + s.failed, 0);
  return svg('svg', { class: 'plot bars', viewBox: `0 0 ${all.length} 40`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `Requests of each second: ${bad} bad ones in ${all.length} seconds` }, ...shade, ...columns.flat());
}
