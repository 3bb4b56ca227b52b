// The shell: which page shows, who is logged in, the theme, and what to say when the platform is away.
import { ask, events, get, logIn, Problem, resume, session } from './api.js';
import { announce, fill, h, kept, say, svg } from './dom.js';
import { avatar, dialog, field, form, gate, problemBox, toast } from './parts.js';
import * as shop from './shop.js';

const PAGES = {
  shop: { title: 'Shop', load: async () => shop },
  account: { title: 'Account', load: () => import('./account.js') },
  ops: { title: 'Ops commander', load: () => import('./ops.js') },
  jobs: { title: 'Jobs', load: () => import('./jobs.js') },
  drills: { title: 'Drills', load: () => import('./drills.js') },
};

const main = document.getElementById('main');
const at = (id) => document.getElementById(id);
let current = null;

/** Shows the page that the address names; `#/jobs/ID` gives the page `ID` as its argument. */
async function open() {
  const [, name = '', argument = ''] = location.hash.split('/');
  const page = PAGES[name] ?? PAGES.shop;
  const first = current === null;
  current?.stop.abort();
  // What the last page could not read may not matter to this one.
  if (!outage.unreachable) calm();
  for (const old of document.querySelectorAll('dialog')) old.close();
  const stop = new AbortController();
  const mine = { stop, refresh: null };
  current = mine;
  for (const link of document.querySelectorAll('.pages a')) {
    const here = PAGES[link.hash.slice(2)] === page;
    here ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current');
  }
  document.title = `${page.title} · Seawall`;
  const content = h('div', { class: `page ${page === PAGES.shop ? 'shop' : name}` });
  const context = {
    signal: stop.signal,
    argument,
    /** What to do again when the platform is back. */
    refresh: (work) => { mine.refresh = work; },
    /** Runs `work`; a page that may not be seen becomes a gate, other problems show on it. */
    guard: (work) => guard(content, name, stop.signal, work),
  };
  try {
    const module = await page.load();
    if (stop.signal.aborted) return;
    main.replaceChildren(content);
    await module.show(content, context);
  } catch (error) {
    if (stop.signal.aborted) return;
    main.replaceChildren(content);
    content.append(broken(error));
  }
  // Whoever reads with their ears hears where they are; the first page is read anyway.
  if (!first && !stop.signal.aborted) {
    main.focus();
    window.scrollTo(0, 0);
    announce(page.title);
  }
}

function broken(error) {
  if (!(error instanceof Problem)) console.error(error);
  const problem = error instanceof Problem ? error : new Problem(0, { title: 'This page could not be loaded' });
  return problemBox(problem, h('button', { type: 'button', onclick: open }, 'Try again'));
}

async function guard(content, page, signal, work) {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted || !(error instanceof Problem)) throw error;
    if (error.status === 401 || error.status === 403) {
      current.stop.abort();
      content.replaceChildren(h('h1', {}, PAGES[page]?.title ?? 'Shop'), gate(error, page));
    }
    throw error;
  }
}

function who() {
  const { me } = session;
  fill(at('who'), me, () => (me ? [avatar(me, 32), h('span', { class: 'who-name' }, me.display_name || me.username)] : 'Log in'));
}

const dark = matchMedia('(prefers-color-scheme: dark)');
const theme = () => kept.get('seawall.theme') ?? (dark.matches ? 'dark' : 'light');

function paint() {
  const chosen = kept.get('seawall.theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
  const other = theme() === 'dark' ? 'light' : 'dark';
  const button = at('theme');
  button.setAttribute('aria-label', `Switch to the ${other} theme`);
  button.title = `Switch to the ${other} theme`;
  const moon = 'M20 14A8.5 8.5 0 1 1 10 4a7 7 0 0 0 10 10z';
  const sun = 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M19 5l-1.5 1.5m-11 11L5 19';
  button.replaceChildren(svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('path', { d: other === 'dark' ? moon : sun })));
}

/** The banner: what is away, and when it is tried again. */
const outage = { path: null, unreachable: false, tries: 0, timer: null };

function away({ detail: { path, problem } }) {
  if (outage.timer !== null) return;
  outage.tries += 1;
  let left = problem.retryAfter ?? Math.min(30, 2 ** outage.tries);
  Object.assign(outage, { path, unreachable: problem.status === 0 });
  const count = h('span', { class: 'count' });
  const now = h('button', { type: 'button', onclick: tryAgain }, 'Try now');
  // The seconds are for the eye alone: read out each time, they would drown the rest.
  const sentence = (text) => (text ? `${text.replace(/\.$/, '')}. ` : '');
  at('banner').replaceChildren(h('p', {}, h('strong', {}, sentence(problem.message)), sentence(problem.detail),
    h('span', { 'aria-hidden': 'true' }, 'Trying again in ', count, ' s.')), now);
  at('banner').hidden = false;
  const tick = () => {
    say(count, left);
    if (left <= 0) tryAgain();
    left -= 1;
  };
  tick();
  outage.timer = setInterval(tick, 1000);
}

async function tryAgain() {
  clearInterval(outage.timer);
  outage.timer = null;
  try {
    await get('/status');
    await (current?.refresh ?? open)();
    calm();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

function back({ detail: { path } }) {
  if (at('banner').hidden || !(outage.unreachable || path === outage.path)) return;
  calm();
  announce('Seawall answers again.');
}

function calm() {
  clearInterval(outage.timer);
  Object.assign(outage, { timer: null, tries: 0, path: null });
  at('banner').hidden = true;
}

/** The session is over: asks for the password on top of the page, which stays as it is. */
function again() {
  return new Promise((resolve) => {
    let done = false;
    const box = dialog('Your session has ended',
      h('p', {}, 'Log in again to go on. What you typed is still here.'),
      form({
        button: 'Log in',
        send: async ({ username, password }) => {
          await logIn(username, password);
          done = true;
          box.close();
          toast('You are logged in again.');
        },
      },
      field({ label: 'Name', name: 'username', autocomplete: 'username', required: true, value: session.me?.username ?? '' }),
      field({ label: 'Password', name: 'password', type: 'password', autocomplete: 'current-password', required: true, autofocus: true })));
    box.addEventListener('close', () => resolve(done));
  });
}

async function start() {
  ask.again = again;
  paint();
  dark.addEventListener('change', paint);
  at('theme').addEventListener('click', () => {
    kept.set('seawall.theme', theme() === 'dark' ? 'light' : 'dark');
    paint();
  });
  events.addEventListener('change', who);
  events.addEventListener('away', away);
  events.addEventListener('back', back);
  addEventListener('hashchange', open);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    main.focus();
  });
  // Pages differ by who looks; without a session this takes no time.
  if (!(await resume())) toast('Your session has ended. Log in again.');
  await open();
  get('/status').then((status) => say(at('version'), `Seawall ${status.version}`), () => {});
}

start();
