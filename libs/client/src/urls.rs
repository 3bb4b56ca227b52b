//! Where the replicas of a service are, as configured.
use http::{HeaderValue, Uri, uri::Scheme};
use std::{fmt, net::IpAddr, str::FromStr};

/// The addresses of a service's replicas: `http://127.0.0.1:5000,http://127.0.0.1:5100`.
///
/// A host name stands for every address it resolves to. Use it as the type of a setting:
/// what doesn't parse then stops the start with a clear line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls(pub(crate) Vec<Url>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// As sent in the `Host` header.
    pub(crate) authority: HeaderValue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

/// Why a list of URLs was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form http://host:port")]
pub struct InvalidUrls(String);

impl FromStr for Urls {
    type Err = InvalidUrls;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let urls = text.split(',').map(|url| {
            let url = url.trim();
            parse(url).ok_or_else(|| InvalidUrls(url.to_owned()))
        });
        urls.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, url) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let authority = url.authority.to_str().unwrap_or_default();
            write!(f, "{comma}http://{authority}")?;
        }
        Ok(())
    }
}

fn parse(url: &str) -> Option<Url> {
    let uri: Uri = url.parse().ok()?;
    let plain = uri.scheme() == Some(&Scheme::HTTP) && matches!(uri.path(), "" | "/");
    let authority = uri.authority()?;
    if !plain || uri.query().is_some() || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host();
    let unbracketed = host.trim_start_matches('[').trim_end_matches(']');
    let place = match unbracketed.parse() {
        Ok(address) => Host::Address(address),
        Err(_) if host.is_empty() || host.starts_with('[') => return None,
        Err(_) => Host::Name(host.to_owned()),
    };
    let port = match authority.as_str().strip_prefix(host)? {
        "" => 80,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    Some(Url {
        host: place,
        port,
        authority: HeaderValue::from_str(authority.as_str()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_names() {
        let urls: Urls = "http://127.0.0.1:5000, http://[::1]:5001/,http://order"
            .parse()
            .expect("valid");
        let hosts: Vec<_> = urls.0.iter().map(|u| (u.host.clone(), u.port)).collect();
        let address = |text: &str| Host::Address(text.parse().expect("an address"));
        let name = Host::Name("order".to_owned());
        assert_eq!(
            hosts,
            [
                (address("127.0.0.1"), 5000),
                (address("::1"), 5001),
                (name, 80)
            ]
        );
        assert_eq!(
            urls.to_string(),
            "http://127.0.0.1:5000,http://[::1]:5001,http://order"
        );
    }

    #[test]
    fn names_the_url_that_is_wrong() {
        for bad in [
            "",
            "order:5000",
            "https://order",
            "http://order/api",
            "http://order?x=1",
            "http://a@order",
            "http://order:99999",
        ] {
            let list = format!("http://127.0.0.1:5000,{bad}");
            let error = list.parse::<Urls>().expect_err(bad);
            assert_eq!(error, InvalidUrls(bad.to_owned()));
        }
    }
}
