// Products, buying, and what somebody bought.
import { call, get, has, isLoggedIn, newKey, poll, Problem, session } from './api.js';
import { announce, fill, h, kept, money, moment, number, say, short } from './dom.js';
import { badge, confirm, dialog, empty, field, form, picture, toast } from './parts.js';

const KINDS = ['lantern', 'jacket', 'barometer', 'rope', 'mug'];
const MOST = 1000;

/** The illustration for a product without a picture. */
function drawing(product) {
  const name = product.name.toLowerCase();
  return `/console/${KINDS.find((kind) => name.includes(kind)) ?? 'parcel'}.svg`;
}

function image(product, size) {
  const source = product.image ? picture(product.image, size) : drawing(product);
  const node = h('img', { src: source, alt: '', width: 320, height: 240, decoding: 'async' });
  node.addEventListener('error', () => { node.src = drawing(product); }, { once: true });
  return node;
}

function stock(available) {
  if (available <= 0) return ['out', 'Sold out'];
  if (available <= 10) return ['low', `Only ${available} left`];
  return ['in', 'In stock'];
}

/** A card that keeps its place and its focus while its numbers change. */
function card(first) {
  let product = first;
  const price = h('p', { class: 'price' });
  const state = h('p', { class: 'stock' });
  const buy = h('button', { type: 'button', class: 'primary', onclick: () => order(product) });
  const node = h('article', { class: 'product' }, image(first, 800),
    h('div', { class: 'product-text' }, h('h2', {}, first.name), h('div', { class: 'spread' }, price, state), buy));
  const update = (now) => {
    product = now;
    const [kind, text] = stock(now.available);
    say(price, money(now.price_minor, now.currency));
    say(state, text);
    state.className = `stock is-${kind}`;
    say(buy, kind === 'out' ? 'Sold out' : 'Buy');
    buy.disabled = kind === 'out';
    buy.setAttribute('aria-label', `${buy.textContent}: ${now.name}`);
  };
  return { node, update };
}

const shelf = { products: new Map(), refresh: async () => {} };

export async function show(page, { signal, refresh }) {
  const grid = h('section', { class: 'products', 'aria-label': 'Products' }, h('p', { class: 'lead' }, 'Looking at the shelves…'));
  const mine = h('div', {});
  page.append(
    h('h1', {}, 'Provisions for rough weather'),
    h('p', { class: 'lead' }, 'Lanterns, oilskins and rope from behind the seawall. Whatever breaks tonight, your order stays whole.'),
    grid,
    h('section', { 'aria-labelledby': 'orders' }, h('h2', { id: 'orders', tabindex: '-1' }, 'Your orders'), mine));
  const cards = new Map();
  const products = async () => {
    const { items } = await get('/products?limit=100', signal);
    shelf.products = new Map(items.map((product) => [product.id, product]));
    for (const product of items) {
      if (!cards.has(product.id)) cards.set(product.id, card(product));
      cards.get(product.id).update(product);
    }
    fill(grid, items.map((product) => product.id), () => (items.length
      ? items.map((product) => cards.get(product.id).node)
      : empty('The shelves are empty', 'Nothing is for sale right now.')));
  };
  const orders = () => showOrders(mine, signal);
  shelf.refresh = () => Promise.all([products(), orders()]);
  refresh(shelf.refresh);
  poll(signal, 5000, products);
  // After the products, whose names it shows.
  poll(signal, 2000, () => (shelf.products.size ? orders() : null));
}

function bought() {
  try {
    return JSON.parse(kept.get('seawall.orders') ?? '[]').map(String);
  } catch {
    return [];
  }
}

function remember(id) {
  kept.set('seawall.orders', JSON.stringify([id, ...bought().filter((known) => known !== id)].slice(0, 20)));
}

/** One's own, by account; without an account those that this browser remembers. */
async function ownOrders(signal) {
  if (isLoggedIn()) return (await get('/orders?limit=20', signal)).items;
  const each = bought().map((id) => get(`/orders/${id}`, signal).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  }));
  return (await Promise.all(each)).filter((found) => found !== null);
}

async function showOrders(place, signal) {
  const orders = await ownOrders(signal);
  // Before there are accounts, everybody may cancel.
  const open = isLoggedIn() || !(await has('/api/auth/me'));
  fill(place, [orders, open, shelf.products.size], () => (orders.length
    ? [h('ul', { class: 'orders' }, orders.map((one) => row(one, open))),
      !open && h('p', { class: 'fine' }, h('a', { href: '#/account' }, 'Log in'), ' before you buy to be able to cancel, and to see your orders anywhere.')]
    : empty('Nothing yet', 'What you buy shows here, with its state.')));
}

function row(order, open) {
  const product = shelf.products.get(order.product_id);
  const name = product?.name ?? order.product_id;
  const cancel = h('button', { type: 'button', 'aria-label': `Cancel the order of ${name}`, onclick: () => askCancel(order, name) }, 'Cancel');
  return h('li', { class: 'order', 'data-id': order.id },
    image(product ?? { name }, 256),
    h('div', { class: 'grow' }, h('p', { class: 'strong' }, `${number(order.quantity)} × ${name}`),
      h('p', { class: 'fine' }, moment(order.created_at), ' · ', h('code', { title: order.id }, short(order.id)))),
    h('p', { class: 'strong' }, money(order.total_minor, order.currency)),
    badge(order.status),
    open && order.status === 'confirmed' ? cancel : null);
}

function askCancel(order, name) {
  confirm({
    title: 'Cancel this order?',
    text: `${number(order.quantity)} × ${name} for ${money(order.total_minor, order.currency)} goes back on the shelf, and you get a mail about it.`,
    button: 'Cancel the order',
    action: async () => {
      await call('POST', `/orders/${order.id}/cancel`, { key: newKey() });
      toast('The order is cancelled.');
      await shelf.refresh();
      document.getElementById('orders')?.focus();
    },
  });
}

/** Asks how many and for whom, places the order, then shows its state. */
function order(product) {
  const total = h('output', { class: 'total' });
  const most = Math.min(MOST, product.available);
  const quantity = h('input', { name: 'quantity', type: 'number', inputmode: 'numeric', min: 1, max: most, value: 1, required: true });
  const sum = () => say(total, money(product.price_minor * (Number(quantity.value) || 0), product.currency));
  quantity.addEventListener('input', sum);
  sum();
  // The same wish has the same key however often it is sent: one order.
  let sent = null;
  const send = async ({ quantity: pieces, email }, _, out) => {
    const body = { product_id: product.id, quantity: Number(pieces), email: email.trim() };
    if (JSON.stringify(body) !== sent?.text) sent = { text: JSON.stringify(body), key: newKey() };
    out.replaceChildren(h('p', { class: 'progress', role: 'status' }, 'Reserving the stock and recording your order…'));
    try {
      done(await call('POST', '/orders', { body, key: sent.key }));
    } catch (error) {
      // Others were quicker: the shelf shows it too.
      if (error instanceof Problem && error.code === 'sold_out') shelf.refresh().catch(() => {});
      throw error;
    }
  };
  const sheet = h('div', {},
    h('div', { class: 'buying' }, image(product, 256), h('p', {}, money(product.price_minor, product.currency), ' each')),
    form({ button: 'Buy now', send },
      field({ label: 'Quantity', input: quantity }),
      field({ label: 'E-mail', name: 'email', type: 'email', autocomplete: 'email', required: true, value: session.me?.email ?? kept.get('seawall.email') ?? '', hint: 'For the confirmation. Nothing else is sent.' }),
      h('p', { class: 'spread' }, 'Total', total)));
  const box = dialog(product.name, sheet);
  const done = (placed) => {
    remember(placed.id);
    kept.set('seawall.email', placed.email);
    sheet.replaceChildren(receipt(placed, product, box));
    shelf.refresh().catch(() => {});
  };
}

/** The order as it is now, for as long as the dialog is open. */
function receipt(placed, product, box) {
  const state = h('p', { class: 'receipt-state', 'aria-live': 'polite' });
  const stop = new AbortController();
  box.addEventListener('close', () => stop.abort());
  const update = (now) => fill(state, now.status, 'The order is ', badge(now.status));
  update(placed);
  poll(stop.signal, 1500, async () => update(await get(`/orders/${placed.id}`, stop.signal)));
  announce(`Order placed: ${placed.quantity} times ${product.name}.`);
  const close = h('button', { type: 'button', class: 'primary', onclick: () => box.close() }, 'Keep shopping');
  queueMicrotask(() => close.focus());
  return h('div', { class: 'receipt', 'data-id': placed.id }, state,
    h('dl', {},
      h('dt', {}, 'You bought'), h('dd', {}, `${number(placed.quantity)} × ${product.name}`),
      h('dt', {}, 'Total'), h('dd', {}, money(placed.total_minor, placed.currency)),
      h('dt', {}, 'Mail to'), h('dd', {}, placed.email),
      h('dt', {}, 'Order'), h('dd', {}, h('code', {}, placed.id))),
    h('div', { class: 'row' }, close));
}
