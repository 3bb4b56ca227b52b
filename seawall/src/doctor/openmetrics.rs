//! Reads OpenMetrics text as strictly as a scraper does: a sample that can't be parsed costs the
//! whole scrape. After <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
use anyhow::{Context as _, bail, ensure};

/// How many samples `text` has.
///
/// # Errors
/// The first line that breaks the format.
pub fn samples(text: &str) -> anyhow::Result<usize> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let body = body
        .strip_suffix("# EOF")
        .context("does not end with # EOF")?;
    let mut family = "";
    let mut samples = 0;
    for (number, line) in body.lines().enumerate() {
        let result = match line.strip_prefix("# ") {
            Some(comment) => declaration(comment).map(|name| family = name),
            None => sample(line, family).map(|()| samples += 1),
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
fn sample(line: &str, family: &str) -> anyhow::Result<()> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    ensure!(is_name(name), "a bad name");
    let of_family = !family.is_empty() && name.starts_with(family);
    ensure!(of_family, "not under the TYPE of its family");
    let rest = if rest.starts_with('{') {
        labels(rest)?
    } else {
        rest
    };
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    numbers(value)?;
    exemplar.map_or(Ok(()), |exemplar| numbers(labels(exemplar)?))
}

/// What follows the closing brace.
fn labels(text: &str) -> anyhow::Result<&str> {
    let mut rest = text.strip_prefix('{').context("no labels")?;
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        let (name, value) = rest.split_once("=\"").context("a label without a value")?;
        ensure!(is_name(name), "a bad label name");
        rest = &value[end_of_text(value)? + 1..];
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

/// ` value` or ` value timestamp`.
fn numbers(text: &str) -> anyhow::Result<()> {
    let text = text.strip_prefix(' ').context("no value")?;
    let words: Vec<&str> = text.split(' ').collect();
    ensure!(words.len() <= 2, "more than a value and a timestamp");
    for word in words {
        let number: Result<f64, _> = word.parse();
        number.with_context(|| format!("{word} is not a number"))?;
    }
    Ok(())
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
        assert_eq!(samples(GOOD).expect("good"), 6);
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
            assert!(samples(&bad).is_err(), "{from} -> {to}");
        }
    }
}
