// Making elements, and writing numbers, money and times.

/** An element; texts among the children stay text. `onclick` and the like are listeners. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(9).filter((child) => child != null && child !== false));
  return node;
}

/** An SVG element. */
export function svg(tag, props, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(props ?? {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Replaces what is in `node`, unless `key` says that nothing changed: focus and selection stay. */
export function fill(node, key, ...children) {
  const text = JSON.stringify(key);
  if (key !== null && node.seen === text) return false;
  node.seen = text;
  const list = children.map((child) => (typeof child === 'function' ? child() : child));
  node.replaceChildren(...list.flat(9).filter((child) => child != null && child !== false));
  return true;
}

/** Changes a text only if it is another, so that nothing is read out again. */
export function say(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

/** Has it read out by a screen reader. */
export function announce(text) {
  const live = document.getElementById('live');
  live.textContent = '';
  requestAnimationFrame(() => { live.textContent = text; });
}

const LANGUAGE = 'en-GB';

export function money(minor, currency) {
  return new Intl.NumberFormat(LANGUAGE, { style: 'currency', currency }).format(minor / 100);
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: digits }).format(value);
}

/** Milliseconds as a person would say them; nothing measured is a dash. */
export function millis(ms) {
  if (ms == null) return '–';
  return ms < 1000 ? `${number(ms, ms < 10 ? 1 : 0)} ms` : `${number(ms / 1000, 1)} s`;
}

export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** A moment, as `<time>`. */
export function moment(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const style = today ? { timeStyle: 'medium' } : { dateStyle: 'medium', timeStyle: 'short' };
  const text = new Intl.DateTimeFormat(LANGUAGE, style).format(at);
  return h('time', { datetime: iso, title: at.toString() }, text);
}

/** What begins an id, where the whole of it is too long. */
export const short = (id) => String(id).slice(0, 8);

/** localStorage or sessionStorage, which may be switched off. */
export function store(area) {
  const of = () => window[area];
  return {
    get(key) { try { return of().getItem(key); } catch { return null; } },
    set(key, value) {
      try { value === null ? of().removeItem(key) : of().setItem(key, value); } catch { /* this page only */ }
    },
  };
}

export const kept = store('localStorage');
