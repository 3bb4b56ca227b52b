//! `SERVICE healthcheck`: asks the replica that has the same settings whether it is ready.
//!
//! For containers, whose images hold nothing else that could ask. It needs no runtime and logs nothing.
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

/// The name of the subcommand.
pub(crate) const NAME: &str = "healthcheck";

/// For each step of the exchange. A readiness check gives its dependencies 800 ms.
const TIMEOUT: Duration = Duration::from_secs(2);

/// More than any answer of `/readyz` takes.
const MAX_ANSWER: u64 = 4096;

/// 0 when the replica is ready; else 1 and a line on stderr that says why not.
pub(crate) fn run(name: &str, ops_listen: SocketAddr) -> ExitCode {
    let address = reachable(ops_listen);
    let why = match ask(address) {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return ExitCode::SUCCESS,
        Ok(answer) => explain(&answer),
        Err(error) => format!("no answer from http://{address}/readyz: {error}"),
    };
    eprintln!(
        "{name} is not ready: {}",
        why.replace(char::is_control, " ")
    );
    ExitCode::FAILURE
}

/// Who listens on all addresses is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The whole answer, status line first.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Status and body: `503 {"status":"draining",…}`.
fn explain(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    match head.split(' ').nth(1) {
        Some(status) if head.starts_with("HTTP/1.") => format!("{status} {body}"),
        _ => "what answers isn't an HTTP server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread, time::Instant};

    #[test]
    fn unspecified_means_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9091", "127.0.0.1:9091"),
            ("[::]:9091", "[::1]:9091"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), asked);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let draining = "HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"status\":\"draining\"}";
        assert_eq!(explain(draining), r#"503 {"status":"draining"}"#);
        for odd in ["", "SSH-2.0-x 200 ok\r\n", "HTTP/1.1"] {
            assert_eq!(explain(odd), "what answers isn't an HTTP server", "{odd}");
        }
    }

    /// A frozen process accepts, by its kernel, and never answers.
    #[test]
    fn silence_ends() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("bound");
        let asked = Instant::now();
        let asking = thread::spawn(move || ask(address));
        assert!(asking.join().expect("no panic").is_err());
        assert!(asked.elapsed() < TIMEOUT * 3, "{:?}", asked.elapsed());
    }
}
