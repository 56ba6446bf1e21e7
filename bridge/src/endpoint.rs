//! Endpoints and their listeners.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use iroh::{
    Endpoint, RelayConfig, RelayMap, RelayMode, RelayUrl, SecretKey, TransportAddr, Watcher,
    endpoint::{Builder, Connection, Incoming, PortmapperConfig, QuicTransportConfig, VarInt, presets},
};
use iroh_relay::RelayQuicConfig;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
};

use crate::{
    connection::ConnectionObject,
    error::{Code, Failure, from_bind},
    handles::{self, Object},
    queue::{CLOSED, INCOMING, Queue, Source},
    runtime::{self, RaiseOnDrop},
};

pub enum Relays {
    None,
    List(Vec<RelayConfig>),
    N0,
}

/// `adit_endpoint_config`, checked.
pub struct Config {
    pub secret_key: SecretKey,
    pub alpns: Vec<Vec<u8>>,
    pub bind_addrs: Vec<SocketAddr>,
    pub relays: Relays,
    pub external_addrs: Vec<SocketAddr>,
    pub portmap: bool,
    pub max_bidi_streams: u32,
    pub stream_window: u32,
    pub receive_window: u32,
    pub send_window: u32,
    pub idle_timeout: Duration,
    pub keep_alive: Duration,
}

pub fn relay(url: &str, quic_port: u16, token: &str) -> Result<RelayConfig, Failure> {
    let parsed: RelayUrl = url.parse().map_err(|error| Failure::invalid(format!("relay URL '{url}': {error}")))?;
    let config = RelayConfig::new(parsed, (quic_port != 0).then(|| RelayQuicConfig::new(quic_port)));
    Ok(if token.is_empty() { config } else { config.with_auth_token(token) })
}

impl Config {
    fn transport(&self) -> Result<QuicTransportConfig, Failure> {
        let windows =
            [("stream_window", self.stream_window), ("receive_window", self.receive_window), ("send_window", self.send_window)];
        if let Some((name, _)) = windows.iter().find(|(_, bytes)| *bytes == 0) {
            return Err(Failure::invalid(format!("{name} is 0")));
        }
        if self.keep_alive.is_zero() || self.keep_alive >= self.idle_timeout {
            return Err(Failure::invalid("keep_alive_ms must be above 0 and below idle_timeout_ms"));
        }
        let idle = self.idle_timeout.try_into().map_err(|_| Failure::invalid("idle_timeout_ms is too large"))?;
        Ok(QuicTransportConfig::builder()
            .max_concurrent_bidi_streams(self.max_bidi_streams.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.receive_window.into())
            .send_window(self.send_window.into())
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive)
            .datagram_receive_buffer_size(None)
            .build())
    }

    fn builder(self) -> Result<Builder, Failure> {
        let transport = self.transport()?;
        let mut builder = match self.relays {
            Relays::N0 => Endpoint::builder(presets::N0),
            Relays::None => Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled),
            Relays::List(relays) => {
                Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Custom(RelayMap::from_iter(relays)))
            }
        };
        builder = builder.secret_key(self.secret_key).alpns(self.alpns).transport_config(transport);
        if !self.portmap {
            builder = builder.portmapper_config(PortmapperConfig::Disabled);
        }
        // Naming one family leaves the other's wildcard socket bound, so all go first.
        if !self.bind_addrs.is_empty() {
            builder = builder.clear_ip_transports();
        }
        for addr in self.bind_addrs {
            builder = builder.bind_addr(addr).map_err(|error| Failure::invalid(format!("bind address {addr}: {error:#}")))?;
        }
        for addr in self.external_addrs {
            builder = builder.external_addr(addr);
        }
        Ok(builder)
    }
}

pub struct EndpointObject {
    pub source: Arc<Source>,
    pub endpoint: OnceLock<Endpoint>,
    /// Whether a relay can be dialled through; without one iroh would wait for an answer that nothing can carry.
    pub relayed: bool,
    listening: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

impl EndpointObject {
    pub fn bound(&self) -> Result<&Endpoint, Failure> {
        self.endpoint.get().ok_or(Code::Stale.into())
    }

    pub fn end(&self) {
        self.source.release();
        if let Some(task) = self.task.lock().expect("task lock").take() {
            task.abort();
        }
    }
}

pub fn bind(queue: &Arc<Queue>, config: Config, deadline: Duration) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let _context = runtime.enter();
    let relayed = !matches!(config.relays, Relays::None);
    let builder = config.builder()?;
    let (handle, object) = handles::insert(|handle| {
        let object = Arc::new(EndpointObject {
            source: Source::new(queue, handle)?,
            endpoint: OnceLock::new(),
            relayed,
            listening: AtomicBool::new(false),
            task: Mutex::new(None),
        });
        Ok((Object::Endpoint(object.clone()), object))
    })?;
    let running = object.clone();
    let task = runtime.spawn(async move {
        let work = async { builder.bind().await.map_err(from_bind) };
        runtime::begin(&running.source, "binding", deadline, work, |endpoint| {
            let _ = running.endpoint.set(endpoint);
        })
        .await;
    });
    *object.task.lock().expect("task lock") = Some(task.abort_handle());
    Ok(handle)
}

pub fn close(object: &Arc<EndpointObject>, deadline: Duration) -> Result<(), Failure> {
    let runtime = runtime::handle()?;
    let endpoint = object.bound()?.clone();
    let source = object.source.clone();
    let task = runtime.spawn(async move {
        let _closed = RaiseOnDrop { source, bits: CLOSED };
        // At the deadline the peers that have not acknowledged are left to notice by themselves.
        let _ = tokio::time::timeout(deadline, endpoint.close()).await;
    });
    *object.task.lock().expect("task lock") = Some(task.abort_handle());
    Ok(())
}

pub fn sockets(endpoint: &Endpoint) -> String {
    lines(endpoint.bound_sockets())
}

pub fn addrs(endpoint: &Endpoint) -> Result<String, Failure> {
    let runtime = runtime::handle()?;
    let _context = runtime.enter();
    Ok(lines(endpoint.addr().addrs.iter().filter_map(|addr| match addr {
        TransportAddr::Ip(addr) => Some(addr.to_string()),
        TransportAddr::Relay(url) => Some(url.to_string()),
        _ => None,
    })))
}

pub fn relays(endpoint: &Endpoint) -> Result<String, Failure> {
    let runtime = runtime::handle()?;
    let _context = runtime.enter();
    Ok(lines(endpoint.home_relay_status().get().iter().map(|relay| {
        let state = if relay.is_connected() { "connected" } else { "connecting" };
        match relay.last_error() {
            Some(error) => format!("{} {state} {}", relay.url(), format!("{error:#}").replace('\n', " ")),
            None => format!("{} {state}", relay.url()),
        }
    })))
}

fn lines<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join("\n")
}

/// Connections whose handshake is done, until they are taken; each holds its place in the bound.
type Ready = VecDeque<(Connection, OwnedSemaphorePermit)>;

pub struct ListenerObject {
    pub source: Arc<Source>,
    pub refused: AtomicU64,
    endpoint: Arc<EndpointObject>,
    ready: Mutex<Ready>,
    closed: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl ListenerObject {
    pub fn end(&self, code: VarInt) {
        self.source.release();
        if let Some(task) = self.task.get() {
            task.abort();
        }
        for (connection, _) in self.ready.lock().expect("listener lock").drain(..) {
            connection.close(code, b"");
        }
        self.endpoint.listening.store(false, Ordering::SeqCst);
    }

    async fn run(self: Arc<Self>, endpoint: Endpoint, max_pending: usize, handshake: Duration) {
        let places = Arc::new(Semaphore::new(max_pending));
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    match places.clone().try_acquire_owned() {
                        Ok(place) => { handshakes.spawn(self.clone().shake_hands(incoming, handshake, place)); }
                        Err(_) => {
                            self.refused.fetch_add(1, Ordering::SeqCst);
                            incoming.refuse();
                        }
                    }
                }
                Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
            }
        }
        self.closed.store(true, Ordering::SeqCst);
        self.source.raise(CLOSED);
    }

    /// A handshake that fails or takes too long just ends: what the peer did is told to the peer by QUIC.
    async fn shake_hands(self: Arc<Self>, incoming: Incoming, deadline: Duration, place: OwnedSemaphorePermit) {
        let Ok(accepting) = incoming.accept() else { return };
        if let Ok(Ok(connection)) = tokio::time::timeout(deadline, accepting).await {
            self.ready.lock().expect("listener lock").push_back((connection, place));
            self.source.raise(INCOMING);
        }
    }
}

pub fn listen(
    endpoint: Arc<EndpointObject>,
    queue: &Arc<Queue>,
    max_pending: usize,
    handshake: Duration,
) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    if !(1..=65535).contains(&max_pending) {
        return Err(Failure::invalid(format!("max_pending is {max_pending}, not 1 to 65535")));
    }
    let bound = endpoint.bound()?.clone();
    if endpoint.listening.swap(true, Ordering::SeqCst) {
        return Err(Failure::invalid("this endpoint has a listener already"));
    }
    let inserted = handles::insert(|handle| {
        let object = Arc::new(ListenerObject {
            source: Source::new(queue, handle)?,
            refused: AtomicU64::new(0),
            endpoint: endpoint.clone(),
            ready: Mutex::new(Ready::new()),
            closed: AtomicBool::new(false),
            task: OnceLock::new(),
        });
        Ok((Object::Listener(object.clone()), object))
    });
    let (handle, object) = inserted.inspect_err(|_| endpoint.listening.store(false, Ordering::SeqCst))?;
    let task = runtime.spawn(object.clone().run(bound, max_pending, handshake));
    let _ = object.task.set(task.abort_handle());
    Ok(handle)
}

/// Takes the connection that waits longest and makes `queue` its home.
pub fn accept(listener: &ListenerObject, queue: &Arc<Queue>) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let mut ready = listener.ready.lock().expect("listener lock");
    let Some((connection, place)) = ready.pop_front() else {
        return Err(if listener.closed.load(Ordering::SeqCst) { Code::Closed } else { Code::Again }.into());
    };
    match ConnectionObject::accepted(&runtime, queue, connection.clone()) {
        Ok(handle) => Ok(handle),
        Err(failure) => {
            ready.push_front((connection, place));
            Err(failure)
        }
    }
}
