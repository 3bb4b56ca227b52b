//! Many rows in one statement.
//!
//! On Postgres each column is one array: however many rows there are, the text stays the same, so it is
//! parsed once per connection and the driver binds a handful of parameters instead of hundreds
//! (<https://www.postgresql.org/docs/current/functions-array.html>, `unnest`). SQLite has no
//! arrays, and a list of values costs it nothing extra.
use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder, Sqlite, query_builder::Separated};
use uuid::Uuid;

/// One column of a table that a statement reads.
#[derive(Clone, Debug)]
pub enum Column<'a> {
    Uuid(Vec<Uuid>),
    NullableUuid(Vec<Option<Uuid>>),
    Text(Vec<&'a str>),
    Nullable(Vec<Option<&'a str>>),
    Integer(Vec<i64>),
    Time(Vec<DateTime<Utc>>),
}

/// Pushes rows into a statement.
///
/// ```
/// use db::{Column, Rows as _};
/// # use sqlx::{Postgres, QueryBuilder};
/// let columns = [Column::Text(vec!["PROD-001", "PROD-002"]), Column::Integer(vec![3, 1])];
/// let mut update = QueryBuilder::<Postgres>::new("UPDATE products SET available = available - v.column2 FROM ");
/// update.push_rows(&columns).push(" WHERE id = v.column1");
/// assert!(update.sql().as_str().ends_with("FROM UNNEST($1, $2) AS v (column1, column2) WHERE id = v.column1"));
/// ```
pub trait Rows {
    /// A table `v` with `column1`, `column2` and so on. The columns are of equal length, at least 1.
    fn push_rows(&mut self, columns: &[Column]) -> &mut Self;

    /// A condition: the expression before is one of these.
    fn push_one_of(&mut self, ids: &[Uuid]) -> &mut Self;
}

impl Rows for QueryBuilder<Postgres> {
    fn push_rows(&mut self, columns: &[Column]) -> &mut Self {
        self.push("UNNEST(");
        let mut arrays = self.separated(", ");
        for column in columns {
            match column {
                Column::Uuid(values) => arrays.push_bind(values),
                Column::NullableUuid(values) => arrays.push_bind(values),
                Column::Text(values) => arrays.push_bind(values),
                Column::Nullable(values) => arrays.push_bind(values),
                Column::Integer(values) => arrays.push_bind(values),
                Column::Time(values) => arrays.push_bind(values),
            };
        }
        self.push(") AS v (");
        let mut names = self.separated(", ");
        for n in 1..=columns.len() {
            names.push(format_args!("column{n}"));
        }
        self.push(")")
    }

    fn push_one_of(&mut self, ids: &[Uuid]) -> &mut Self {
        self.push(" = ANY(").push_bind(ids).push(")")
    }
}

impl Rows for QueryBuilder<Sqlite> {
    fn push_rows(&mut self, columns: &[Column]) -> &mut Self {
        self.push("(");
        self.push_values(0..columns[0].len(), |mut row, n| {
            for column in columns {
                column.push(&mut row, n);
            }
        });
        self.push(") AS v")
    }

    fn push_one_of(&mut self, ids: &[Uuid]) -> &mut Self {
        self.push(" IN (");
        let mut list = self.separated(", ");
        for id in ids {
            list.push_bind(*id);
        }
        self.push(")")
    }
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Column::Uuid(values) => values.len(),
            Column::NullableUuid(values) => values.len(),
            Column::Text(values) => values.len(),
            Column::Nullable(values) => values.len(),
            Column::Integer(values) => values.len(),
            Column::Time(values) => values.len(),
        }
    }

    fn push(&self, row: &mut Separated<Sqlite, &'static str>, n: usize) {
        match self {
            Column::Uuid(values) => row.push_bind(values[n]),
            Column::NullableUuid(values) => row.push_bind(values[n]),
            Column::Text(values) => row.push_bind(values[n]),
            Column::Nullable(values) => row.push_bind(values[n]),
            Column::Integer(values) => row.push_bind(values[n]),
            Column::Time(values) => row.push_bind(values[n]),
        };
    }
}
