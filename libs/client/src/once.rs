//! One call to one address: no choice, no retry, no breaker. For whoever means this replica and no other.
use crate::{Call, Error, Settings, connection::Failure, headers, pool::Pool, room::Room};
use bytes::Bytes;
use http::{HeaderValue, Response};
use std::{net::SocketAddr, time::Duration};
use telemetry::Context;
use tokio::time::timeout;

/// What errors call it.
const REPLICA: &str = "replica";

/// Sends a call to this address, over a connection of its own.
///
/// # Errors
/// When there is no answer within `time`.
pub async fn once(
    address: SocketAddr,
    mut call: Call,
    time: Duration,
) -> Result<Response<Bytes>, Error> {
    let upstream = REPLICA;
    headers::prepare(&mut call.headers, Context::current().as_ref());
    let authority = HeaderValue::try_from(address.to_string()).expect("addresses are ASCII");
    let request = headers::request(&call, &authority, time);
    let settings = Settings::default();
    let pool = Pool::new(address, &settings, Room::new(&settings));
    match timeout(time, pool.exchange(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(Failure::Connect(_) | Failure::Unsent)) => Err(Error::Unavailable {
            upstream,
            retry_after: Duration::from_secs(1),
        }),
        Ok(Err(Failure::Broken { error: source, .. })) => Err(Error::Broken { upstream, source }),
        Ok(Err(Failure::TooLarge)) => Err(Error::TooLarge { upstream }),
        Ok(Err(Failure::Full)) => Err(Error::Full { upstream }),
        Ok(Err(Failure::TimedOut)) | Err(_) => Err(Error::Timeout { upstream }),
    }
}
