//! iroh behind a readiness interface in C. `include/adit_bridge.h` is the contract; this file is its border: it turns C's
//! arguments into Rust's, catches panics, and answers with the contract's codes. The work is in the modules.
//!
//! Safety of every `unsafe extern` function here: pointers are valid for what the header says they are, during the call.

mod arguments;
mod connection;
mod endpoint;
mod error;
mod handles;
#[cfg(test)]
mod layout;
mod log;
mod queue;
#[cfg(feature = "relay")]
mod relay;
mod runtime;
mod stream;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{Arc, atomic::Ordering},
};

use iroh::EndpointId;

use crate::{
    arguments::*,
    connection::{CloseReason, ConnectionInfo, Dial},
    endpoint::{Attempt, Away, Config, EndpointConfig},
    error::{Code, Failure},
    handles::Object,
    queue::{Event, Queue},
    stream::Opener,
};

const AWAY_REFUSE: u32 = 1;
const AWAY_VALIDATE: u32 = 2;
const AWAY_IGNORE: u32 = 3;
const MAX_REASON: usize = 1000;
const MAX_PIECES: usize = 64;
const MAX_LOOP_HANDLES: u32 = 1 << 22;

/// Runs one call: its value, or the code of its failure; the words stay with the thread.
fn call(body: impl FnOnce() -> Result<i64, Failure>) -> i64 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => {
            if !failure.text.is_empty() {
                error::set_last(failure.text);
            }
            failure.code as i64
        }
        Err(_) => Code::Panic as i64,
    }
}

fn call_i32(body: impl FnOnce() -> Result<i64, Failure>) -> i32 {
    call(body) as i32
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_runtime_start(worker_threads: u32) -> i32 {
    call_i32(|| runtime::start(worker_threads).map(|()| 0))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_runtime_stop(timeout_ms: u32) -> i32 {
    call_i32(|| runtime::stop(millis(timeout_ms)).map(|()| 0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_loop_create(max_handles: u32, out: *mut u64) -> i32 {
    call_i32(|| {
        if !(1..=MAX_LOOP_HANDLES).contains(&max_handles) {
            return Err(Failure::invalid(format!("max_handles is {max_handles}, not 1 to {MAX_LOOP_HANDLES}")));
        }
        let queue = Queue::new(max_handles as usize).map_err(|error| Failure::new(Code::Overloaded, error.to_string()))?;
        let (handle, ()) = handles::insert(|_| Ok((Object::Loop(queue), ())))?;
        unsafe { *out = handle };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_loop_fd(handle: u64) -> i32 {
    call_i32(|| Ok(handles::queue(handle)?.descriptor().into()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_loop_drain(handle: u64, events: *mut Event, capacity: u32) -> i32 {
    call_i32(|| {
        let queue = handles::queue(handle)?;
        if capacity == 0 {
            return Ok(0);
        }
        let events = unsafe { slice::from_raw_parts_mut(events, capacity as usize) };
        Ok(queue.drain(events) as i64)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_release(handle: u64, with: u64) -> i32 {
    call_i32(|| {
        let with = code(with)?;
        let object = handles::remove(handle)?;
        let runtime = runtime::handle().ok();
        let _context = runtime.as_ref().map(|runtime| runtime.enter());
        object.end(with);
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_error_text(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| {
        let words = match handle {
            0 => error::last(),
            _ => handles::get(handle)?.source().map(|source| source.error()).unwrap_or_default(),
        };
        Ok(unsafe { fill(words.as_bytes(), buffer, capacity) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_endpoint_bind(loop_: u64, config: *const EndpointConfig, deadline_ms: u32, out: *mut u64) -> i32 {
    call_i32(|| {
        let queue = handles::queue(loop_)?;
        let config = unsafe { Config::of(&*config) }?;
        let handle = endpoint::bind(&queue, config, millis(deadline_ms))?;
        unsafe { *out = handle };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_endpoint_id(handle: u64, id: *mut [u8; 32]) -> i32 {
    call_i32(|| {
        let endpoint = handles::endpoint(handle)?;
        unsafe { *id = *endpoint.bound()?.id().as_bytes() };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_endpoint_sockets(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| {
        let endpoint = handles::endpoint(handle)?;
        Ok(unsafe { fill(endpoint::sockets(endpoint.bound()?).as_bytes(), buffer, capacity) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_endpoint_addrs(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| {
        let endpoint = handles::endpoint(handle)?;
        Ok(unsafe { fill(endpoint::addrs(endpoint.bound()?)?.as_bytes(), buffer, capacity) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_endpoint_relays(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| {
        let endpoint = handles::endpoint(handle)?;
        Ok(unsafe { fill(endpoint::relays(endpoint.bound()?)?.as_bytes(), buffer, capacity) })
    })
}

#[cfg(not(feature = "relay"))]
#[unsafe(no_mangle)]
pub extern "C" fn adit_relay_server_start(_: u64, _: *const RelayServerConfig, _: u32, _: *mut u64) -> i32 {
    call_i32(|| Err(Failure::invalid("the bridge was built without its relay server")))
}

#[cfg(feature = "relay")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_relay_server_start(
    loop_: u64,
    config: *const RelayServerConfig,
    deadline_ms: u32,
    out: *mut u64,
) -> i32 {
    call_i32(|| {
        let queue = handles::queue(loop_)?;
        let given = unsafe { &*config };
        let tls = match unsafe { addr(given.https_bind, "HTTPS address") }? {
            None => None,
            Some(bind) => {
                let (chain, key) = unsafe { (text(given.cert_file, "certificate file")?, text(given.key_file, "key file")?) };
                Some(relay::tls(bind, chain, key)?)
            }
        };
        let tokens = unsafe { texts(given.tokens, given.token_count, "token") }?;
        if tokens.iter().any(String::is_empty) {
            return Err(Failure::invalid("a token is empty"));
        }
        let config = relay::Config {
            http: unsafe { addr(given.http_bind, "HTTP address") }?
                .ok_or_else(|| Failure::invalid("no HTTP address is given"))?,
            tls,
            quic: unsafe { addr(given.quic_bind, "QUIC address") }?,
            metrics: unsafe { addr(given.metrics_bind, "metrics address") }?,
            tokens,
            max_clients: given.max_clients as usize,
            max_clients_per_source: given.max_clients_per_source as usize,
            accepts_per_second: given.accepts_per_second,
            client_bytes_per_second: given.client_bytes_per_second,
            client_burst_bytes: given.client_burst_bytes,
        };
        let handle = relay::start(&queue, config, millis(deadline_ms))?;
        unsafe { *out = handle };
        Ok(0)
    })
}

#[cfg(not(feature = "relay"))]
#[unsafe(no_mangle)]
pub extern "C" fn adit_relay_server_sockets(_: u64, _: *mut u8, _: usize) -> i64 {
    Code::Stale as i64
}

#[cfg(feature = "relay")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_relay_server_sockets(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| Ok(unsafe { fill(handles::relay(handle)?.sockets()?.as_bytes(), buffer, capacity) }))
}

#[cfg(not(feature = "relay"))]
#[unsafe(no_mangle)]
pub extern "C" fn adit_relay_server_clients(_: u64) -> i64 {
    Code::Stale as i64
}

#[cfg(feature = "relay")]
#[unsafe(no_mangle)]
pub extern "C" fn adit_relay_server_clients(handle: u64) -> i64 {
    call(|| Ok(handles::relay(handle)?.clients() as i64))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_endpoint_direct(handle: u64) -> i64 {
    call(|| Ok(handles::endpoint(handle)?.direct() as i64))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_endpoint_close(handle: u64, deadline_ms: u32) -> i32 {
    call_i32(|| endpoint::close(&handles::endpoint(handle)?, millis(deadline_ms)).map(|()| 0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_listen(
    handle: u64,
    loop_: u64,
    alpn_list: *const Bytes,
    alpn_count: usize,
    max_waiting: u32,
    out: *mut u64,
) -> i32 {
    call_i32(|| {
        let alpns = unsafe { some_alpns(alpn_list, alpn_count) }?;
        let queue = handles::queue(loop_)?;
        let listener = endpoint::listen(handles::endpoint(handle)?, &queue, alpns, max_waiting as usize)?;
        unsafe { *out = listener };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_listener_peek(handle: u64, out: *mut Attempt) -> i32 {
    call_i32(|| {
        let attempt = handles::listener(handle)?.peek()?;
        unsafe { out.write(attempt) };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_listener_accept(handle: u64, loop_: u64, deadline_ms: u32, out: *mut u64) -> i32 {
    call_i32(|| {
        let connection = handles::listener(handle)?.accept(&handles::queue(loop_)?, millis(deadline_ms))?;
        unsafe { *out = connection };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_listener_turn_away(handle: u64, how: u32) -> i32 {
    call_i32(|| {
        let how = match how {
            AWAY_REFUSE => Away::Refuse,
            AWAY_VALIDATE => Away::Validate,
            AWAY_IGNORE => Away::Ignore,
            other => return Err(Failure::invalid(format!("an attempt cannot be turned away by {other}"))),
        };
        handles::listener(handle)?.turn_away(how).map(|()| 0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_listener_refused(handle: u64) -> i64 {
    call(|| Ok(handles::listener(handle)?.refused.load(Ordering::SeqCst) as i64))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_connect(handle: u64, loop_: u64, dial: *const DialTarget, deadline_ms: u32, out: *mut u64) -> i32 {
    call_i32(|| {
        let endpoint = handles::endpoint(handle)?;
        let queue = handles::queue(loop_)?;
        let given = unsafe { &*dial };
        let relay = unsafe { text(given.relay_url, "relay URL") }?;
        let dial = Dial {
            id: EndpointId::from_bytes(unsafe { &*given.endpoint_id }).map_err(|_| Failure::invalid("no key has this id"))?,
            addrs: unsafe { addrs(given.addrs, given.addr_count, "address") }?,
            relay: match relay {
                "" => None,
                url => Some(url.parse().map_err(|error| Failure::invalid(format!("relay URL '{url}': {error}")))?),
            },
            alpns: unsafe { some_alpns(given.alpns, given.alpn_count) }?,
        };
        let connection = connection::connect(&endpoint, &queue, dial, millis(deadline_ms))?;
        unsafe { *out = connection };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_connection_close(handle: u64, with: u64, reason: Bytes) -> i32 {
    call_i32(|| {
        let with = code(with)?;
        let reason = unsafe { bytes(reason) };
        if reason.len() > MAX_REASON {
            return Err(Failure::invalid(format!("a reason has at most {MAX_REASON} bytes")));
        }
        handles::connection(handle)?.open()?.close(with, reason);
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_close_when_delivered(connection: u64, stream: u64, with: u64, linger_ms: u32) -> i32 {
    call_i32(|| {
        let with = code(with)?;
        let open = handles::connection(connection)?;
        open.open()?;
        let delivered = handles::stream(stream)?.delivered()?;
        let runtime = runtime::handle()?;
        let _context = runtime.enter();
        handles::remove(stream)?.end(with);
        handles::remove(connection)?;
        open.end_after(&runtime, delivered, millis(linger_ms), with);
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_connection_close_reason(handle: u64, out: *mut CloseReason) -> i32 {
    call_i32(|| {
        let reason = connection::close_reason(handles::connection(handle)?.open()?)?;
        unsafe { out.write(reason) };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_connection_get_info(handle: u64, out: *mut ConnectionInfo) -> i32 {
    call_i32(|| {
        let info = handles::connection(handle)?.info()?;
        unsafe { out.write(info) };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_connection_alpn(handle: u64, buffer: *mut u8, capacity: usize) -> i64 {
    call(|| {
        let connection = handles::connection(handle)?;
        Ok(unsafe { fill(connection.open()?.alpn(), buffer, capacity) })
    })
}

fn begin_stream(connection: u64, opener: Opener, deadline_ms: u32, out: *mut u64) -> i32 {
    call_i32(|| {
        let stream = stream::begin(&*handles::connection(connection)?, opener, millis(deadline_ms))?;
        unsafe { *out = stream };
        Ok(0)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_open(connection: u64, deadline_ms: u32, out: *mut u64) -> i32 {
    begin_stream(connection, Opener::Us, deadline_ms, out)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_accept(connection: u64, deadline_ms: u32, out: *mut u64) -> i32 {
    begin_stream(connection, Opener::Peer, deadline_ms, out)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_read(handle: u64, buffer: *mut u8, capacity: usize, with: *mut u64) -> i64 {
    call(|| {
        if capacity == 0 {
            return Err(Code::Invalid.into());
        }
        let buffer = unsafe { slice::from_raw_parts_mut(buffer, capacity) };
        Ok(handles::stream(handle)?.read(buffer, unsafe { &mut *with })? as i64)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_write(handle: u64, data: *const u8, len: usize, with: *mut u64) -> i64 {
    call(|| {
        if len == 0 {
            return Err(Code::Invalid.into());
        }
        let data = unsafe { slice::from_raw_parts(data, len) };
        Ok(handles::stream(handle)?.write(data, unsafe { &mut *with })? as i64)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_read_pieces(
    handle: u64,
    pieces: *mut Bytes,
    max: usize,
    with: *mut u64,
    owner: *mut u64,
) -> i64 {
    call(|| {
        if !(1..=MAX_PIECES).contains(&max) {
            return Err(Failure::invalid(format!("{max} pieces, not 1 to {MAX_PIECES}")));
        }
        let stream = handles::stream(handle)?;
        let read = Arc::new(stream.read_pieces(max, unsafe { &mut *with })?);
        let out = unsafe { slice::from_raw_parts_mut(pieces, max) };
        let mut count = 0;
        for piece in read.iter() {
            out[count] = Bytes { data: piece.as_ptr(), len: piece.len() };
            count += 1;
        }
        let (kept, ()) = handles::insert(|_| Ok((Object::Pieces(read), ())))?;
        unsafe { *owner = kept };
        Ok(count as i64)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_stream_writev(handle: u64, parts: *const Bytes, count: usize, with: *mut u64) -> i64 {
    call(|| {
        let parts = unsafe { array(parts, count) };
        let stream = handles::stream(handle)?;
        Ok(stream.write_parts(parts.iter().map(|part| unsafe { bytes(*part) }), unsafe { &mut *with })? as i64)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_stream_finish(handle: u64) -> i32 {
    call_i32(|| handles::stream(handle)?.finish().map(|()| 0))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_stream_reset(handle: u64, with: u64) -> i32 {
    call_i32(|| handles::stream(handle)?.reset(code(with)?).map(|()| 0))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_stream_stop(handle: u64, with: u64) -> i32 {
    call_i32(|| handles::stream(handle)?.stop(code(with)?).map(|()| 0))
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_stream_set_priority(handle: u64, priority: i32) -> i32 {
    call_i32(|| handles::stream(handle)?.set_priority(priority).map(|()| 0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_log_start(filter: Bytes) -> i32 {
    call_i32(|| log::start(unsafe { text(filter, "log filter") }?).map(|()| 0))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn adit_log_take(level: *mut u32, buffer: *mut u8, capacity: usize, timeout_ms: u32) -> i64 {
    call(|| {
        let line = log::take(millis(timeout_ms)).ok_or(Failure::from(Code::Again))?;
        unsafe { *level = line.level };
        Ok(unsafe { fill(line.text.as_bytes(), buffer, capacity) })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_log_wake() {
    call(|| {
        log::wake();
        Ok(0)
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn adit_log_lost() -> i64 {
    call(|| Ok(log::lost() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_border() {
        assert_eq!(call(|| panic!("a defect")), Code::Panic as i64);
        // The next call is none the worse for it.
        assert_eq!(call_i32(|| Ok(7)), 7);
    }

    #[test]
    fn the_words_of_a_failure_stay_with_its_thread() {
        assert_eq!(call(|| Err(Failure::invalid("the third argument"))), Code::Invalid as i64);
        std::thread::spawn(|| assert_eq!(error::last(), "")).join().expect("the other thread");
        assert_eq!(error::last(), "the third argument");
        // A code that needs no words leaves those of the last one that did.
        assert_eq!(call(|| Err(Code::Again.into())), Code::Again as i64);
        assert_eq!(error::last(), "the third argument");
    }
}
