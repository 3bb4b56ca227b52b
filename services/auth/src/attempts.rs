//! How often a password may be guessed: by account and by address, counted in the database, so that all
//! replicas share the count and a restart keeps it.
//!
//! An attempt is counted before its password is hashed, in one statement, so that a thousand at once
//! get no further than a thousand in a row. Some are free; then each further one may come only after a
//! wait that grows fourfold, up to a limit: nobody is locked out for good.
use crate::{
    error::{Error, Result},
    store::Store,
};
use ring::digest;
use std::{fmt::Write as _, net::IpAddr};

/// What a series of failures costs. Times are milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Attempts without a wait after them.
    pub free: i64,
    pub first_wait: i64,
    pub longest_wait: i64,
    /// After so long without an attempt (the wait not counted) all is forgotten.
    pub memory: i64,
}

/// At most ten guesses in any 15 minutes: five, and then after waits of 1, 4, 16, 64 and 256 s.
pub const ACCOUNT: Policy = Policy {
    free: 4,
    first_wait: 1_000,
    longest_wait: 900_000,
    memory: 900_000,
};
/// Several people may share an address, and who succeeds is not counted.
pub const ADDRESS: Policy = Policy {
    free: 19,
    first_wait: 1_000,
    longest_wait: 60_000,
    memory: 60_000,
};

/// Those whose failures are counted together for one attempt.
#[derive(Clone, Debug)]
pub struct Subjects {
    account: String,
    address: String,
}

impl Subjects {
    /// Of a name as it looks, and an address; calls that come past the gateway have none and share one count.
    pub fn new(look: &str, address: Option<IpAddr>) -> Self {
        let mut account = "account ".to_owned();
        // The caller's text may be long.
        for byte in digest::digest(&digest::SHA256, look.as_bytes()).as_ref() {
            write!(account, "{byte:02x}").expect("strings take any text");
        }
        let address = address.map_or("inside".to_owned(), |address| network(address).to_string());
        Self {
            account,
            address: format!("address {address}"),
        }
    }

    /// Counts an attempt of each.
    ///
    /// # Errors
    /// [`Error::Limited`] when it must wait.
    pub async fn take(&self, store: &Store) -> Result<()> {
        let now = db::now().timestamp_millis();
        for (subject, policy) in [(&self.address, ADDRESS), (&self.account, ACCOUNT)] {
            if let Some(blocked_until) = store.take_attempt(subject, policy, now).await? {
                let wait = u64::try_from(blocked_until - now).unwrap_or(0).max(1);
                let retry_after = u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX);
                return Err(Error::Limited { retry_after });
            }
        }
        Ok(())
    }

    /// The password was right: the account starts anew, the address loses this one attempt.
    pub async fn succeeded(&self, store: &Store) -> Result<()> {
        store.forget_attempts(&self.account).await?;
        store.give_attempt_back(&self.address).await?;
        Ok(())
    }

    /// Nothing was guessed after all.
    pub async fn give_back(&self, store: &Store) -> Result<()> {
        store.give_attempt_back(&self.account).await?;
        store.give_attempt_back(&self.address).await?;
        Ok(())
    }
}

/// An IPv6 customer has at least a /64 to choose addresses from (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut segments = v6.segments();
            segments[4..].fill(0);
            IpAddr::V6(segments.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_ipv6_count_as_one() {
        let of = |text: &str| Subjects::new("ada", text.parse().ok()).address;
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
