// Logging in, one's profile and picture, people, one's mails.
import { call, changed, events, get, isLoggedIn, isOperator, logIn, logOut, newKey, poll, Problem, register, session, upload } from './api.js';
import { announce, fill, h, moment, say, short } from './dom.js';
import { avatar, badge, confirm, empty, field, form, problemBox, toast } from './parts.js';

/** What image takes. */
const MAX_BYTES = 5 * 1024 * 1024;
const TYPES = ['image/jpeg', 'image/png', 'image/webp'];

export async function show(page, context) {
  const draw = () => page.replaceChildren(h('h1', {}, 'Account'), ...(session.me ? inside(context, draw) : outside(context, draw)));
  // Logged in, but the platform was away when the page was loaded.
  if (isLoggedIn() && !session.me) changed(await get('/auth/me', context.signal));
  draw();
}

function outside({ argument }, draw) {
  const go = () => {
    toast(`Welcome, ${session.me.display_name || session.me.username}.`);
    if (argument) location.hash = `#/${argument}`;
    else draw();
  };
  const name = { label: 'Name', name: 'username', required: true, autocapitalize: 'none', spellcheck: 'false', autocomplete: 'username' };
  const login = form({ button: 'Log in', id: 'login', send: async ({ username, password }) => { await logIn(username, password); go(); } },
    field(name),
    field({ label: 'Password', name: 'password', type: 'password', required: true, autocomplete: 'current-password' }));
  const key = newKey();
  const signUp = form({ button: 'Make an account', id: 'register', send: async ({ username, password }) => { await register(username, password, key + username); go(); } },
    field({ ...name, hint: '3 to 32 letters and digits, also . _ and -' }),
    field({ label: 'Password', name: 'password', type: 'password', required: true, minlength: 8, autocomplete: 'new-password', hint: 'At least 8 characters. Long beats complicated.' }));
  return [
    h('p', { class: 'lead' }, 'With an account you see your orders anywhere and can cancel them. Buying works without one.'),
    h('div', { class: 'columns' },
      h('section', { class: 'card' }, h('h2', {}, 'Log in'), login,
        h('p', { class: 'fine' }, 'The account ', h('code', {}, 'operator'), ' looks after the platform. Its password was printed when Seawall first started.')),
      h('section', { class: 'card' }, h('h2', {}, 'New here?'), signUp)),
  ];
}

function inside({ signal }, draw) {
  const mails = h('div', {}, h('p', { class: 'lead' }, 'Fetching…'));
  const people = h('div', {}, h('p', { class: 'lead' }, 'Fetching…'));
  poll(signal, 4000, () => showMails(mails, signal));
  const look = () => showPeople(people, signal);
  poll(signal, 15000, look);
  // One's own name and picture at once.
  events.addEventListener('change', () => session.me && look().catch(() => {}), { signal });
  const leave = h('button', { type: 'button', onclick: async () => { await logOut(); draw(); toast('You are logged out.'); } }, 'Log out');
  return [
    h('div', { class: 'columns' }, profile(), pictureCard()),
    h('section', { 'aria-labelledby': 'mails' }, h('h2', { id: 'mails' }, isOperator() ? 'All mails' : 'Mails to you'), mails),
    h('section', { 'aria-labelledby': 'people' }, h('h2', { id: 'people' }, 'People'), people),
    h('div', { class: 'columns' }, passwordCard(),
      h('section', { class: 'card' }, h('h2', {}, 'Leave'), h('p', {}, 'This tab forgets you; so does the platform.'), h('div', { class: 'row' }, leave))),
  ];
}

function profile() {
  const { me } = session;
  const send = async ({ display_name, email }) => {
    changed(await call('PATCH', '/auth/me', { body: { display_name, email: email.trim() || null } }));
    toast('Your profile is saved.');
  };
  return h('section', { class: 'card', id: 'profile' }, h('h2', {}, 'Profile'),
    h('p', { class: 'fine' }, h('strong', {}, me.username), ' · ', me.role, ' · since ', moment(me.created_at)),
    form({ button: 'Save', send },
      field({ label: 'Shown as', name: 'display_name', value: me.display_name ?? '', maxlength: 64, required: true, autocomplete: 'nickname' }),
      field({ label: 'E-mail', name: 'email', type: 'email', value: me.email ?? '', autocomplete: 'email', hint: 'Filled in for you when you buy.' })));
}

/** Choosing shows the picture at once; sending shows how far it is. */
function pictureCard() {
  const face = h('div', { class: 'face' }, avatar(session.me, 128));
  const out = h('div', { class: 'outcome' });
  const bar = h('progress', { max: 1, value: 0, 'aria-label': 'Upload', hidden: true });
  const use = h('button', { type: 'button', class: 'primary', hidden: true }, 'Use this picture');
  const choose = h('input', { type: 'file', accept: TYPES.join(), name: 'file' });
  let file = null;
  choose.addEventListener('change', () => {
    out.replaceChildren();
    [file] = choose.files;
    use.hidden = !file;
    const wrong = file && reason(file);
    if (wrong) {
      use.hidden = true;
      out.replaceChildren(problemBox(new Problem(422, wrong)));
    } else if (file) {
      face.replaceChildren(preview(file));
      announce('The picture is chosen. Use the button to send it.');
    }
  });
  use.addEventListener('click', async () => {
    use.disabled = true;
    bar.hidden = false;
    bar.value = 0;
    out.replaceChildren(h('p', { class: 'progress', role: 'status' }, 'Sending…'));
    try {
      const stored = await upload('/images', file, (part) => {
        bar.value = part;
        if (part === 1) say(out.firstChild, 'Making it fit…');
      });
      changed(await call('PATCH', '/auth/me', { body: { avatar: stored.id } }));
      face.replaceChildren(avatar(session.me, 128));
      use.hidden = true;
      choose.value = '';
      out.replaceChildren();
      toast('That is your picture now.');
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      out.replaceChildren(problemBox(error));
    } finally {
      use.disabled = false;
      bar.hidden = true;
    }
  });
  return h('section', { class: 'card', id: 'picture' }, h('h2', {}, 'Picture'),
    h('div', { class: 'row' }, face, h('div', { class: 'grow' },
      field({ label: 'Choose a picture', input: choose, hint: 'JPEG, PNG or WebP, at most 5 MB. Where it was taken is removed.' }),
      h('div', { class: 'row' }, use), bar)),
    out);
}

/** Why a file need not even be sent. The content is what counts there; this only saves the way. */
function reason(file) {
  if (file.size > MAX_BYTES) return { type: 'body_too_large', title: 'The picture is too large', detail: `It has ${(file.size / 1048576).toFixed(1)} MB; 5 MB are taken.` };
  if (file.type && !TYPES.includes(file.type)) return { type: 'not_a_picture', title: 'Only JPEG, PNG and WebP are taken' };
  return null;
}

function preview(file) {
  const url = URL.createObjectURL(file);
  const image = h('img', { class: 'avatar s128', src: url, alt: 'The chosen picture', width: 128, height: 128 });
  image.addEventListener('load', () => URL.revokeObjectURL(url), { once: true });
  return image;
}

function passwordCard() {
  const send = async ({ current_password, password }, element) => {
    await call('PATCH', '/auth/me', { body: { current_password, password } });
    // All sessions end with the old password, this one too.
    await logIn(session.me.username, password);
    element.reset();
    toast('The new password is set. Other sessions have ended.');
  };
  return h('section', { class: 'card' }, h('h2', {}, 'Password'),
    form({ button: 'Change the password', send },
      h('input', { class: 'hush', name: 'username', autocomplete: 'username', value: session.me.username, tabindex: '-1', 'aria-hidden': 'true', readonly: true }),
      field({ label: 'Present password', name: 'current_password', type: 'password', required: true, autocomplete: 'current-password' }),
      field({ label: 'New password', name: 'password', type: 'password', required: true, minlength: 8, autocomplete: 'new-password', hint: 'At least 8 characters. Ends all other sessions.' })));
}

async function showMails(place, signal) {
  const { items } = await get('/notifications?limit=20', signal);
  fill(place, items, () => (items.length ? h('ul', { class: 'orders' }, items.map(mail))
    : empty('No mails yet', 'A mail for each order shows here, and whether it was sent.')));
}

function mail(one) {
  const resend = h('button', { type: 'button', onclick: () => confirm({
    title: 'Send this mail again?',
    text: `${one.subject} – to ${one.to}`,
    button: 'Send again',
    action: async () => { await call('POST', `/notifications/${one.id}/resend`); toast('It is sent again.'); },
  }) }, 'Send again');
  return h('li', { class: 'order' },
    h('div', { class: 'grow' }, h('p', { class: 'strong' }, one.subject ?? 'About your order'),
      h('p', { class: 'fine' }, moment(one.created_at), ' · to ', one.to, ' · order ', h('code', {}, short(one.order_id))),
      one.last_error && h('p', { class: 'fine' }, one.last_error)),
    badge(one.status), isOperator() ? resend : null);
}

async function showPeople(place, signal) {
  const { items } = await get('/auth/users?limit=100', signal);
  fill(place, items, () => h('ul', { class: 'people' }, items.map((person) => h('li', {}, avatar(person, 40),
    h('div', {}, h('p', { class: 'strong' }, person.display_name || person.username), h('p', { class: 'fine' }, person.username))))));
}
