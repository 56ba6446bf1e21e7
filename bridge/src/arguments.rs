//! What C hands over, as `include/adit_bridge.h` lays it out, and what Rust makes of it.
//!
//! Safety of every `unsafe` function here: pointers are valid for what the header says they are, while the result is used.

use std::{net::SocketAddr, slice, time::Duration};

use iroh::endpoint::VarInt;

use crate::error::Failure;

/// `adit_bytes`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub data: *const u8,
    pub len: usize,
}

/// `adit_relay_server_config`.
#[repr(C)]
pub struct RelayServerConfig {
    pub http_bind: Bytes,
    pub https_bind: Bytes,
    pub cert_file: Bytes,
    pub key_file: Bytes,
    pub quic_bind: Bytes,
    pub metrics_bind: Bytes,
    pub tokens: *const Bytes,
    pub token_count: usize,
    pub max_clients: u32,
    pub max_clients_per_source: u32,
    pub accepts_per_second: u32,
    pub client_bytes_per_second: u32,
    pub client_burst_bytes: u32,
}

/// `adit_dial`.
#[repr(C)]
pub struct DialTarget {
    pub endpoint_id: *const [u8; 32],
    pub addrs: *const Bytes,
    pub addr_count: usize,
    pub relay_url: Bytes,
    pub alpns: *const Bytes,
    pub alpn_count: usize,
}

pub unsafe fn array<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if len == 0 { &[] } else { unsafe { slice::from_raw_parts(data, len) } }
}

pub unsafe fn bytes<'a>(bytes: Bytes) -> &'a [u8] {
    unsafe { array(bytes.data, bytes.len) }
}

pub unsafe fn text<'a>(given: Bytes, what: &str) -> Result<&'a str, Failure> {
    str::from_utf8(unsafe { bytes(given) }).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

pub unsafe fn addrs(data: *const Bytes, len: usize, what: &str) -> Result<Vec<SocketAddr>, Failure> {
    let addrs = unsafe { array(data, len) };
    addrs
        .iter()
        .map(|given| {
            let given = unsafe { text(*given, what) }?;
            given.parse().map_err(|_| Failure::invalid(format!("{what} '{given}' is not ip:port")))
        })
        .collect()
}

/// None if it is empty.
pub unsafe fn addr(given: Bytes, what: &str) -> Result<Option<SocketAddr>, Failure> {
    let given = unsafe { text(given, what) }?;
    if given.is_empty() {
        return Ok(None);
    }
    given.parse().map(Some).map_err(|_| Failure::invalid(format!("{what} '{given}' is not ip:port")))
}

pub unsafe fn texts(data: *const Bytes, len: usize, what: &str) -> Result<Vec<String>, Failure> {
    unsafe { array(data, len) }.iter().map(|given| unsafe { text(*given, what) }.map(str::to_owned)).collect()
}

pub unsafe fn some_alpns(data: *const Bytes, len: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let alpns: Vec<Vec<u8>> = unsafe { array(data, len) }.iter().map(|alpn| unsafe { bytes(*alpn) }.to_vec()).collect();
    if alpns.is_empty() || !alpns.iter().all(|alpn| (1..=255).contains(&alpn.len())) {
        return Err(Failure::invalid("at least one ALPN is needed, and each has 1 to 255 bytes"));
    }
    Ok(alpns)
}

/// Copies what fits and returns the whole length.
pub unsafe fn fill(from: &[u8], buffer: *mut u8, capacity: usize) -> i64 {
    let len = from.len().min(capacity);
    if len > 0 {
        unsafe { slice::from_raw_parts_mut(buffer, len) }.copy_from_slice(&from[..len]);
    }
    from.len() as i64
}

pub fn code(code: u64) -> Result<VarInt, Failure> {
    VarInt::from_u64(code).map_err(|_| Failure::invalid("a code is below 2^62"))
}

pub fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_never_passes_the_capacity() {
        let mut buffer = [0u8; 4];
        assert_eq!(unsafe { fill(b"abcdef", buffer.as_mut_ptr(), 3) }, 6);
        assert_eq!(&buffer, b"abc\0");
        assert_eq!(unsafe { fill(b"", std::ptr::null_mut(), 0) }, 0);
    }
}
