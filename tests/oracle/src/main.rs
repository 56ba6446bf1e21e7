//! SRI's crates behind a pipe: what they make of a message, a handshake, a record, a share, a share rate. Requests come on standard input,
//! answers go to standard output, both as `u32 length | bytes`, integers little-endian. The first byte of a request says what is
//! asked (`Request`), the first of an answer whether it was done (0) or refused (1, then why, as text).
//!
//! `oracle serve` answers; `oracle bench` times (see bench.rs).

mod bench;
mod messages;
mod noise;
mod pipe;
mod vardiff;

use pipe::{Reader, Writer};
use std::io::{stdin, stdout, Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};

pub type Refusal = String;

fn answer(request: &[u8], sessions: &mut noise::Sessions) -> Result<Vec<u8>, Refusal> {
    let mut reader = Reader::new(request);
    let mut writer = Writer::default();
    match reader.u8()? {
        0 => messages::encode(&mut reader, &mut writer)?,
        1 => messages::decode(&mut reader, &mut writer)?,
        2 => sessions.initiate(&mut reader, &mut writer)?,
        3 => sessions.finish(&mut reader)?,
        4 => sessions.respond(&mut reader, &mut writer)?,
        5 => sessions.seal(&mut reader, &mut writer)?,
        6 => sessions.open(&mut reader, &mut writer)?,
        7 => vardiff::judge(&mut reader, &mut writer)?,
        other => return Err(format!("the oracle knows no request {other}")),
    }
    Ok(writer.bytes)
}

fn serve() -> std::io::Result<()> {
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    let mut sessions = noise::Sessions::default();
    let mut length = [0u8; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut request)?;
        // A panic of theirs is a refusal with a name of its own, so that the test can tell.
        let done = catch_unwind(AssertUnwindSafe(|| answer(&request, &mut sessions))).unwrap_or_else(|_| Err("panicked".into()));
        let (status, body) = match done {
            Ok(body) => (0u8, body),
            Err(why) => (1u8, why.into_bytes()),
        };
        output.write_all(&(1 + body.len() as u32).to_le_bytes())?;
        output.write_all(&[status])?;
        output.write_all(&body)?;
        output.flush()?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        Some("bench") => bench::run(),
        _ => {
            eprintln!("usage: oracle serve | bench");
            std::process::exit(2)
        }
    }
}
