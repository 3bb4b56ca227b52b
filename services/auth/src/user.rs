//! What an account is: its names, what may be in a profile. No IO here.
use chrono::{DateTime, Utc};
use contracts::auth::{Profile, PublicProfile, Role};
use ring::hmac;
use serde::{Deserialize, Deserializer};
use service::Problem;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{GeneralSecurityProfile as _, MixedScript as _, skeleton};
use uuid::Uuid;

/// An account as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    pub id: Uuid,
    pub username: String,
    pub display_name: String,
    pub email: Option<String>,
    pub avatar: Option<String>,
    pub password: String,
    pub role: String,
    pub created_at: DateTime<Utc>,
}

impl User {
    pub fn role(&self) -> Role {
        match self.role.as_str() {
            "operator" => Role::Operator,
            _ => Role::User,
        }
    }

    pub fn view(self) -> Profile {
        Profile {
            role: self.role(),
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            email: self.email,
            avatar: self.avatar,
            created_at: self.created_at,
        }
    }

    pub fn public(self) -> PublicProfile {
        PublicProfile {
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            avatar: self.avatar,
        }
    }
}

/// A username that was checked, and what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    pub text: String,
    pub skeleton: String,
}

impl Username {
    /// Reads a name: NFC, 3 to 32 letters, digits, `.`, `_` and `-`, of one script, and only characters
    /// that Unicode recommends for identifiers (UTS 39, sections 3.1 and 5.1).
    ///
    /// # Errors
    /// 422 that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = |detail: &str| Err(Problem::invalid("/username", detail));
        if text.len() > 256 {
            return invalid("must be 3 to 32 characters");
        }
        let text: String = text.nfc().collect();
        let fits = |c: char| {
            matches!(c, '.' | '_' | '-') || (c.is_alphanumeric() && c.identifier_allowed())
        };
        if !(3..=32).contains(&text.chars().count()) {
            return invalid("must be 3 to 32 characters");
        }
        if !text.chars().all(fits) || !text.starts_with(char::is_alphanumeric) {
            return invalid(
                "must be letters, digits, '.', '_' and '-', and begin with a letter or digit",
            );
        }
        if !text.as_str().is_single_script() {
            return invalid("must not mix scripts");
        }
        let skeleton = look(&text);
        Ok(Self { text, skeleton })
    }
}

/// What a name looks like: names that differ in case or in letters that can be taken for each other
/// (UTS 39 section 4) give the same.
pub fn look(name: &str) -> String {
    let folded: String = name.to_lowercase().nfc().collect();
    // The table maps some small letters and digits to capitals: 0 to O.
    skeleton(&folded).collect::<String>().to_lowercase()
}

/// The id of an account that is registered under an idempotency key: the same on every replica, and
/// not to be guessed without the secret.
pub fn id_for(secret: &hmac::Key, key: &str) -> Uuid {
    let tag = hmac::sign(secret, &[b"POST /auth/register\0", key.as_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&tag.as_ref()[..16]);
    Uuid::new_v8(bytes)
}

/// Changes to a profile; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// 1 to 64 characters.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// Id of an uploaded picture; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub avatar: Option<Option<String>>,
    /// A new password, 8 to 1024 bytes; ends all sessions.
    #[serde(default)]
    pub password: Option<String>,
    /// Needed with a new password.
    #[serde(default)]
    pub current_password: Option<String>,
}

/// Tells null, which clears a field, from a field that isn't there.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Change {
    /// # Errors
    /// 422 that names the field.
    pub fn validate(&self) -> Result<(), Problem> {
        if let Some(name) = &self.display_name
            && !is_display_name(name)
        {
            let detail = "must be 1 to 64 visible characters, without blanks at the ends";
            return Err(Problem::invalid("/display_name", detail));
        }
        if let Some(Some(email)) = &self.email
            && !contracts::is_email(email)
        {
            let detail = "must be an address like name@example.com";
            return Err(Problem::invalid("/email", detail));
        }
        if let Some(Some(avatar)) = &self.avatar
            && !is_image_id(avatar)
        {
            let detail = "must be the id of a picture";
            return Err(Problem::invalid("/avatar", detail));
        }
        Ok(())
    }
}

/// No control characters, and none that turn the direction of what follows (UAX 9).
fn is_display_name(text: &str) -> bool {
    let plain = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    (1..=64).contains(&text.chars().count()) && text.trim() == text && text.chars().all(plain)
}

fn is_image_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_script_and_safe_characters() {
        for good in [
            "ada",
            "Ada.Lovelace",
            "a_b-c9",
            "жанна",
            "小林さん",
            "josé",
            "9lives",
        ] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in [
            "",
            "ab",
            &long,
            ".ada",
            "-ada",
            "ada lovelace",
            " ada",
            "ada ",
            "ada\0",
            "ada\n",
            "аdmin",         // a Cyrillic а
            "ａdmin",        // full width
            "ad\u{200b}min", // zero width space
            "ad\u{202e}min", // right-to-left override
            "ﬁnn",           // a ligature
            "ada@example",
            "a/../b",
            "<b>ada</b>",
            "adaжанна",
            "ada🦀",
        ] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Username::parse("jose\u{301}").expect("NFC").text, "josé");
    }

    #[test]
    fn names_that_look_alike_share_a_skeleton() {
        let look = |name: &str| Username::parse(name).expect(name).skeleton;
        for (one, two) in [
            ("operator", "Operator"),
            ("operator", "0perator"),
            ("operator", "OPERAT0R"),
            ("paypal", "paypa1"),
            ("сосо", "coco"), // all Cyrillic
            ("jose\u{301}", "JOSÉ"),
        ] {
            assert_eq!(look(one), look(two), "{one} {two}");
        }
        assert_ne!(look("ada"), look("eda"));
    }

    #[test]
    fn a_field_that_is_null_is_not_one_left_out() {
        let read = |text| serde_json::from_str::<Change>(text).expect("a change");
        assert_eq!(read("{}").email, None);
        assert_eq!(read(r#"{"email":null}"#).email, Some(None));
        assert_eq!(
            read(r#"{"email":"a@b.c"}"#).email,
            Some(Some("a@b.c".into()))
        );
    }

    #[test]
    fn profiles_hold_plain_text() {
        let change = |name: &str| Change {
            display_name: Some(name.into()),
            ..Change::default()
        };
        for good in ["A", "Ada Lovelace", "小林 さん", "🦀"] {
            assert!(change(good).validate().is_ok(), "{good}");
        }
        for bad in ["", " ", " A", "a\nb", "a\u{202e}b", "a\0", &"x".repeat(65)] {
            assert!(change(bad).validate().is_err(), "{bad:?}");
        }
        for bad in ["", "../x", "a b", &"x".repeat(65)] {
            let change = Change {
                avatar: Some(Some(bad.into())),
                ..Change::default()
            };
            assert!(change.validate().is_err(), "{bad:?}");
        }
    }
}
