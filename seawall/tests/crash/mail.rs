//! A mail server that takes everything (RFC 5321).
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// The Message-IDs of all mails it took.
pub type Taken = Arc<Mutex<Vec<String>>>;

/// Its URL, and what it takes.
pub fn start() -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let taken = Taken::default();
    let shared = taken.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let taken = shared.clone();
            // A client that crashes ends the conversation.
            thread::spawn(move || drop(converse(&stream, &taken)));
        }
    });
    (url, taken)
}

fn converse(mut stream: &TcpStream, taken: &Taken) -> std::io::Result<()> {
    writeln!(stream, "220 sink\r")?;
    let (mut content, mut id) = (false, String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if content => {
                content = false;
                taken
                    .lock()
                    .expect("not poisoned")
                    .push(std::mem::take(&mut id));
                "250 taken"
            }
            "Message-ID:" if content => {
                id = line;
                continue;
            }
            _ if content => continue,
            "DATA" => {
                content = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 sink",
        };
        writeln!(stream, "{answer}\r")?;
    }
    Ok(())
}
