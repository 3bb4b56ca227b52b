//! Sending mail through SMTP.
use crate::{config::Config, notification::Notification};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};
use std::time::Duration;

/// A server that doesn't answer in this time is tried again later.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why a mail wasn't taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the mail can't be written: {0}")]
    Unwritable(String),
    #[error("{0}")]
    Smtp(#[from] smtp::Error),
}

impl Error {
    /// Will it never be taken?
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Unwritable(_) => true,
            Self::Smtp(e) => e.is_permanent(),
        }
    }
}

impl Mailer {
    /// A mailer, if there is a server to send through.
    ///
    /// # Errors
    /// When the URL isn't one.
    pub fn new(config: &Config) -> Result<Option<Self>, smtp::Error> {
        let Some(url) = &config.smtp_url else {
            return Ok(None);
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?
            .timeout(Some(TIMEOUT))
            .build();
        Ok(Some(Self {
            transport,
            from: config.mail_from.clone(),
        }))
    }

    /// Sends one mail; returns once the server has taken it.
    ///
    /// # Errors
    /// When the server refuses it or is away.
    pub async fn send(&self, n: &Notification) -> Result<(), Error> {
        let to = n
            .recipient
            .parse::<Mailbox>()
            .map_err(|e| Error::Unwritable(e.to_string()))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(n.subject())
            .message_id(Some(n.message_id()))
            .header(ContentType::TEXT_PLAIN)
            .body(n.text())
            .map_err(|e| Error::Unwritable(e.to_string()))?;
        self.transport.send(message).await?;
        Ok(())
    }
}
