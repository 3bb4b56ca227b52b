-- One order as the services write it: what inventory commits, then what order commits.
-- pgbench -f bench/order.sql -D products=64
\set product random(1, :products)
BEGIN;
INSERT INTO reservations (order_id, product_id, quantity, unit_price_minor, currency, state, expires_at)
    SELECT gen_random_uuid(), id, 1, price_minor, currency, 'held', now() + interval '2 minutes'
    FROM products WHERE id = 'PROD-' || lpad(:product::text, 3, '0')
    RETURNING order_id, product_id \gset
UPDATE products SET available = available - 1 WHERE id = :product_id AND available >= 1;
COMMIT;
BEGIN;
INSERT INTO orders (id, product_id, quantity, email, status, total_minor, currency, created_at, updated_at)
    VALUES (:order_id, :product_id, 1, 'buyer@example.com', 'confirmed', 2900, 'EUR', now(), now());
INSERT INTO outbox (event_id, queue, event, traceparent, request_id, created_at, due_at)
    SELECT :order_id, queue, '{"id":"' || :order_id || '","order_id":"' || :order_id || '","kind":"order_confirmed",'
        || '"product_id":"' || :product_id || '","quantity":1,"email":"buyer@example.com","total_minor":2900,"currency":"EUR"}',
        '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', :order_id, now(), now() + interval '5 seconds'
    FROM (VALUES ('events-inventory'), ('events-notification')) AS consumers (queue);
COMMIT;
