//! Asks a replica's ops listener how it is. One short connection a time, and only the status
//! line is read: fourteen replicas are asked every two seconds for ever.
use std::{io, net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// An answer that takes longer is none.
const LIMIT: Duration = Duration::from_secs(1);
/// Between two liveness probes.
const LIVENESS_PERIOD: Duration = Duration::from_secs(2);
/// Silence in so many liveness probes in a row means the replica hangs.
const LIVENESS_MISSES: u32 = 3;
/// How long a new process may take to answer anything at all.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Returns once the replica is ready; `false`: it has not answered for so long that it hangs.
/// A replica that says it is not ready (its database is away, say) is waited for.
pub async fn until_ready(ops: u16) -> bool {
    let started = Instant::now();
    let mut answered = started;
    loop {
        match status(ops, "/readyz").await {
            Ok(200) => return true,
            Ok(_) => answered = Instant::now(),
            Err(_) if answered.elapsed() > START_LIMIT => return false,
            Err(_) => {}
        }
        sleep(pause(started.elapsed())).await;
    }
}

/// Quick while a start normally ends, frugal when it takes longer.
fn pause(waited: Duration) -> Duration {
    Duration::from_millis(match waited.as_secs() {
        0..2 => 10,
        2..10 => 100,
        _ => 1000,
    })
}

/// Returns when the replica has stopped answering.
pub async fn until_silent(ops: u16) {
    let mut misses = 0;
    while misses < LIVENESS_MISSES {
        sleep(LIVENESS_PERIOD).await;
        match status(ops, "/livez").await {
            Ok(200) => misses = 0,
            _ => misses += 1,
        }
    }
}

/// The status code `path` answers with.
async fn status(ops: u16, path: &str) -> io::Result<u16> {
    let answer = timeout(LIMIT, async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, ops)).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut line = [0; 12]; // "HTTP/1.1 200"
        stream.read_exact(&mut line).await?;
        io::Result::Ok(line)
    });
    let line = answer.await??;
    let code = std::str::from_utf8(&line[9..])
        .ok()
        .and_then(|code| code.parse().ok());
    code.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
