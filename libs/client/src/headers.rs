//! What a call carries besides what its caller gave it: trace, request id, time left.
use crate::{Call, call::strip_connection_headers};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header::HOST};
use http_body_util::Full;
use std::time::Duration;
use telemetry::Context;

/// Milliseconds the callee has to answer. Relative, since clocks of different machines differ.
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline-ms");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes the headers of a call ready for any number of tries.
pub(crate) fn prepare(headers: &mut HeaderMap, context: Option<&Context>) {
    strip_connection_headers(headers);
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
    *headers = call.headers.clone();
    headers.insert(HOST, authority.clone());
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    headers.insert(DEADLINE, milliseconds.into());
    request
}

/// The framing of the answer ends here: its body is whole.
pub(crate) fn strip(response: &mut Response<Bytes>) {
    let length = response.headers_mut().remove(http::header::CONTENT_LENGTH);
    strip_connection_headers(response.headers_mut());
    if let Some(length) = length {
        response
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, length);
    }
}
