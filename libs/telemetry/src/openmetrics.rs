//! Reads OpenMetrics text as strictly as a scraper does: a sample that can't be parsed costs the
//! whole scrape. After <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
use anyhow::{Context as _, bail, ensure};

/// One number of one scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    pub name: &'a str,
    /// Names and values; escapes in a value stay as they are.
    pub labels: Vec<(&'a str, &'a str)>,
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label; empty when there is none, which means the same.
    #[must_use]
    pub fn label(&self, name: &str) -> &'a str {
        let mut labels = self.labels.iter();
        labels.find(|(n, _)| *n == name).map_or("", |(_, v)| v)
    }
}

/// All samples of a scrape.
///
/// # Errors
/// The first line that breaks the format.
pub fn parse(text: &str) -> anyhow::Result<Vec<Sample<'_>>> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let body = body
        .strip_suffix("# EOF")
        .context("does not end with # EOF")?;
    let mut family = "";
    let mut samples = Vec::new();
    for (number, line) in body.lines().enumerate() {
        let result = match line.strip_prefix("# ") {
            Some(comment) => declaration(comment).map(|name| family = name),
            None => sample(line, family).map(|s| samples.push(s)),
        };
        result.with_context(|| format!("line {}: {line}", number + 1))?;
    }
    Ok(samples)
}

/// `TYPE name type`, `HELP name text` or `UNIT name unit`: gives the name.
fn declaration(comment: &str) -> anyhow::Result<&str> {
    let mut words = comment.splitn(3, ' ');
    match (words.next(), words.next()) {
        (Some("TYPE" | "HELP" | "UNIT"), Some(name)) if is_name(name) => Ok(name),
        _ => bail!("an unknown comment"),
    }
}

/// `name{labels} value [timestamp] [# {labels} value [timestamp]]`.
fn sample<'a>(line: &'a str, family: &str) -> anyhow::Result<Sample<'a>> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    ensure!(is_name(name), "a bad name");
    let of_family = !family.is_empty() && name.starts_with(family);
    ensure!(of_family, "not under the TYPE of its family");
    let (labels, rest) = match rest.starts_with('{') {
        true => read_labels(rest)?,
        false => (Vec::new(), rest),
    };
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    let value = numbers(value)?;
    if let Some(exemplar) = exemplar {
        numbers(read_labels(exemplar)?.1)?;
    }
    Ok(Sample {
        name,
        labels,
        value,
    })
}

/// Names with values, and what follows the closing brace.
fn read_labels(text: &str) -> anyhow::Result<(Vec<(&str, &str)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.strip_prefix('{').context("no labels")?;
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, value) = rest.split_once("=\"").context("a label without a value")?;
        ensure!(is_name(name), "a bad label name");
        let end = end_of_text(value)?;
        labels.push((name, &value[..end]));
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Where the closing quote is.
fn end_of_text(text: &str) -> anyhow::Result<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(at),
            _ => {}
        }
    }
    bail!("a label value without an end")
}

/// The value of ` value` or ` value timestamp`.
fn numbers(text: &str) -> anyhow::Result<f64> {
    let text = text.strip_prefix(' ').context("no value")?;
    let words: Vec<&str> = text.split(' ').collect();
    ensure!(words.len() <= 2, "more than a value and a timestamp");
    let number = |word: &str| {
        word.parse()
            .with_context(|| format!("{word} is not a number"))
    };
    words
        .into_iter()
        .map(number)
        .reduce(|value, at| at.and(value))
        .context("no value")?
}

fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !text.is_empty() && text.chars().all(legal) && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"# HELP http_requests Requests, "all" of them.
# TYPE http_requests counter
http_requests_total{route="/a,b}",status="200"} 3 # {trace_id="ab"} 1.0 1700000000.5
http_requests_total{route="say \"x\"\\"} 0
# TYPE up gauge
up 1
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le="+Inf"} 7
took_seconds_sum 1e-3
took_seconds_count 7
# EOF
"#;

    #[test]
    fn what_prometheus_takes_passes() {
        let samples = parse(GOOD).expect("good");
        assert_eq!(samples.len(), 6);
        assert_eq!(samples[0].name, "http_requests_total");
        assert_eq!(samples[0].label("route"), "/a,b}");
        assert_eq!((samples[0].label("status"), samples[0].value), ("200", 3.0));
        assert_eq!((samples[2].label("status"), samples[2].value), ("", 1.0));
        assert_eq!(samples[4].value, 0.001);
    }

    #[test]
    fn what_breaks_a_scrape_fails() {
        for (from, to) in [
            ("# EOF\n", ""),
            ("up 1", "up one"),
            ("up 1", "up"),
            ("up 1", "up 1 2 3"),
            ("up 1", "down 1"),
            ("up 1", "7up 1"),
            ("up 1", ""),
            (r#"{le="+Inf"}"#, r#"{le="+Inf"#),
            (r#"{le="+Inf"}"#, r#"{le=7}"#),
            (r#"{trace_id="ab"} 1.0 1700000000.5"#, r#"{trace_id="ab"}"#),
            ("# TYPE up", "# KIND up"),
        ] {
            let bad = GOOD.replace(from, to);
            assert!(parse(&bad).is_err(), "{from} -> {to}");
        }
    }
}
