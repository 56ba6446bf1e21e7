//! Connections: dialled or accepted, watched by one task each, which publishes what is known of them.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use iroh::{
    EndpointAddr, EndpointId, RelayUrl, TransportAddr,
    endpoint::{ConnectOptions, Connection, ConnectionError, PathId, Side, VarInt},
};
use n0_future::StreamExt;
use tokio::{
    runtime::Handle,
    sync::{Notify, RwLock},
    task::AbortHandle,
};

use crate::{
    endpoint::EndpointObject,
    error::{Code, Failure, from_connect, from_connecting},
    handles::{self, Object},
    queue::{CLOSED, MOVED, Queue, Source},
    runtime::{self, RaiseOnDrop},
};

const MAX_PATHS: usize = 8;

/// `adit_path`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PathInfo {
    pub remote: [u8; 120],
    pub rtt_us: u32,
    pub relayed: u8,
    pub selected: u8,
    pub first: u8,
    pub reserved: u8,
    pub congestion_window: u32,
    pub mtu: u32,
    pub packets_lost: u64,
}

impl PathInfo {
    const NONE: Self = Self {
        remote: [0; 120],
        rtt_us: 0,
        relayed: 0,
        selected: 0,
        first: 0,
        reserved: 0,
        congestion_window: 0,
        mtu: 0,
        packets_lost: 0,
    };
}

/// `adit_connection_info`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ConnectionInfo {
    pub remote_id: [u8; 32],
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    pub moves: u64,
    pub incoming: u32,
    pub path_count: u32,
    pub paths: [PathInfo; MAX_PATHS],
}

impl ConnectionInfo {
    /// The way that data goes now.
    fn selected(&self) -> Option<&PathInfo> {
        self.which(|path| path.selected)
    }

    fn which(&self, flag: fn(&PathInfo) -> u8) -> Option<&PathInfo> {
        self.paths[..self.path_count as usize].iter().find(|path| flag(path) != 0)
    }
}

/// `adit_close_reason`.
#[repr(C)]
pub struct CloseReason {
    pub code: u64,
    pub kind: u32,
    pub reason_len: u32,
    pub reason: [u8; 128],
}

/// What to dial (`adit_dial`), checked.
pub struct Dial {
    pub id: EndpointId,
    pub addrs: Vec<SocketAddr>,
    pub relay: Option<RelayUrl>,
    pub alpns: Vec<Vec<u8>>,
}

/// Where data goes, and how often it began to go another way.
#[derive(Default)]
struct Way {
    /// Until a path is selected the one that the handshake took; between two ways, the last one.
    remote: Option<[u8; 120]>,
    moves: u64,
}

impl Way {
    /// `first` is the way that the handshake took, `selected` where data goes now. True: another way than before.
    fn follow(&mut self, first: Option<[u8; 120]>, selected: Option<[u8; 120]>) -> bool {
        // The direct path may be selected before anyone looks: the handshake's is then all that is left of the way before it.
        let before = self.remote.or(first);
        self.remote = selected.or(before);
        let moved = before.is_some() && before != self.remote;
        self.moves += u64::from(moved);
        moved
    }
}

pub struct ConnectionObject {
    pub source: Arc<Source>,
    connection: OnceLock<Connection>,
    published: Mutex<Option<ConnectionInfo>>,
    way: Mutex<Way>,
    publish: Notify,
    task: OnceLock<AbortHandle>,
    /// What the peer sees if the connection is still open when this goes.
    code: AtomicU64,
    delivering: Arc<RwLock<()>>,
}

impl ConnectionObject {
    fn new(source: Arc<Source>, delivering: Arc<RwLock<()>>) -> Arc<Self> {
        Arc::new(Self {
            source,
            connection: OnceLock::new(),
            published: Mutex::new(None),
            way: Mutex::default(),
            publish: Notify::new(),
            task: OnceLock::new(),
            code: AtomicU64::new(0),
            delivering,
        })
    }

    pub fn insert(queue: &Arc<Queue>, delivering: &Arc<RwLock<()>>) -> Result<(u64, Arc<Self>), Failure> {
        handles::insert(|handle| {
            let object = Self::new(Source::new(queue, handle)?, delivering.clone());
            Ok((Object::Connection(object.clone()), object))
        })
    }

    /// Runs `work`, which makes the connection, within its deadline; then watches it.
    pub fn begin(
        self: &Arc<Self>,
        runtime: &Handle,
        what: &'static str,
        deadline: Duration,
        work: impl Future<Output = Result<Connection, Failure>> + Send + 'static,
    ) {
        let running = self.clone();
        let task = runtime.spawn(async move {
            if runtime::begin(&running.source, what, deadline, work, |connection| running.adopt(connection)).await {
                running.watch().await;
            }
        });
        let _ = self.task.set(task.abort_handle());
    }

    fn adopt(&self, connection: Connection) {
        self.publish_now(&connection);
        let _ = self.connection.set(connection);
    }

    pub fn open(&self) -> Result<&Connection, Failure> {
        self.connection.get().ok_or(Code::Stale.into())
    }

    /// Ends it when `delivered` is done, or has taken `linger`; the endpoint's own close waits for that.
    pub fn end_after(
        self: Arc<Self>,
        runtime: &Handle,
        delivered: impl Future<Output = ()> + Send + 'static,
        linger: Duration,
        code: VarInt,
    ) {
        self.source.release();
        let delivering = self.delivering.clone().try_read_owned();
        runtime.spawn(async move {
            let _delivering = delivering;
            let _ = tokio::time::timeout(linger, delivered).await;
            self.end(code);
        });
    }

    pub fn end(&self, code: VarInt) {
        self.source.release();
        self.code.store(code.into_inner(), Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.close(code);
    }

    /// A connection whose lock a panic has poisoned cannot be closed; the panic stays here.
    fn close(&self, code: VarInt) {
        if let Some(connection) = self.connection.get() {
            let _ = catch_unwind(AssertUnwindSafe(|| connection.close(code, b"")));
        }
    }

    pub fn info(&self) -> Result<ConnectionInfo, Failure> {
        self.publish.notify_one();
        self.published.lock().expect("published lock").ok_or(Code::Stale.into())
    }

    async fn watch(self: Arc<Self>) {
        let _closed = RaiseOnDrop { source: self.source.clone(), bits: CLOSED };
        let Some(connection) = self.connection.get() else { return };
        let mut paths = connection.path_events();
        let mut more_paths = true;
        loop {
            tokio::select! {
                _ = connection.closed() => break,
                event = paths.next(), if more_paths => more_paths = event.is_some(),
                _ = self.publish.notified() => {}
            }
            if self.publish_now(connection) {
                self.source.raise(MOVED);
            }
        }
        self.publish_now(connection);
    }

    /// Whether it is one of the endpoint's whose `delivering` this is, and is alive, and its data goes to an address.
    pub fn is_direct(&self, delivering: &Arc<RwLock<()>>) -> bool {
        let alive = || self.connection.get().is_some_and(|connection| connection.close_reason().is_none());
        let direct = |info: &ConnectionInfo| info.selected().is_some_and(|path| path.relayed == 0);
        Arc::ptr_eq(&self.delivering, delivering)
            && self.published.lock().expect("published lock").as_ref().is_some_and(direct)
            && alive()
    }

    /// True: data goes another way than it went.
    fn publish_now(&self, connection: &Connection) -> bool {
        let stats = connection.stats();
        let mut info = ConnectionInfo {
            remote_id: *connection.remote_id().as_bytes(),
            bytes_sent: stats.udp_tx.bytes,
            bytes_received: stats.udp_rx.bytes,
            packets_sent: stats.sent_packets,
            packets_lost: stats.lost_packets,
            moves: 0,
            incoming: u32::from(connection.side() == Side::Server),
            path_count: 0,
            paths: [PathInfo::NONE; MAX_PATHS],
        };
        for (path, out) in connection.paths().iter().zip(&mut info.paths) {
            let remote = match path.remote_addr() {
                TransportAddr::Ip(addr) => addr.to_string(),
                TransportAddr::Relay(url) => url.to_string(),
                _ => continue,
            };
            let len = remote.len().min(out.remote.len() - 1);
            out.remote[..len].copy_from_slice(&remote.as_bytes()[..len]);
            let stats = path.stats();
            out.rtt_us = stats.rtt.as_micros().try_into().unwrap_or(u32::MAX);
            out.congestion_window = stats.cwnd.try_into().unwrap_or(u32::MAX);
            out.mtu = stats.current_mtu.into();
            out.packets_lost = stats.lost_packets;
            out.relayed = path.is_relay().into();
            out.selected = path.is_selected().into();
            out.first = (path.id() == PathId::ZERO).into();
            info.path_count += 1;
        }
        // A connection that has ended has no paths: the last ones stay.
        let mut published = self.published.lock().expect("published lock");
        if let (0, Some(last)) = (info.path_count, published.as_ref()) {
            info.path_count = last.path_count;
            info.paths = last.paths;
        }
        let mut way = self.way.lock().expect("way lock");
        let moved = way.follow(info.which(|path| path.first).map(|path| path.remote), info.selected().map(|path| path.remote));
        info.moves = way.moves;
        *published = Some(info);
        moved
    }
}

impl Drop for ConnectionObject {
    fn drop(&mut self) {
        // A dial that won its race with the release ends here.
        self.close(VarInt::from_u64(self.code.load(Ordering::SeqCst)).unwrap_or_default());
    }
}

pub fn connect(endpoint: &EndpointObject, queue: &Arc<Queue>, dial: Dial, deadline: Duration) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let bound = endpoint.bound()?.clone();
    if dial.id == bound.id() {
        return Err(Failure::invalid("this is our own id"));
    }
    let no_way = dial.addrs.is_empty() && dial.relay.is_some() && !endpoint.relayed;
    let (handle, object) = ConnectionObject::insert(queue, &endpoint.delivering)?;
    object.begin(&runtime, "dialling", deadline, async move {
        if no_way {
            return Err(Failure::new(Code::NoRoute, "only a relay was given, and this endpoint was bound without relays"));
        }
        let mut addr = EndpointAddr::new(dial.id).with_addrs(dial.addrs.into_iter().map(TransportAddr::Ip));
        if let Some(relay) = dial.relay {
            addr = addr.with_relay_url(relay);
        }
        let options = ConnectOptions::new().with_additional_alpns(dial.alpns[1..].to_vec());
        let connecting =
            bound.connect_with_opts(addr, &dial.alpns[0], options).await.map_err(|error| from_connect(error.into()))?;
        connecting.await.map_err(from_connecting)
    });
    Ok(handle)
}

/// Why the connection ended, if it did.
pub fn close_reason(connection: &Connection) -> Result<CloseReason, Failure> {
    let error = connection.close_reason().ok_or(Failure::from(Code::Again))?;
    let (kind, code, text): (u32, u64, Vec<u8>) = match &error {
        ConnectionError::LocallyClosed => (1, 0, Vec::new()),
        ConnectionError::ApplicationClosed(close) => (2, close.error_code.into_inner(), close.reason.to_vec()),
        ConnectionError::TimedOut => (3, 0, Vec::new()),
        ConnectionError::Reset => (4, 0, Vec::new()),
        ConnectionError::ConnectionClosed(close) => (5, close.error_code.into(), close.reason.to_vec()),
        ConnectionError::TransportError(error) => (5, error.code.into(), error.to_string().into_bytes()),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => (5, 0, error.to_string().into_bytes()),
    };
    let mut out = CloseReason { code, kind, reason_len: 0, reason: [0; 128] };
    let len = text.len().min(out.reason.len());
    out.reason[..len].copy_from_slice(&text[..len]);
    out.reason_len = len as u32;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::Way;

    const RELAY: Option<[u8; 120]> = Some([1; 120]);
    const HOME: Option<[u8; 120]> = Some([2; 120]);
    const LAN: Option<[u8; 120]> = Some([3; 120]);

    /// Of what follows one after the other, (first, selected), which were told as moves.
    fn told(seen: &[(Option<[u8; 120]>, Option<[u8; 120]>)]) -> Vec<bool> {
        let mut way = Way::default();
        let told: Vec<_> = seen.iter().map(|(first, selected)| way.follow(*first, *selected)).collect();
        assert_eq!(way.moves, told.iter().filter(|moved| **moved).count() as u64);
        told
    }

    #[test]
    fn a_connection_that_was_direct_before_anyone_looked_moved_there_from_its_handshakes_way() {
        assert_eq!(told(&[(RELAY, HOME), (RELAY, HOME)]), [true, false]);
        assert_eq!(told(&[(RELAY, None), (RELAY, HOME)]), [false, true]);
        assert_eq!(told(&[(RELAY, RELAY), (RELAY, HOME)]), [false, true]);
    }

    #[test]
    fn the_first_way_that_is_known_is_no_move() {
        assert_eq!(told(&[(HOME, HOME)]), [false]);
        assert_eq!(told(&[(None, None), (None, HOME), (None, HOME)]), [false, false, false]);
    }

    #[test]
    fn between_two_ways_it_is_the_last_one_that_counts() {
        assert_eq!(told(&[(RELAY, HOME), (RELAY, None), (RELAY, HOME)]), [true, false, false]);
        assert_eq!(told(&[(RELAY, HOME), (None, None), (None, LAN), (None, RELAY)]), [true, false, true, true]);
    }
}
