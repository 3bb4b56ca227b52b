//! The values of a drill's file, each within its bounds, so that a flaw is found where it stands.
use serde::Deserialize;
use serde_json::Value;
use std::{fmt, ops::Deref};

/// A number within bounds, whose error names the place in the file.
macro_rules! number {
    ($name:ident, $type:ty, $range:expr, $says:literal) => {
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "Number")]
        pub struct $name(pub $type);

        impl TryFrom<Number> for $name {
            type Error = &'static str;

            fn try_from(number: Number) -> Result<Self, Self::Error> {
                let value = number.value();
                match $range.contains(&value) {
                    true => Ok(Self(value as $type)),
                    false => Err($says),
                }
            }
        }
    };
}

/// TOML tells 5 from 5.0; nobody who writes a drill should have to.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a number")]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }
}

number!(Percent, f64, (0.0..=100.0), "a percentage is from 0 to 100");
number!(Rate, f64, (0.1..=2000.0), "a rate is from 0.1 to 2000");
number!(Share, f64, (0.0..=0.99), "a share is from 0 to 0.99");
number!(Seconds, f64, (0.0..=3600.0), "seconds are from 0 to 3600");
number!(
    Ttl,
    f64,
    (1.0..=600.0),
    "a fault lasts from 1 to 600 seconds"
);
number!(
    Millis,
    f64,
    (1.0..=600_000.0),
    "milliseconds are from 1 to 600000"
);
number!(Count, u32, (1.0..=1000.0), "a count is from 1 to 1000");

impl Default for Share {
    fn default() -> Self {
        Self(0.0)
    }
}

/// Text that says something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Text(String);

impl TryFrom<String> for Text {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.trim() {
            "" => Err("must not be empty"),
            text => Ok(Self(text.to_owned())),
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// At least one.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<Text>")]
pub struct Names(pub Vec<Text>);

impl TryFrom<Vec<Text>> for Names {
    type Error = &'static str;

    fn try_from(names: Vec<Text>) -> Result<Self, Self::Error> {
        match names.is_empty() {
            true => Err("needs at least one"),
            false => Ok(Self(names)),
        }
    }
}

/// At least two, or a learner who asks once has it all.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<Text>")]
pub struct Hints(pub Vec<Text>);

impl TryFrom<Vec<Text>> for Hints {
    type Error = &'static str;

    fn try_from(hints: Vec<Text>) -> Result<Self, Self::Error> {
        match hints.len() {
            0 | 1 => Err("needs at least two hints"),
            _ => Ok(Self(hints)),
        }
    }
}

/// `docs/runbooks/NAME.md`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Text")]
pub struct Runbook(pub Text);

impl TryFrom<Text> for Runbook {
    type Error = &'static str;

    fn try_from(path: Text) -> Result<Self, Self::Error> {
        let name = path.strip_prefix("docs/runbooks/");
        match name.and_then(|name| name.strip_suffix(".md")) {
            Some(name) if !name.is_empty() && !name.contains('/') => Ok(Self(path)),
            _ => Err("a runbook is docs/runbooks/NAME.md"),
        }
    }
}

/// What the fault points of the services can do.
const FAULTS: [&str; 10] = [
    "latency",
    "error",
    "hang",
    "unready",
    "cpu",
    "memory",
    "crash",
    "database",
    "queue",
    "expired_key",
];

/// The body of a fault, whose kind is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct Spec(pub Value);

impl TryFrom<toml::Table> for Spec {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Self, Self::Error> {
        let kinds = FAULTS;
        let kind = table.get("fault").and_then(toml::Value::as_str);
        let kind = kind.ok_or("a spec names its `fault`")?;
        if !kinds.contains(&kind) {
            return Err(format!(
                "unknown fault `{kind}`, expected one of {}",
                kinds.join(", ")
            ));
        }
        if table.contains_key("seconds") {
            return Err("`seconds` belongs to the fault, not to its spec".to_owned());
        }
        serde_json::to_value(table)
            .map(Self)
            .map_err(|e| e.to_string())
    }
}
