-- Who bought, if it was somebody with an account.
ALTER TABLE notifications ADD COLUMN user_id UUID;
CREATE INDEX notifications_of_user ON notifications (user_id, created_at, id) WHERE user_id IS NOT NULL;
