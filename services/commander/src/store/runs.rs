//! The SQL of loads and drills, and of what the journal says of them.
use chrono::{DateTime, TimeDelta, Utc};
use db::{Db, with_db};
use sqlx::{QueryBuilder, query, query_as};
use uuid::Uuid;

/// Who runs it gives a sign of life each second; without one for so long it is lost.
const LOST: TimeDelta = TimeDelta::seconds(15);
const COLUMNS: &str =
    "id, at, who, lane, kind, name, seed, hidden, state, hints, verdict, live, report, markdown";

pub const RUNNING: &str = "running";
pub const OVER: &str = "over";

/// A load, a drill or an exercise.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Run {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub who: String,
    pub lane: String,
    pub kind: String,
    pub name: String,
    pub seed: i64,
    pub hidden: bool,
    pub state: String,
    pub hints: i64,
    pub verdict: Option<String>,
    pub live: String,
    pub report: Option<String>,
    pub markdown: Option<String>,
}

impl Run {
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }
}

#[derive(Clone)]
pub struct Runs {
    db: Db,
}

impl Runs {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Begins one, with its line in the journal. False while another of its lane runs.
    pub async fn begin(&self, run: &Run, detail: &str) -> sqlx::Result<bool> {
        self.lose(run.at - LOST).await?;
        if !self.put(run).await? {
            return Ok(false);
        }
        let name = if run.hidden { "hidden" } else { &run.name };
        with_db!(&self.db.writer, |pool| {
            query(
                "INSERT INTO journal (id, at, who, action, target, service, outcome, detail) \
                 VALUES ($1, $2, $3, $4, $5, '', 'done', $6) ON CONFLICT DO NOTHING",
            )
            .bind(run.id)
            .bind(run.at)
            .bind(&run.who)
            .bind(&run.kind)
            .bind(name)
            .bind(detail)
            .execute(pool)
            .await
            .map(drop)
        })?;
        Ok(true)
    }

    /// Keeps one. False if it is there, or another of its lane runs.
    pub async fn put(&self, run: &Run) -> sqlx::Result<bool> {
        let new = with_db!(&self.db.writer, |pool| {
            query(
                "INSERT INTO runs (id, at, who, lane, kind, name, seed, hidden, state, stop, seen_at, hints, \
                 verdict, live, report, markdown) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, FALSE, $2, 0, $10, $11, $12, $13) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(run.id)
            .bind(run.at)
            .bind(&run.who)
            .bind(&run.lane)
            .bind(&run.kind)
            .bind(&run.name)
            .bind(run.seed)
            .bind(run.hidden)
            .bind(&run.state)
            .bind(&run.verdict)
            .bind(&run.live)
            .bind(&run.report)
            .bind(&run.markdown)
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok(new == 1)
    }

    async fn lose(&self, before: DateTime<Utc>) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE runs SET state = 'lost' WHERE state = 'running' AND seen_at < $1")
                .bind(before)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// A sign of life, and how far it is. True when somebody wants it to stop.
    pub async fn beat(&self, id: Uuid, live: &str) -> sqlx::Result<bool> {
        let row: Option<(bool,)> = with_db!(&self.db.writer, |pool| {
            query_as("UPDATE runs SET live = $2, seen_at = $3 WHERE id = $1 RETURNING stop")
                .bind(id)
                .bind(live)
                .bind(db::now())
                .fetch_optional(pool)
                .await?
        });
        Ok(row.is_none_or(|(stop,)| stop))
    }

    /// Asks whatever runs in a lane to stop.
    pub async fn stop(&self, lane: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE runs SET stop = TRUE WHERE lane = $1 AND state = 'running'")
                .bind(lane)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// It is over.
    pub async fn end(&self, run: &Run) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query(
                "UPDATE runs SET state = 'over', verdict = $2, live = $3, report = $4, markdown = $5 \
                 WHERE id = $1",
            )
            .bind(run.id)
            .bind(&run.verdict)
            .bind(&run.live)
            .bind(&run.report)
            .bind(&run.markdown)
            .execute(pool)
            .await
            .map(drop)
        })
    }

    /// The journal says how it ended.
    pub async fn conclude(&self, id: Uuid, outcome: &str, detail: &str) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE journal SET outcome = $2, detail = $3 WHERE id = $1")
                .bind(id)
                .bind(outcome)
                .bind(detail)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    /// One more hint is given; which one.
    pub async fn hint(&self, id: Uuid, most: i64) -> sqlx::Result<i64> {
        let (hints,): (i64,) = with_db!(&self.db.writer, |pool| {
            query_as(
                "UPDATE runs SET hints = CASE WHEN hints < $2 THEN hints + 1 ELSE hints END \
                 WHERE id = $1 RETURNING hints",
            )
            .bind(id)
            .bind(most)
            .fetch_one(pool)
            .await?
        });
        Ok(hints)
    }

    /// Somebody has found the root cause.
    pub async fn solve(&self, id: Uuid) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("UPDATE runs SET verdict = 'passed' WHERE id = $1")
                .bind(id)
                .execute(pool)
                .await
                .map(drop)
        })
    }

    pub async fn get(&self, id: Uuid) -> sqlx::Result<Option<Run>> {
        with_db!(&self.db.writer, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM runs WHERE id = ");
            select.push_bind(id);
            select.build_query_as().fetch_optional(pool).await
        })
    }

    /// Newest first.
    pub async fn list(&self, lane: &str, limit: i64) -> sqlx::Result<Vec<Run>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM runs WHERE lane = ");
            select.push_bind(lane);
            select.push(" ORDER BY at DESC, id DESC LIMIT ");
            select.push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// The one that runs in a lane.
    pub async fn present(&self, lane: &str) -> sqlx::Result<Option<Run>> {
        let alive = db::now() - LOST;
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM runs WHERE lane = ");
            select.push_bind(lane);
            select.push(" AND state = 'running' AND seen_at >= ");
            select.push_bind(alive);
            select.build_query_as().fetch_optional(pool).await
        })
    }
}
