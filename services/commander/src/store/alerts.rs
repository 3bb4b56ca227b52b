//! The statements on `alerts`.
use super::Store;
use crate::alert::{Alert, State};
use chrono::{DateTime, Utc};
use db::{Begin as _, with_db};
use service::Place;
use sqlx::{QueryBuilder, query};
use uuid::Uuid;

const COLUMNS: &str = "id, fingerprint, starts_at, ends_at, state, name, severity, team, summary, description, \
     runbook_url, dashboard_url, labels, acknowledged_at, acknowledged_by, changed_at";

/// The last word on an alert counts: Alertmanager may take back that one is resolved. Somebody has to
/// look again then. A repeat changes nothing.
const TELL: &str = "INSERT INTO alerts (id, fingerprint, starts_at, ends_at, state, name, severity, team, summary, \
     description, runbook_url, dashboard_url, labels, changed_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
     ON CONFLICT (fingerprint, starts_at) DO UPDATE SET state = excluded.state, ends_at = excluded.ends_at, \
     severity = excluded.severity, summary = excluded.summary, description = excluded.description, \
     runbook_url = excluded.runbook_url, dashboard_url = excluded.dashboard_url, changed_at = excluded.changed_at, \
     acknowledged_at = CASE WHEN alerts.state = 'resolved' AND excluded.state = 'firing' \
       THEN NULL ELSE alerts.acknowledged_at END, \
     acknowledged_by = CASE WHEN alerts.state = 'resolved' AND excluded.state = 'firing' \
       THEN NULL ELSE alerts.acknowledged_by END \
     WHERE alerts.state <> excluded.state OR alerts.summary <> excluded.summary \
       OR alerts.severity <> excluded.severity OR alerts.description IS DISTINCT FROM excluded.description";

impl Store {
    /// Takes in what Alertmanager tells: all of it, or nothing.
    pub async fn tell(&self, alerts: &[Alert]) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            let mut all = pool.begin_write().await?;
            for alert in alerts {
                query(TELL)
                    .bind(alert.id)
                    .bind(&alert.fingerprint)
                    .bind(alert.starts_at)
                    .bind(alert.ends_at)
                    .bind(&alert.state)
                    .bind(&alert.name)
                    .bind(&alert.severity)
                    .bind(&alert.team)
                    .bind(&alert.summary)
                    .bind(&alert.description)
                    .bind(&alert.runbook_url)
                    .bind(&alert.dashboard_url)
                    .bind(alert.labels.json())
                    .bind(alert.changed_at)
                    .execute(&mut *all)
                    .await?;
            }
            all.commit().await
        })
    }

    /// Newest first, after a place.
    pub async fn alerts(
        &self,
        limit: i64,
        after: Option<Place>,
        state: Option<State>,
    ) -> sqlx::Result<Vec<Alert>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select.push(COLUMNS).push(" FROM alerts WHERE TRUE");
            if let Some(state) = state {
                select.push(" AND state = ").push_bind(state.as_str());
            }
            if let Some(Place { created_at, id }) = after {
                select
                    .push(" AND (starts_at, id) < (")
                    .push_bind(created_at)
                    .push(", ")
                    .push_bind(id)
                    .push(")");
            }
            select
                .push(" ORDER BY starts_at DESC, id DESC LIMIT ")
                .push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// Those that changed last, the latest first.
    pub async fn alert_news(&self, limit: i64) -> sqlx::Result<Vec<Alert>> {
        with_db!(&self.db.reader, |pool| {
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(COLUMNS)
                .push(" FROM alerts ORDER BY changed_at DESC, id DESC LIMIT ")
                .push_bind(limit);
            select.build_query_as().fetch_all(pool).await
        })
    }

    /// `who` has seen it. The first one counts; none if there is no such alert.
    pub async fn acknowledge(
        &self,
        id: Uuid,
        who: &str,
        at: DateTime<Utc>,
    ) -> sqlx::Result<Option<Alert>> {
        with_db!(&self.db.writer, |pool| {
            query(
                "UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3, changed_at = $2 \
                 WHERE id = $1 AND acknowledged_at IS NULL",
            )
            .bind(id)
            .bind(at)
            .bind(who)
            .execute(pool)
            .await?;
            let mut select = QueryBuilder::new("SELECT ");
            select
                .push(COLUMNS)
                .push(" FROM alerts WHERE id = ")
                .push_bind(id);
            select.build_query_as().fetch_optional(pool).await
        })
    }

    /// Forgets those of which nothing new was heard since `at`.
    pub async fn trim_alerts(&self, at: DateTime<Utc>) -> sqlx::Result<()> {
        with_db!(&self.db.writer, |pool| {
            query("DELETE FROM alerts WHERE changed_at < $1")
                .bind(at)
                .execute(pool)
                .await
                .map(drop)
        })
    }
}
