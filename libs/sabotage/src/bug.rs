//! Bugs that tests must find, each named in `SEEDED_BUGS`, a list with commas.

/// A mechanism taken out, or a classic mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A failed call is never repeated.
    RetriesOff,
    /// Events that were lost on their way are not pushed again.
    RelayOff,
    /// An order's key means nothing.
    IdempotencyOff,
    /// Events go out before their order is committed.
    EnqueueBeforeCommit,
    /// An event is acknowledged before it is worked in.
    AcknowledgeBeforeEffect,
    /// An event that comes again is a new mail.
    NoUniqueKey,
    /// A cancellation that comes again puts the pieces back again.
    ReleaseTwice,
    /// Stock is read first and written later.
    CheckThenAct,
    /// A request without a key is repeated all the same.
    UnkeyedRetry,
    /// An order is answered before it is committed.
    ReplyBeforeCommit,
}

/// Whether the bug is in here; in a build without the feature it never is.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
#[must_use]
pub const fn has(_: Bug) -> bool {
    false
}

/// Whether what was asked for may be: nothing can be in this build.
///
/// # Errors
/// None.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn check(_development: bool) -> Result<(), &'static str> {
    Ok(())
}

#[cfg(feature = "seeded-bugs")]
pub use seeded::{check, has};

#[cfg(feature = "seeded-bugs")]
mod seeded {
    use super::Bug;
    use std::{env, sync::OnceLock};

    const VARIABLE: &str = "SEEDED_BUGS";

    impl Bug {
        /// Every one, by its name.
        pub const ALL: [(&str, Self); 10] = [
            ("retries-off", Self::RetriesOff),
            ("relay-off", Self::RelayOff),
            ("idempotency-off", Self::IdempotencyOff),
            ("enqueue-before-commit", Self::EnqueueBeforeCommit),
            ("acknowledge-before-effect", Self::AcknowledgeBeforeEffect),
            ("no-unique-key", Self::NoUniqueKey),
            ("release-twice", Self::ReleaseTwice),
            ("check-then-act", Self::CheckThenAct),
            ("unkeyed-retry", Self::UnkeyedRetry),
            ("reply-before-commit", Self::ReplyBeforeCommit),
        ];
    }

    /// Whether the bug is in here.
    #[must_use]
    pub fn has(bug: Bug) -> bool {
        static BUGS: OnceLock<Vec<Bug>> = OnceLock::new();
        let bugs = BUGS.get_or_init(|| read().unwrap_or_default());
        bugs.contains(&bug)
    }

    /// Whether what is asked for may be: bugs that there are, and in development alone.
    ///
    /// # Errors
    /// What to do about it.
    pub fn check(development: bool) -> Result<(), &'static str> {
        match read()? {
            bugs if bugs.is_empty() || development => Ok(()),
            _ => Err("SEEDED_BUGS is for development alone: unset it, or set APP_ENV=development"),
        }
    }

    fn read() -> Result<Vec<Bug>, &'static str> {
        let text = env::var_os(VARIABLE).unwrap_or_default();
        let text = text.to_str().ok_or("SEEDED_BUGS is not text")?;
        parse(text)
    }

    fn parse(text: &str) -> Result<Vec<Bug>, &'static str> {
        let names = text.split(',').filter(|name| !name.is_empty());
        let find = |name| {
            let mut all = Bug::ALL.iter();
            let bug = all.find(|(known, _)| *known == name).map(|(_, bug)| *bug);
            bug.ok_or("SEEDED_BUGS names a bug that there isn't")
        };
        names.map(find).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn bugs_are_named_in_a_list() {
            let two = vec![Bug::RelayOff, Bug::NoUniqueKey];
            assert_eq!(parse("relay-off,no-unique-key"), Ok(two));
            assert_eq!(parse(""), Ok(Vec::new()));
            assert!(parse("relay-of").is_err());
        }
    }
}
