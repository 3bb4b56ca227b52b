//! A picture as an HTTP answer: validators, ranges, and headers for caches and browsers.
use crate::{
    error::Result,
    picture::{Id, Size},
    shelf::{Found, Shelf},
};
use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
};
use service::Problem;
use std::ops::Range;

/// Answers a GET or HEAD of a picture (RFC 9110, sections 13 and 14).
pub async fn answer(shelf: &Shelf, id: Id, size: Size, asked: &HeaderMap) -> Result<Response> {
    let etag = format!("\"{id}-{}\"", size.name());
    let found = shelf.find(id, size).await?;
    if asked.get_all(IF_NONE_MATCH).iter().any(|v| names(v, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, validators(&etag)).into_response());
    }
    let whole = found.len();
    let current = asked
        .get(IF_RANGE)
        .is_none_or(|v| v.as_bytes() == etag.as_bytes());
    let range = asked.get(RANGE).filter(|_| current);
    let (status, found, length, part) = match range.map_or(Part::Whole, |v| part(v, whole)) {
        Part::Whole => (StatusCode::OK, found, whole, None),
        Part::Of(range) => {
            let part = format!("bytes {}-{}/{whole}", range.start, range.end - 1);
            let length = range.end - range.start;
            let found = shelf.part(id, size, found, range).await?;
            (StatusCode::PARTIAL_CONTENT, found, length, Some(part))
        }
        Part::Nothing => return Ok(unsatisfiable(whole)),
    };
    let body = match found {
        Found::Cached(bytes) => Body::from(bytes),
        Found::Stored(stored) => Body::from_stream(stored.into_stream()),
    };
    let mut response = (status, validators(&etag), browsers(id), body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    if let Some(part) = part {
        headers.insert(CONTENT_RANGE, ascii(part));
    }
    Ok(response)
}

/// For caches: the content of a URL never changes.
fn validators(etag: &str) -> [(HeaderName, HeaderValue); 2] {
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    [(ETAG, ascii(etag.to_owned())), (CACHE_CONTROL, forever)]
}

/// For browsers: this is a picture and nothing else, whatever its bytes look like.
fn browsers(id: Id) -> [(HeaderName, HeaderValue); 5] {
    let fixed = HeaderValue::from_static;
    [
        (ACCEPT_RANGES, fixed("bytes")),
        (CONTENT_TYPE, fixed("image/jpeg")),
        (X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (
            CONTENT_SECURITY_POLICY,
            fixed("default-src 'none'; sandbox"),
        ),
        (
            CONTENT_DISPOSITION,
            ascii(format!("inline; filename=\"{id}.jpg\"")),
        ),
    ]
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("hex digits and punctuation are visible ASCII")
}

/// Is the tag one of those in an If-None-Match header? Weak ones count there.
fn names(header: &HeaderValue, etag: &str) -> bool {
    let tags = header
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    let mut tags = tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
    tags.any(|tag| tag == "*" || tag == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Of(Range<u64>),
    Nothing,
}

/// What a Range header asks for. Several ranges, other units and what can't be read are ignored, as the
/// standard allows: the answer is the whole picture.
fn part(header: &HeaderValue, whole: u64) -> Part {
    let spec = header.to_str().ok().and_then(|v| v.strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(whole),
        (Some(first), None) if last.is_empty() => first..whole,
        (None, Some(length)) if first.is_empty() => whole.saturating_sub(length)..whole,
        _ => return Part::Whole,
    };
    if range.is_empty() {
        Part::Nothing
    } else {
        Part::Of(range)
    }
}

fn unsatisfiable(whole: u64) -> Response {
    let problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        "The picture has no such bytes",
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_RANGE, ascii(format!("bytes */{whole}")));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, expected) in [
            ("bytes=0-0", Part::Of(0..1)),
            ("bytes=2-5", Part::Of(2..6)),
            ("bytes=5-", Part::Of(5..10)),
            ("bytes=-3", Part::Of(7..10)),
            ("bytes=-30", Part::Of(0..10)),
            ("bytes=9-99999999999999999999", Part::Of(9..10)),
            ("bytes=10-", Part::Nothing),
            ("bytes=99999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(
                part(&HeaderValue::from_static(header), 10),
                expected,
                "{header}"
            );
        }
    }
}
