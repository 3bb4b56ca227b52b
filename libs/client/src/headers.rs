//! What a call carries besides what its caller gave it: trace, request id, time left.
use crate::Call;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use http_body_util::Full;
use std::time::Duration;
use telemetry::{Context, Span};

/// Milliseconds the callee has to answer. Relative, since clocks of different machines differ.
const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline-ms");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Meant for one connection only (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// Said by the client itself, or not at all.
const OWN: [HeaderName; 3] = [CONTENT_LENGTH, EXPECT, HOST];

/// Makes the headers of a call ready for any number of tries.
pub(crate) fn prepare(headers: &mut HeaderMap, context: Option<&Context>) {
    remove(headers, &HOP_BY_HOP);
    remove(headers, &OWN);
    let Some(context) = context else { return };
    let known = [
        (TRACEPARENT, HeaderValue::try_from(context.traceparent())),
        (REQUEST_ID, HeaderValue::from_str(context.request_id())),
    ];
    for (name, value) in known {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
}

/// The request of one try, which may take `time`.
pub(crate) fn request(
    call: &Call,
    authority: &HeaderValue,
    time: Duration,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = Uri::from(call.path_and_query.clone());
    let headers = request.headers_mut();
    headers.clone_from(&call.headers);
    headers.insert(HOST, authority.clone());
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    headers.insert(DEADLINE, milliseconds.into());
    request
}

/// Makes a span the parent of what the callee does.
pub(crate) fn follow(request: &mut Request<Full<Bytes>>, span: &Span) {
    let value = span.traceparent().map(HeaderValue::try_from);
    if let Some(Ok(value)) = value {
        request.headers_mut().insert(TRACEPARENT, value);
    }
}

/// Ends the connection's part of an answer whose body is read.
pub(crate) fn strip(response: &mut Response<Bytes>) {
    remove(response.headers_mut(), &HOP_BY_HOP);
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    if !headers.is_empty() {
        for name in names {
            headers.remove(name);
        }
    }
}
