//! The platform a drill is run against, and who watches it.
use crate::load::shop::Login;

/// Where to find everything.
#[derive(Clone)]
pub struct Site {
    /// The gateway's public address.
    pub url: String,
    pub login: Login,
    pub prometheus: Option<String>,
    pub alertmanager: Option<String>,
}
