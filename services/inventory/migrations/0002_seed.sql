INSERT INTO products (id, name, price_minor, currency, image, stocked, available) VALUES
    ('PROD-001', 'Storm lantern',        2900, 'EUR', NULL, 10000, 10000),
    ('PROD-002', 'Oilskin jacket',      14900, 'EUR', NULL, 10000, 10000),
    ('PROD-003', 'Brass barometer',      8900, 'EUR', NULL, 10000, 10000),
    ('PROD-004', 'Tarred hemp rope, 20 m', 3400, 'EUR', NULL, 10000, 10000),
    ('PROD-005', 'Enamel mug',           1290, 'EUR', NULL, 10000, 10000)
ON CONFLICT (id) DO NOTHING;
