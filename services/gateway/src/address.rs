//! Where a client really is.
use axum::http::HeaderMap;
use std::net::IpAddr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address: the other end of the connection, unless that is one of `proxies` of ours in a row,
/// each of which has added the address it saw to `X-Forwarded-For`. What stands before those, anybody
/// may have written.
pub fn client(peer: IpAddr, headers: &HeaderMap, proxies: u8) -> IpAddr {
    let Some(place) = usize::from(proxies).checked_sub(1) else {
        return peer;
    };
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let seen = values.flat_map(|value| value.to_str().unwrap_or("").rsplit(','));
    let address = seen.into_iter().nth(place);
    address
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[&str], proxies: u8) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().expect("a value"));
        }
        let peer = "192.0.2.9".parse().expect("an address");
        client(peer, &headers, proxies).to_string()
    }

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let forged = ["1.1.1.1, 2.2.2.2", "3.3.3.3"];
        assert_eq!(seen(&forged, 0), "192.0.2.9");
        assert_eq!(seen(&forged, 1), "3.3.3.3");
        assert_eq!(seen(&forged, 2), "2.2.2.2");
        assert_eq!(seen(&forged, 4), "192.0.2.9");
        assert_eq!(seen(&[], 1), "192.0.2.9");
        assert_eq!(seen(&["1.1.1.1, unknown"], 1), "192.0.2.9");
        assert_eq!(seen(&["2001:db8::1"], 1), "2001:db8::1");
    }
}
