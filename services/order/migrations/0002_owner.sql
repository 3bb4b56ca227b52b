-- Who bought, if it was somebody with an account.
ALTER TABLE orders ADD COLUMN user_id UUID;
CREATE INDEX orders_of_user ON orders (user_id, created_at, id) WHERE user_id IS NOT NULL;
