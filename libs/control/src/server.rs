//! The supervisor's end.
use crate::{PATIENCE, Request, Response, socket};
use anyhow::{Context as _, ensure};
use std::{io, path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::timeout,
};

/// `sun_path` holds 108 bytes, one of them the closing zero.
const LONGEST_PATH: usize = 107;
/// Longest request accepted, bytes.
const LONGEST_REQUEST: u64 = 4096;

/// Opens the socket in `data`, taking the place of one left by a supervisor that crashed;
/// so the caller holds the folder's lock.
///
/// # Errors
/// When the path is too long for a socket, or the folder can't be written.
pub fn listen(data: &Path) -> anyhow::Result<UnixListener> {
    let socket = socket(data);
    ensure!(
        socket.as_os_str().len() <= LONGEST_PATH,
        "the path {} is too long for a socket (at most {LONGEST_PATH} bytes): choose a shorter --data",
        socket.display()
    );
    match std::fs::remove_file(&socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
        _ => {}
    }
    // Through the umask the socket has its mode from the first moment.
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&socket);
    rustix::process::umask(umask);
    listener.with_context(|| format!("cannot listen on {}", socket.display()))
}

/// Answers requests with `answer` for ever. A watch is answered again at each of `changes`.
pub async fn serve<F>(listener: UnixListener, changes: watch::Receiver<()>, answer: F)
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let exchange = exchange(stream, changes.clone(), answer.clone());
                // A client that breaks off has nobody left to tell.
                tokio::spawn(async move { drop(exchange.await) });
            }
            // Out of file descriptors, for instance: it may pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn exchange(
    mut stream: UnixStream,
    changes: watch::Receiver<()>,
    answer: impl Fn(Request) -> Response,
) -> anyhow::Result<()> {
    let (mut read, mut write) = stream.split();
    let mut line = String::new();
    let mut request = BufReader::new((&mut read).take(LONGEST_REQUEST));
    timeout(PATIENCE, request.read_line(&mut line)).await??;
    match serde_json::from_str(&line) {
        Ok(Request::Watch) => tell(read, write, changes, || answer(Request::List)).await,
        Ok(request) => send(&mut write, &answer(request)).await,
        Err(e) => {
            let error = format!("cannot read the request: {e}");
            send(&mut write, &Response::Refused { error }).await
        }
    }
}

/// Sends the present state and each one after it, until the client hangs up.
async fn tell(
    mut read: ReadHalf<'_>,
    mut write: WriteHalf<'_>,
    mut changes: watch::Receiver<()>,
    state: impl Fn() -> Response,
) -> anyhow::Result<()> {
    loop {
        changes.mark_unchanged();
        send(&mut write, &state()).await?;
        tokio::select! {
            changed = changes.changed() => changed?,
            // There is nothing more to ask on this connection.
            _ = read.read_u8() => return Ok(()),
        }
    }
}

async fn send(write: &mut WriteHalf<'_>, response: &Response) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(response)?;
    line.push('\n');
    Ok(timeout(PATIENCE, write.write_all(line.as_bytes())).await??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Phase, Replica, Rollout, State};
    use chrono::DateTime;
    use std::os::unix::fs::PermissionsExt as _;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Instant,
    };

    fn replica() -> Replica {
        Replica {
            name: "order-2".into(),
            service: "order".into(),
            replica: 2,
            pid: Some(123),
            state: State::Ready,
            restarts: 1,
            started_at: DateTime::UNIX_EPOCH,
            api: "http://127.0.0.1:5100".into(),
            ops: "http://127.0.0.1:15100".into(),
        }
    }

    fn rollout(id: String) -> Rollout {
        Rollout {
            id,
            service: "order".into(),
            phase: Phase::RolledBack,
            reason: Some("not ready".into()),
        }
    }

    fn answer(request: Request) -> Response {
        match request {
            Request::List | Request::Watch => Response::List {
                replicas: vec![replica()],
            },
            Request::Kill { name, .. } if name == "order-2" => {
                Response::Done { ok: true, pid: 123 }
            }
            Request::Kill { name, .. } => Response::Refused {
                error: format!("no replica is called {name}"),
            },
            Request::Rollout { id, service, .. } if service == "order" => Response::Rollout {
                rollout: Some(rollout(id)),
            },
            Request::Rollout { service, .. } => Response::Refused {
                error: format!("no service is called {service}"),
            },
            Request::Progress => Response::Rollout { rollout: None },
        }
    }

    #[tokio::test]
    async fn client_and_server_understand_each_other() {
        let data = tempfile::tempdir().expect("temp dir");
        tokio::spawn(serve(
            listen(data.path()).expect("listen"),
            watch::channel(()).1,
            answer,
        ));
        let client = Client::of(data.path());
        assert_eq!(client.list().await.expect("list"), [replica()]);
        assert_eq!(
            client
                .kill("order-2", crate::Signal::Kill)
                .await
                .expect("kill"),
            123
        );
        let refused = client.kill("order-9", crate::Signal::Term).await;
        assert_eq!(
            refused.expect_err("unknown").to_string(),
            "no replica is called order-9"
        );
        client.roll_out("7", "order", false).await.expect("started");
        let refused = client.roll_out("8", "orders", true).await;
        assert_eq!(
            refused.expect_err("unknown").to_string(),
            "no service is called orders"
        );
        assert_eq!(client.progress().await.expect("told"), None);
    }

    /// The wire format is a contract with clients in other languages.
    #[tokio::test]
    async fn lines_on_the_wire() {
        let data = tempfile::tempdir().expect("temp dir");
        tokio::spawn(serve(
            listen(data.path()).expect("listen"),
            watch::channel(()).1,
            answer,
        ));
        for (request, expected) in [
            (
                r#"{"do":"kill","name":"order-2","signal":"STOP"}"#,
                r#"{"ok":true,"pid":123}"#,
            ),
            (
                r#"{"do":"list"}"#,
                r#"{"replicas":[{"name":"order-2","service":"order","replica":2,"pid":123,"state":"ready","restarts":1,"started_at":"1970-01-01T00:00:00Z","api":"http://127.0.0.1:5100","ops":"http://127.0.0.1:15100"}]}"#,
            ),
            (
                r#"{"do":"rollout","id":"7","service":"order"}"#,
                r#"{"rollout":{"id":"7","service":"order","phase":"rolled_back","reason":"not ready"}}"#,
            ),
            (r#"{"do":"progress"}"#, r#"{"rollout":null}"#),
            (
                r#"{"do":"dance"}"#,
                r#"{"error":"cannot read the request: unknown variant `dance`, expected one of `list`, `watch`, `kill`, `rollout`, `progress` at line 1 column 13"}"#,
            ),
        ] {
            let mut stream = UnixStream::connect(socket(data.path()))
                .await
                .expect("connect");
            stream
                .write_all(format!("{request}\n").as_bytes())
                .await
                .expect("write");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("read");
            assert_eq!(answer.trim_end(), expected);
        }
    }

    #[tokio::test]
    async fn only_the_owner_may_connect_and_a_stale_socket_is_replaced() {
        let data = tempfile::tempdir().expect("temp dir");
        drop(listen(data.path()).expect("first"));
        let _listener = listen(data.path()).expect("a stale socket is in the way");
        let meta = socket(data.path()).metadata().expect("socket");
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_watch_is_told_at_once_and_of_each_change() {
        let data = tempfile::tempdir().expect("temp dir");
        let (change, changes) = watch::channel(());
        let restarts = Arc::new(AtomicU32::new(0));
        let seen = restarts.clone();
        let answer = move |_: Request| Response::List {
            replicas: vec![Replica {
                restarts: seen.load(Ordering::Relaxed),
                ..replica()
            }],
        };
        let listener = listen(data.path()).expect("listen");
        let server = tokio::spawn(serve(listener, changes, answer));
        let client = Client::of(data.path());
        let mut watch = client.watch().await.expect("a watch");
        for expected in 0..3 {
            let replicas = watch.next().await.expect("replicas");
            assert_eq!(replicas[0].restarts, expected);
            // Without a change there is no line.
            let early = timeout(Duration::from_millis(20), watch.next()).await;
            assert!(early.is_err(), "{early:?}");
            restarts.fetch_add(1, Ordering::Relaxed);
            change.send_replace(());
        }
        watch.next().await.expect("the last change");
        assert_eq!(change.receiver_count(), 2);
        drop(watch);
        let started = Instant::now();
        while change.receiver_count() > 1 {
            assert!(started.elapsed() < Duration::from_secs(10), "a leak");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_watch_ends_with_the_supervisor() {
        let data = tempfile::tempdir().expect("temp dir");
        let (change, changes) = watch::channel(());
        let listener = listen(data.path()).expect("listen");
        tokio::spawn(serve(listener, changes, answer));
        let mut watch = Client::of(data.path()).watch().await.expect("a watch");
        watch.next().await.expect("replicas");
        drop(change);
        watch.next().await.expect_err("nobody is left");
    }
}
