//! Lists: `{"items": [...], "next": cursor or null}` with `?limit=` and `?after=`.
use crate::Problem;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// What a list route takes from the query string.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Cursor {
    /// Items per page, 1 to 500; 50 when left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u16>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
}

/// One page of a list; `next` is null on the last one.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl Cursor {
    /// The page size.
    ///
    /// # Errors
    /// 400 outside 1 to 500.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(50),
            Some(n @ 1..=500) => Ok(n.into()),
            Some(_) => Err(Self::refuse("limit must be 1 to 500")),
        }
    }

    /// Reads `after` as the service's own key type.
    ///
    /// # Errors
    /// 400 when it isn't a cursor of ours.
    pub fn after<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        match &self.after {
            None => Ok(None),
            Some(text) => parse(text)
                .map(Some)
                .ok_or_else(|| Self::refuse("after is not a cursor of this list")),
        }
    }

    fn refuse(detail: &str) -> Problem {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_query",
            "The query string is not valid",
        )
        .detail(detail)
    }
}

impl<T> Page<T> {
    /// Makes a page from up to `limit + 1` rows: the extra one only tells that there is more.
    pub fn new(mut items: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// A row's place in a list that starts with the newest; as text, a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub created_at: DateTime<Utc>,
    pub id: Uuid,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.created_at.timestamp_micros(), self.id)
    }
}

impl FromStr for Place {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (micros, id) = text.split_once('_').ok_or(())?;
        // Unsigned: times long ago are out of range for Postgres.
        let micros: u64 = micros.parse().map_err(drop)?;
        let created_at = i64::try_from(micros)
            .ok()
            .and_then(DateTime::from_timestamp_micros);
        Ok(Self {
            created_at: created_at.ok_or(())?,
            id: id.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_as_a_cursor() {
        let place = Place {
            created_at: DateTime::from_timestamp_micros(1_795_000_000_123_456).expect("a time"),
            id: Uuid::from_u128(7),
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in [
            "",
            "_",
            "1",
            "-1_00000000-0000-0000-0000-000000000007",
            "18446744073709551615_x",
        ] {
            assert_eq!(bad.parse::<Place>(), Err(()), "{bad}");
        }
    }
}
