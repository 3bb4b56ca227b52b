//! What RFC 9112 lets a server refuse and hyper lets pass: ambiguous framing, no host, huge targets.
use crate::Problem;
use axum::http::{
    HeaderMap, Request, StatusCode, Version,
    header::{CONTENT_ENCODING, HOST, TRANSFER_ENCODING},
};

const MAX_TARGET: usize = 8 * 1024;

/// Checks the head of a request before anything else looks at it.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |p| p.as_str().len());
    if target > MAX_TARGET {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            "The request target is too long",
        ));
    }
    framing(headers)?;
    if request.version() == Version::HTTP_11 {
        host(request)?;
    }
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|v| v != "identity")
    {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded_body",
            "Encoded bodies are not accepted",
        ));
    }
    Ok(())
}

/// RFC 9112 section 6.1: a body framed twice, or by a coding we don't know, smells of smuggling.
/// A length beside chunks doesn't get here: hyper drops the length and closes after the answer.
fn framing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() {
        return Err(bad("The body is framed twice"));
    }
    if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "transfer_coding",
            "Only chunked bodies are understood",
        ));
    }
    Ok(())
}

/// RFC 9112 section 3.2: exactly one Host, and it agrees with an absolute target.
fn host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(bad("There must be exactly one Host header"));
    };
    match request.uri().authority() {
        Some(authority) if authority.as_str().as_bytes() != host.as_bytes() => {
            Err(bad("Host and target disagree"))
        }
        _ => Ok(()),
    }
}

fn bad(title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_request", title)
}
