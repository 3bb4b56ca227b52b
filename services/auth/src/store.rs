//! Every SQL statement of this service.
use crate::{
    attempts::Policy,
    keys::StoredKey,
    user::{Change, User, Username},
};
use chrono::{DateTime, Utc};
use db::{Begin as _, Db, with_db};
use service::Place;
use sqlx::{QueryBuilder, query, query_as, query_scalar};
use uuid::Uuid;

#[derive(Clone)]
pub struct Store {
    db: Db,
}

/// What became of a refresh token.
pub enum Rotation {
    Next(User),
    Reused,
    Unknown,
}

/// A family and the user it is of, as one refresh token leads to them.
type Family = (Uuid, Uuid, Option<DateTime<Utc>>);

impl Store {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub async fn ping(&self) -> sqlx::Result<()> {
        self.db.ping().await
    }

    /// Adds an account; false when its id or a name that looks the same is there.
    pub async fn add_user(&self, user: &User, name: &Username) -> sqlx::Result<bool> {
        let done = with_db!(&self.db.writer, |pool| {
            query(
                "INSERT INTO users (id, username, skeleton, display_name, password, role, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(user.id)
            .bind(&user.username)
            .bind(&name.skeleton)
            .bind(&user.display_name)
            .bind(&user.password)
            .bind(&user.role)
            .bind(user.created_at)
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok(done > 0)
    }

    pub async fn by_skeleton(&self, skeleton: &str) -> sqlx::Result<Option<User>> {
        with_db!(&self.db.reader, |pool| {
            query_as("SELECT * FROM users WHERE skeleton = $1")
                .bind(skeleton)
                .fetch_optional(pool)
                .await
        })
    }

    pub async fn by_id(&self, id: Uuid) -> sqlx::Result<Option<User>> {
        with_db!(&self.db.reader, |pool| {
            query_as("SELECT * FROM users WHERE id = $1")
                .bind(id)
                .fetch_optional(pool)
                .await
        })
    }

    /// Accounts from the newest on, after a place.
    pub async fn users(&self, limit: i64, after: Option<Place>) -> sqlx::Result<Vec<User>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT * FROM users");
            if let Some(Place { created_at, id }) = after {
                select.push(" WHERE (created_at, id) < (");
                select.push_bind(created_at).push(", ").push_bind(id);
                select.push(")");
            }
            select
                .push(" ORDER BY created_at DESC, id DESC LIMIT ")
                .push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// Changes a profile, and with a new password (as a PHC string) ends all sessions.
    pub async fn change(
        &self,
        id: Uuid,
        change: &Change,
        password: Option<&str>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Option<User>> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let user = query_as(
                "UPDATE users SET display_name = COALESCE($2, display_name), \
                 email = CASE WHEN $3 THEN $4 ELSE email END, \
                 avatar = CASE WHEN $5 THEN $6 ELSE avatar END, \
                 password = COALESCE($7, password) WHERE id = $1 RETURNING *",
            )
            .bind(id)
            .bind(&change.display_name)
            .bind(change.email.is_some())
            .bind(change.email.clone().flatten())
            .bind(change.avatar.is_some())
            .bind(change.avatar.clone().flatten())
            .bind(password)
            .fetch_optional(&mut *tx)
            .await?;
            if password.is_some() {
                query(
                    "UPDATE families SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
                )
                .bind(id)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
            Ok(user)
        })
    }

    /// Replaces a hash by one of the same password, unless the password was changed meanwhile.
    pub async fn rehash(&self, id: Uuid, old: &str, new: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE users SET password = $3 WHERE id = $1 AND password = $2")
                .bind(id)
                .bind(old)
                .bind(new)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    pub async fn start_family(
        &self,
        family: Uuid,
        user: Uuid,
        hash: &[u8],
        now: DateTime<Utc>,
        ends: DateTime<Utc>,
    ) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            query("INSERT INTO families (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
                .bind(family)
                .bind(user)
                .bind(now)
                .bind(ends)
                .execute(&mut *tx)
                .await?;
            query("INSERT INTO refresh_tokens (hash, family_id) VALUES ($1, $2)")
                .bind(hash)
                .bind(family)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
    }

    /// Uses a refresh token: the first to come adds its successor, those after it find it used.
    pub async fn rotate(
        &self,
        hash: &[u8],
        next: &[u8],
        now: DateTime<Utc>,
        grace: DateTime<Utc>,
    ) -> sqlx::Result<Rotation> {
        with_db!(&self.db.writer, |pool| {
            let mut tx = pool.begin_write().await?;
            let used: Option<Uuid> = query_scalar(
                "UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND EXISTS \
                 (SELECT 1 FROM families f WHERE f.id = family_id AND f.revoked_at IS NULL AND f.expires_at > $2) \
                 RETURNING family_id",
            )
            .bind(hash)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(family) = used {
                query("INSERT INTO refresh_tokens (hash, family_id) VALUES ($1, $2)")
                    .bind(next)
                    .bind(family)
                    .execute(&mut *tx)
                    .await?;
            }
            let live: Option<Family> = query_as(
                "SELECT f.id, f.user_id, t.used_at FROM refresh_tokens t JOIN families f ON f.id = t.family_id \
                 WHERE t.hash = $1 AND f.revoked_at IS NULL AND f.expires_at > $2",
            )
            .bind(hash)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await?;
            let rotation = match live {
                None => Rotation::Unknown,
                Some((_, user, at)) if used.is_some() || at.is_some_and(|at| at > grace) => {
                    let user = query_as("SELECT * FROM users WHERE id = $1").bind(user);
                    Rotation::Next(user.fetch_one(&mut *tx).await?)
                }
                Some((family, ..)) => {
                    query(
                        "UPDATE families SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
                    )
                    .bind(family)
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
                    Rotation::Reused
                }
            };
            tx.commit().await?;
            Ok(rotation)
        })
    }

    /// Ends the session a refresh token belongs to.
    pub async fn revoke_family_of(&self, hash: &[u8], now: DateTime<Utc>) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query(
                "UPDATE families SET revoked_at = $2 WHERE revoked_at IS NULL AND id = \
                 (SELECT family_id FROM refresh_tokens WHERE hash = $1)",
            )
            .bind(hash)
            .bind(now)
            .execute(pool)
            .await
            .map(drop)
        })
    }

    /// Removes sessions that are over, with their tokens.
    pub async fn forget_families(&self, now: DateTime<Utc>, limit: i64) -> sqlx::Result<u64> {
        with_db!(&self.db.writer, |pool| {
            query("DELETE FROM families WHERE id IN (SELECT id FROM families WHERE expires_at <= $1 LIMIT $2)")
                .bind(now)
                .bind(limit)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Counts an attempt, or gives until when there may be none. See [`Policy`].
    pub async fn take_attempt(
        &self,
        subject: &str,
        policy: Policy,
        now: i64,
    ) -> sqlx::Result<Option<i64>> {
        with_db!(&self.db.writer, |pool| {
            let taken: Option<i64> = query_scalar(
                "INSERT INTO attempts (subject, failures, blocked_until) VALUES ($1, 1, $2) \
                 ON CONFLICT (subject) DO UPDATE SET \
                 failures = CASE WHEN attempts.blocked_until + $6 <= $2 THEN 1 ELSE attempts.failures + 1 END, \
                 blocked_until = CASE WHEN attempts.blocked_until + $6 <= $2 OR attempts.failures < $3 THEN $2 \
                 WHEN attempts.failures - $3 > 8 OR $4 << CAST(2 * (attempts.failures - $3) AS INTEGER) > $5 THEN $2 + $5 \
                 ELSE $2 + ($4 << CAST(2 * (attempts.failures - $3) AS INTEGER)) END \
                 WHERE attempts.blocked_until <= $2 RETURNING failures",
            )
            .bind(subject)
            .bind(now)
            .bind(policy.free)
            .bind(policy.first_wait)
            .bind(policy.longest_wait)
            .bind(policy.memory)
            .fetch_optional(pool)
            .await?;
            if taken.is_some() {
                return Ok(None);
            }
            query_scalar("SELECT blocked_until FROM attempts WHERE subject = $1")
                .bind(subject)
                .fetch_optional(pool)
                .await
        })
    }

    pub async fn give_attempt_back(&self, subject: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE attempts SET failures = failures - 1 WHERE subject = $1 AND failures > 0")
                .bind(subject)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    pub async fn forget_attempts(&self, subject: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("DELETE FROM attempts WHERE subject = $1")
                .bind(subject)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    pub async fn forget_old_attempts(&self, before: i64, limit: i64) -> sqlx::Result<u64> {
        with_db!(&self.db.writer, |pool| {
            query("DELETE FROM attempts WHERE subject IN (SELECT subject FROM attempts WHERE blocked_until < $1 LIMIT $2)")
                .bind(before)
                .bind(limit)
                .execute(pool)
                .await
                .map(|done| done.rows_affected())
        })
    }

    /// Signing keys, oldest first.
    pub async fn keys(&self) -> sqlx::Result<Vec<StoredKey>> {
        with_db!(&self.db.reader, |pool| {
            query_as("SELECT * FROM signing_keys ORDER BY generation")
                .fetch_all(pool)
                .await
        })
    }

    /// Adds the next key; false when another replica was first.
    pub async fn add_key(&self, key: &StoredKey) -> sqlx::Result<bool> {
        let done = with_db!(&self.db.writer, |pool| {
            query(
                "INSERT INTO signing_keys (generation, kid, public_key, private_key, signs_from) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (generation) DO NOTHING",
            )
            .bind(key.generation)
            .bind(&key.kid)
            .bind(&key.public_key)
            .bind(&key.private_key)
            .bind(key.signs_from)
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok(done > 0)
    }

    /// Removes keys whose successor has signed since before `cutoff`.
    pub async fn forget_keys(&self, cutoff: DateTime<Utc>) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query(
                "DELETE FROM signing_keys WHERE EXISTS (SELECT 1 FROM signing_keys newer \
                 WHERE newer.generation > signing_keys.generation AND newer.signs_from <= $1)",
            )
            .bind(cutoff)
            .execute(pool)
            .await
            .map(drop)
        })
    }
}
