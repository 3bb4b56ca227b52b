//! What a mail address looks like, wherever people enter one.

/// A plain `local@domain` of visible ASCII: strict enough that nothing can be smuggled into a mail header.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&b);
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && local.bytes().all(atom)
        && !local.split('.').any(str::is_empty)
        && domain.contains('.')
        && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_plain_addresses() {
        for good in [
            "a@example.com",
            "first.last+tag@sub.example.co",
            "o'hara@example.org",
        ] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(250));
        for bad in [
            "",
            "a",
            "a@b",
            "@example.com",
            "a@",
            "a@b@example.com",
            "a@b.c\r\nBcc: x@y.z",
            "a b@example.com",
            "a..b@example.com",
            ".a@example.com",
            "ä@example.com",
            "a@exa mple.com",
            "a@-x.com",
            "a@x..com",
            "\"a\"@example.com",
            "a@example.com\0",
            &long,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
