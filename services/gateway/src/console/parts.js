// Pieces that pages share: problems, forms, dialogs, pictures, badges.
import { Problem } from './api.js';
import { announce, h } from './dom.js';

/** What to do about it. */
function advice(problem) {
  const by = {
    sold_out: 'Choose fewer pieces, or something else.',
    invalid_credentials: 'Check both, capitals included.',
    username_taken: 'Choose another name.',
    not_a_picture: 'Choose a JPEG, PNG or WebP file.',
    animated_image: 'Choose a picture that doesn’t move.',
    image_too_large: 'Choose a smaller picture.',
    body_too_large: 'Choose a smaller file.',
    broken_image: 'Open it in a picture program and save it again.',
    order_expired: 'Buy again; nothing was taken.',
    upstream_timeout: 'Try again: the same request is never carried out twice.',
    last_replica: 'Wait until another replica is ready, or kill it all the same.',
  };
  if (by[problem.code]) return by[problem.code];
  if (problem.errors.length) return 'Correct the marked fields and send again.';
  switch (problem.status) {
    case 0: return 'Check that Seawall runs and try again.';
    case 401: return 'Log in and try again.';
    case 403: return 'Log in as somebody who may do this.';
    case 404: return 'It may be gone. Reload the page.';
    case 429: return `Wait ${problem.retryAfter ?? 'some'} seconds, then try again.`;
    case 502: case 503: case 504: return 'Wait a moment and try again; nothing is done twice.';
    default: return problem.status >= 500 ? 'Try again. If it stays, the log tells more under this request id.' : null;
  }
}

/** A problem with all that helps; `actions` are elements after it. */
export function problemBox(problem, ...actions) {
  const told = problem.errors.filter((e) => !e.shown);
  return h('div', { class: 'problem', role: 'alert' },
    h('p', { class: 'problem-title' }, problem.message),
    problem.detail && h('p', {}, problem.detail),
    told.length > 0 && h('ul', {}, told.map((e) => h('li', {}, h('code', {}, e.pointer), ' ', e.detail))),
    advice(problem) && h('p', {}, advice(problem)),
    problem.requestId && h('p', { class: 'fine' }, 'Request ', h('code', {}, problem.requestId)),
    actions.length > 0 && h('div', { class: 'row' }, actions));
}

let fields = 0;
/** A labelled input; everything but `label`, `hint` and `input` is an attribute of it. */
export function field({ label, hint, input, ...attributes }) {
  const id = `field-${(fields += 1)}`;
  const control = input ?? h('input', attributes);
  control.id = id;
  const hints = hint && h('p', { class: 'hint', id: `${id}-hint` }, hint);
  const error = h('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  control.setAttribute('aria-describedby', hint ? `${id}-hint ${id}-error` : `${id}-error`);
  control.addEventListener('input', () => unmark(control));
  return h('div', { class: 'field' }, h('label', { for: id }, label), control, hints, error);
}

function unmark(control) {
  control.removeAttribute('aria-invalid');
  const error = document.getElementById(`${control.id}-error`);
  if (error) error.hidden = true;
}

/** Shows each pointer at its field and moves to the first. */
function mark(form, problem) {
  let first = null;
  for (const error of problem.errors) {
    const control = form.elements.namedItem(error.pointer.split('/').pop());
    const place = control?.id && form.querySelector(`#${control.id}-error`);
    if (!place) continue;
    control.setAttribute('aria-invalid', 'true');
    place.textContent = `${control.labels?.[0]?.textContent ?? 'This'} ${error.detail}`;
    place.hidden = false;
    error.shown = true;
    first ??= control;
  }
  first?.focus();
}

/** Runs `action` with the button busy; a problem is shown in `out`. */
export async function during(button, out, action) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  out.replaceChildren();
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const form = button.closest('form');
    if (form) mark(form, error);
    out.replaceChildren(problemBox(error));
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/** A form with one button. `send` gets its values; the browser's own checks come first. */
export function form({ button, danger, send, ...attributes }, ...parts) {
  const out = h('div', { class: 'outcome' });
  const submit = h('button', { class: danger ? 'danger' : 'primary' }, button);
  const element = h('form', attributes, parts, h('div', { class: 'row' }, submit), out);
  element.addEventListener('submit', (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(element));
    during(submit, out, () => send(values, element, out));
  });
  return element;
}

/** A dialog that is gone when closed. Escape and the backdrop close it; focus goes back by itself. */
export function dialog(title, ...content) {
  const heading = h('h2', { id: 'dialog-title', tabindex: '-1' }, title);
  const close = h('button', { type: 'button', class: 'quiet icon close', 'aria-label': 'Close', onclick: () => box.close() }, '✕');
  const box = h('dialog', { 'aria-labelledby': 'dialog-title' }, h('div', { class: 'sheet' }, heading, content, close));
  box.addEventListener('close', () => box.remove());
  box.addEventListener('mousedown', (event) => event.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

/** Asks before `action`, which may fail and say why. */
export function confirm({ title, text, button, action }) {
  const out = h('div', { class: 'outcome' });
  const go = (run) => async (event) => {
    await during(event.currentTarget, out, async () => { await run(out); box.close(); });
  };
  const yes = h('button', { type: 'button', class: 'danger', onclick: go(action) }, button);
  const no = h('button', { type: 'button', onclick: () => box.close(), autofocus: true }, 'Cancel');
  const box = dialog(title, h('p', {}, text), h('div', { class: 'row' }, yes, no), out);
  return box;
}

/** A short word on what was done, seen and read out. */
export function toast(text) {
  announce(text);
  for (const old of document.querySelectorAll('.toast')) old.remove();
  // A popover lies above dialogs too.
  const note = h('div', { class: 'toast', popover: 'manual' }, text);
  document.body.append(note);
  note.showPopover?.();
  setTimeout(() => note.remove(), 5000);
}

/** The picture of an id, or what an answer gave as a path. */
export const picture = (image, size) => (image.startsWith('/') ? image : `/api/images/${encodeURIComponent(image)}/${size}`);

/** A person's picture, or their initial. */
export function avatar(person, size = 40) {
  const name = person.display_name || person.username;
  const initial = () => h('span', { class: `avatar s${size}`, 'aria-hidden': 'true' }, [...name][0].toUpperCase());
  if (!person.avatar) return initial();
  const image = h('img', { class: `avatar s${size}`, src: picture(person.avatar, 256), alt: '', width: size, height: size });
  image.addEventListener('error', () => image.replaceWith(initial()));
  return image;
}

/** A state as a word with a mark: never by colour alone. */
export const badge = (state) => h('span', { class: `badge is-${state}` }, state);

/** What stands where there is nothing yet. */
export const empty = (title, ...text) => h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), h('p', {}, text));

/** Instead of a page that this person may not see. */
export function gate(problem, page) {
  const text = problem.status === 403
    ? 'You are logged in, but not as the operator.'
    : 'Log in as the operator: the password was printed when Seawall first started.';
  return h('div', { class: 'card gate' }, h('h2', {}, 'This page is for the operator'), h('p', {}, text),
    h('a', { class: 'button primary', href: `#/account/${page}` }, problem.status === 403 ? 'Change account' : 'Log in'));
}
