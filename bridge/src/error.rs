//! What a call comes to, and iroh's many errors folded into the few that ask for different next steps.

use std::{cell::RefCell, io::ErrorKind};

use iroh::{
    address_lookup::AddressLookupFailed,
    endpoint::{BindError, ConnectError, ConnectWithOptsError, ConnectingError, ConnectionError, TransportErrorCode},
};

/// `adit_result`, as in `adit_bridge.h`.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Again = -1,
    Fin = -2,
    Reset = -3,
    Stopped = -4,
    Closed = -5,
    Stale = -6,
    Invalid = -7,
    Overloaded = -8,
    TimedOut = -9,
    NoRoute = -10,
    Unreachable = -11,
    Refused = -12,
    WrongProtocol = -13,
    WrongPeer = -14,
    AddressInUse = -15,
    NotRunning = -16,
    Internal = -17,
    Panic = -18,
}

/// A code and the words for a person.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub text: String,
}

impl Failure {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::Invalid, text)
    }

    pub fn timed_out(what: &str, deadline: std::time::Duration) -> Self {
        Self::new(Code::TimedOut, format!("{what} took longer than {} ms", deadline.as_millis()))
    }
}

/// A code that needs no words.
impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code, String::new())
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The words of this thread's last call that failed without a handle to keep them.
pub fn last() -> String {
    LAST.with_borrow(Clone::clone)
}

pub fn set_last(text: String) {
    LAST.set(text);
}

/// TLS alerts travel in QUIC as crypto errors 0x100 + alert (RFC 9001 §4.8).
const ALERT_NO_APPLICATION_PROTOCOL: u8 = 120;

pub fn from_bind(error: BindError) -> Failure {
    let text = format!("{error:#}");
    match error {
        BindError::Sockets { source, .. } if source.kind() == ErrorKind::AddrInUse => Failure::new(Code::AddressInUse, text),
        BindError::Sockets { .. } => Failure::invalid(text),
        _ => Failure::new(Code::Internal, text),
    }
}

pub fn from_connect(error: ConnectError) -> Failure {
    let text = format!("{error:#}");
    match error {
        ConnectError::Connect { source, .. } => match source {
            ConnectWithOptsError::NoAddress { source: AddressLookupFailed::NoServiceConfigured { .. }, .. } => {
                Failure::new(Code::NoRoute, "only an id was given: no address, no relay, and no lookup service is configured")
            }
            ConnectWithOptsError::NoAddress { .. } => Failure::new(Code::NoRoute, text),
            ConnectWithOptsError::EndpointClosed { .. } => Failure::new(Code::Closed, text),
            ConnectWithOptsError::SelfConnect { .. } | ConnectWithOptsError::InvalidAlpn { .. } => Failure::invalid(text),
            _ => Failure::new(Code::Internal, text),
        },
        ConnectError::Connecting { source, .. } => from_connecting(source),
        ConnectError::Connection { source, .. } => from_handshake(source),
        _ => Failure::new(Code::Internal, text),
    }
}

pub fn from_connecting(error: ConnectingError) -> Failure {
    let text = format!("{error:#}");
    match error {
        ConnectingError::ConnectionError { source, .. } => from_handshake(source),
        _ => Failure::new(Code::WrongPeer, text),
    }
}

/// A connection that ended before its handshake did.
pub fn from_handshake(error: ConnectionError) -> Failure {
    let text = error.to_string();
    let code = match &error {
        ConnectionError::TimedOut => Code::Unreachable,
        ConnectionError::LocallyClosed => Code::Closed,
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => Code::Refused,
        ConnectionError::ConnectionClosed(close) => from_transport(close.error_code),
        ConnectionError::TransportError(error) => from_transport(error.code),
        // Who answered speaks QUIC, and no version of it that we do.
        ConnectionError::VersionMismatch => Code::WrongProtocol,
        ConnectionError::CidsExhausted => Code::Internal,
    };
    Failure::new(code, text)
}

/// QUIC's own reason to end a handshake, whichever side gave it.
fn from_transport(code: TransportErrorCode) -> Code {
    // The second is how an application's own close travels before the handshake is done (RFC 9000 §10.2.3).
    if code == TransportErrorCode::CONNECTION_REFUSED || code == TransportErrorCode::APPLICATION_ERROR {
        Code::Refused
    } else if code == TransportErrorCode::crypto(ALERT_NO_APPLICATION_PROTOCOL) {
        Code::WrongProtocol
    } else if u64::from(code) >> 8 == 1 {
        // TLS did not like the key it was shown: it is not that of the id dialled.
        Code::WrongPeer
    } else {
        Code::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_handshake_says_what_to_do_next() {
        let transport = [
            (TransportErrorCode::CONNECTION_REFUSED, Code::Refused),
            (TransportErrorCode::APPLICATION_ERROR, Code::Refused),
            (TransportErrorCode::crypto(ALERT_NO_APPLICATION_PROTOCOL), Code::WrongProtocol),
            (TransportErrorCode::crypto(48), Code::WrongPeer),
            (TransportErrorCode::PROTOCOL_VIOLATION, Code::Internal),
        ];
        for (code, expected) in transport {
            assert_eq!(from_transport(code), expected, "{code}");
        }
        let ends = [
            (ConnectionError::TimedOut, Code::Unreachable),
            (ConnectionError::LocallyClosed, Code::Closed),
            (ConnectionError::Reset, Code::Refused),
            (ConnectionError::VersionMismatch, Code::WrongProtocol),
            (ConnectionError::CidsExhausted, Code::Internal),
        ];
        for (end, expected) in ends {
            let failure = from_handshake(end);
            assert_eq!(failure.code, expected, "{}", failure.text);
            assert!(!failure.text.is_empty());
        }
    }
}
