//! A mail server that takes mails, or does what it is told instead (RFC 5321).
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// What becomes of a mail.
#[derive(Clone, Copy)]
pub enum Mood {
    /// Answers its recipient with this.
    Recipient(u16),
    /// Answers its content with this.
    Content(u16),
    /// Hangs up instead of taking it.
    HangUp,
    /// Takes it and hangs up before saying so.
    TakeAndHangUp,
    /// Takes it after this time.
    Slow(Duration),
    /// Never answers.
    Hang,
}

#[derive(Default)]
struct State {
    mails: Mutex<Vec<String>>,
    /// Used up one by one; then mails are taken.
    moods: Mutex<VecDeque<Mood>>,
    /// Holds when nothing else is said.
    always: Mutex<Option<Mood>>,
}

pub struct Sink {
    pub url: String,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

impl Sink {
    pub async fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                connections.spawn(async move { converse(stream, &state).await });
            }
        });
        Self {
            url,
            state,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The next mails fare like this; later ones are taken.
    pub fn next(&self, moods: &[Mood]) {
        self.state.moods.lock().expect("not poisoned").extend(moods);
    }

    /// Whether a mail has come in for every mood given to [`Sink::next`].
    pub fn has_used_moods(&self) -> bool {
        self.state.moods.lock().expect("not poisoned").is_empty()
    }

    /// All mails fare like this from now on.
    pub fn always(&self, mood: Option<Mood>) {
        *self.state.always.lock().expect("not poisoned") = mood;
    }

    /// Everything that was taken, headers and body.
    pub fn mails(&self) -> Vec<String> {
        self.state.mails.lock().expect("not poisoned").clone()
    }

    /// The value of a header in all mails.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let prefix = format!("{name}: ");
        let mails = self.mails();
        let lines = mails
            .iter()
            .flat_map(|mail| mail.lines().take_while(|l| !l.is_empty()));
        lines
            .filter_map(|l| l.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }
}

/// One connection; ends without a word when something breaks.
async fn converse(stream: TcpStream, state: &State) -> Option<()> {
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 sink").await?;
    let mut mood = None;
    loop {
        let line = hear(&mut stream).await?;
        let answer = match line.split(' ').next()? {
            "MAIL" => {
                let next = state.moods.lock().expect("not poisoned").pop_front();
                mood = next.or(*state.always.lock().expect("not poisoned"));
                "250 ok".to_owned()
            }
            "RCPT" => match mood {
                Some(Mood::Recipient(code)) => format!("{code} no such mailbox"),
                _ => "250 ok".to_owned(),
            },
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                content(&mut stream, state, mood).await?
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 sink".to_owned(),
        };
        say(&mut stream, &answer).await?;
    }
}

/// Takes the content of a mail, or not; gives the answer.
async fn content(
    stream: &mut BufReader<TcpStream>,
    state: &State,
    mood: Option<Mood>,
) -> Option<String> {
    let mut mail = String::new();
    loop {
        match hear(stream).await?.as_str() {
            "." => break,
            line => mail = mail + line + "\n",
        }
    }
    let take = || state.mails.lock().expect("not poisoned").push(mail);
    match mood {
        Some(Mood::Content(code)) => return Some(format!("{code} not now")),
        Some(Mood::HangUp) => return None,
        Some(Mood::Hang) => std::future::pending().await,
        Some(Mood::TakeAndHangUp) => {
            take();
            return None;
        }
        Some(Mood::Slow(time)) => tokio::time::sleep(time).await,
        Some(Mood::Recipient(_)) | None => {}
    }
    take();
    Some("250 taken".to_owned())
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> Option<()> {
    stream
        .write_all(format!("{line}\r\n").as_bytes())
        .await
        .ok()
}
