// The inbox: what Alertmanager has told, what fires first.
import { call, get, has } from './api.js';
import { announce, fill, h, moment } from './dom.js';
import { badge, during, empty, toast } from './parts.js';

/** Of those that are over, only so many are shown. */
const OVER = 10;

/** A section for the page; `add` takes alerts as they come. */
export function inbox(signal) {
  const out = h('div', { class: 'outcome' });
  const list = h('div', {}, empty('No alerts', 'What Alertmanager tells shows here.'));
  const node = h('section', { 'aria-labelledby': 'alerts', hidden: true }, h('h2', { id: 'alerts' }, 'Alerts'), out, list);
  const known = new Map();
  const rows = new Map();
  const add = (alerts) => {
    for (const alert of alerts) known.set(alert.id, alert);
    const newest = [...known.values()].sort((a, b) => b.starts_at.localeCompare(a.starts_at));
    const firing = newest.filter((alert) => alert.state === 'firing');
    const unseen = (alert) => (alert.acknowledged_at ? 1 : 0);
    const over = newest.filter((alert) => alert.state !== 'firing');
    for (const alert of over.splice(OVER)) known.delete(alert.id);
    const shown = [...firing.sort((a, b) => unseen(a) - unseen(b)), ...over];
    if (!shown.length) return;
    for (const alert of shown) {
      if (!rows.has(alert.id)) rows.set(alert.id, h('li', { class: 'entry', 'data-alert': alert.name }));
      fill(rows.get(alert.id), alert, () => line(alert, out, add));
    }
    // Rows stay the same elements, so that focus stays where it is.
    fill(list, shown.map((alert) => alert.id), () => h('ul', { class: 'inbox' }, shown.map((alert) => rows.get(alert.id))));
  };
  const news = (alert) => {
    add([alert]);
    if (!alert.acknowledged_at || alert.state !== 'firing') announce(`${alert.name} ${alert.state === 'firing' ? 'fires' : 'is resolved'}.`);
  };
  const load = async () => {
    if (!(await has('/api/ops/alerts'))) return;
    add((await get('/ops/alerts?state=firing&limit=500', signal)).items);
    add((await get(`/ops/alerts?state=resolved&limit=${OVER}`, signal)).items);
    node.hidden = false;
  };
  return { node, news, load };
}

function line(alert, out, add) {
  const firing = alert.state === 'firing';
  const seen = alert.acknowledged_at;
  const acknowledge = async () => {
    add([await call('POST', `/ops/alerts/${alert.id}/acknowledge`)]);
    toast(`${alert.name} is acknowledged.`);
  };
  const button = firing && !seen && h('button', { type: 'button', class: 'small', 'aria-label': `Acknowledge ${alert.name}`, onclick: () => during(button, out, acknowledge) }, 'Acknowledge');
  const link = (url, text) => /^https?:\/\//.test(url ?? '') && [' · ', h('a', { href: url, rel: 'noreferrer', target: '_blank' }, text)];
  return [h('div', { class: 'grow' },
    h('p', {}, h('strong', {}, alert.name), ' ', alert.summary === alert.name ? '' : alert.summary),
    h('p', { class: 'fine' }, 'since ', moment(alert.starts_at), alert.ends_at && [', over ', moment(alert.ends_at)], seen && [` · seen by ${alert.acknowledged_by} `, moment(seen)],
      link(alert.runbook_url, 'Runbook'), link(alert.dashboard_url, 'Dashboard'))),
  badge(firing ? alert.severity : alert.state), button];
}
