// Every call to the platform: tokens, retries, problems.
import { store } from './dom.js';

// Survives a reload, ends with the tab, and no other tab can read it.
const tab = store('sessionStorage');
const REFRESH = 'seawall.refresh';
/** Seconds before its end at which a token is renewed. */
const MARGIN = 15;

let access = null;
let expires = 0;
let renewing = null;
let asking = null;

/** Fires `change` when somebody logs in or out, `away` and `back` as the platform goes and comes. */
export const events = new EventTarget();
export const session = { me: null };
/** Set by the shell: asks for the password again; true once logged in. */
export const ask = { again: async () => false };

/** What went wrong: a problem (RFC 9457), or an answer that never came (status 0). */
export class Problem extends Error {
  constructor(status, body, headers) {
    super(body.title ?? 'Something went wrong');
    this.status = status;
    this.code = body.type ?? '';
    this.detail = body.detail;
    this.errors = body.errors ?? [];
    this.requestId = body.request_id ?? headers?.get('x-request-id');
    const wait = Number(headers?.get('retry-after'));
    this.retryAfter = wait > 0 ? wait : null;
  }

  /** Nobody answered, or a service is away for now. */
  get away() { return [0, 502, 503, 504].includes(this.status); }
}

function unreachable() {
  const detail = 'Nothing answered. What you typed is still here.';
  return new Problem(0, { type: 'unreachable', title: 'Seawall can’t be reached', detail });
}

async function problem(response) {
  let body = {};
  try { body = await response.json(); } catch { /* not from the platform */ }
  if (!body.title) body.title = `The answer was ${response.status}`;
  return new Problem(response.status, body, response.headers);
}

/** One exchange. A connection that broke is tried again once where that is safe. */
async function exchange(method, path, { body, key, signal }) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (key) headers['idempotency-key'] = key;
  if (access && path !== '/auth/refresh') headers.authorization = `Bearer ${access}`;
  const request = { method, headers, signal, cache: 'no-store', credentials: 'omit' };
  if (body !== undefined) request.body = JSON.stringify(body);
  for (let tries = method === 'GET' || key ? 2 : 1; ; tries -= 1) {
    try {
      return await fetch(`/api${path}`, request);
    } catch (error) {
      if (signal?.aborted) throw error;
      if (tries === 1) throw unreachable();
      await sleep(200);
    }
  }
}

export const sleep = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal?.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});

/** A new key for each thing that must happen once. */
export function newKey() {
  // randomUUID is missing where the page comes over plain HTTP from another host.
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

export const isLoggedIn = () => tab.get(REFRESH) !== null;
export const isOperator = () => session.me?.role === 'operator';

function take(tokens) {
  access = tokens.access_token;
  expires = Date.now() + tokens.expires_in * 1000;
  tab.set(REFRESH, tokens.refresh_token);
}

function drop() {
  access = null;
  expires = 0;
  tab.set(REFRESH, null);
}

/** New tokens for old. However many calls need them, one asks. */
function renew() {
  renewing ??= (async () => {
    const response = await exchange('POST', '/auth/refresh', { body: { refresh_token: tab.get(REFRESH) }, key: newKey() });
    if (!response.ok) throw await problem(response);
    take(await response.json());
  })().finally(() => { renewing = null; });
  return renewing;
}

/** Makes sure that there is a good token; when the session is over, asks the person and waits. */
async function authorize(force) {
  if (asking) {
    await asking;
    return;
  }
  if (!isLoggedIn() || (!force && Date.now() < expires - MARGIN * 1000)) return;
  try {
    await renew();
  } catch (error) {
    if (error.status !== 401) throw error;
    drop();
    asking ??= ask.again().finally(() => { asking = null; });
    if (await asking) return;
    changed(null);
    throw error;
  }
}

/** An answered request, its tokens seen to; throws a Problem for anything but success. */
export async function request(method, path, options = {}) {
  try {
    await authorize(false);
    let response = await exchange(method, path, options);
    if (response.status === 401 && isLoggedIn()) {
      await authorize(true);
      response = await exchange(method, path, options);
    }
    if (!response.ok) throw await problem(response);
    events.dispatchEvent(new CustomEvent('back', { detail: { path } }));
    return response;
  } catch (error) {
    // What somebody asked for shows its problem where they asked; reading is the shell's to retry.
    if (error.status === 0 || (error.away && method === 'GET')) {
      events.dispatchEvent(new CustomEvent('away', { detail: { path, problem: error } }));
    }
    throw error;
  }
}

export async function call(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, signal) => call('GET', path, { signal });

/** A file, with its progress from 0 to 1: fetch can't tell that, XMLHttpRequest can. */
export async function upload(path, file, progress) {
  await authorize(false);
  const send = () => new Promise((resolve, reject) => {
    const form = new FormData();
    form.append('file', file);
    const xhr = new XMLHttpRequest();
    xhr.open('POST', `/api${path}`);
    if (access) xhr.setRequestHeader('authorization', `Bearer ${access}`);
    xhr.responseType = 'json';
    xhr.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    xhr.onerror = () => reject(unreachable());
    xhr.onload = () => {
      const headers = { get: (name) => xhr.getResponseHeader(name) };
      const body = xhr.response ?? {};
      if (xhr.status < 300) resolve(body);
      else reject(new Problem(xhr.status, body.title ? body : { title: `The answer was ${xhr.status}` }, headers));
    };
    xhr.send(form);
  });
  try {
    return await send();
  } catch (error) {
    if (error.status !== 401 || !isLoggedIn()) throw error;
    await authorize(true);
    return send();
  }
}

async function know() {
  const response = await exchange('GET', '/auth/me', {});
  if (!response.ok) throw await problem(response);
  changed(await response.json());
}

export async function logIn(username, password) {
  const response = await exchange('POST', '/auth/login', { body: { username, password } });
  if (!response.ok) throw await problem(response);
  take(await response.json());
  await know();
}

export async function register(username, password, key) {
  await call('POST', '/auth/register', { body: { username, password }, key });
  await logIn(username, password);
}

export function changed(me) {
  session.me = me;
  events.dispatchEvent(new Event('change'));
}

export async function logOut() {
  const token = tab.get(REFRESH);
  drop();
  changed(null);
  // Over here already; there it ends by itself if this gets lost.
  if (token) await exchange('POST', '/auth/logout', { body: { refresh_token: token } }).catch(() => {});
}

/** Takes up the session of before a reload; false if it is over. */
export async function resume() {
  if (!isLoggedIn()) return true;
  try {
    await renew();
    await know();
    return true;
  } catch (error) {
    if (error.status !== 401) return true;
    drop();
    changed(null);
    return false;
  }
}

/** Calls `work` now and every so often, until the page is left. Pauses while nobody looks. */
export async function poll(signal, ms, work) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try { await work(); } catch (error) { if (!signal.aborted && !(error instanceof Problem)) throw error; }
    }
    await sleep(ms, signal);
  }
}

let routes = null;
/** Whether this platform has a route at all: asked of its own documentation, so that nothing is tried in vain. */
export async function has(path) {
  routes ??= get('/openapi.json').then((document) => document.paths);
  try {
    return path in (await routes);
  } catch (error) {
    routes = null;
    throw error;
  }
}
