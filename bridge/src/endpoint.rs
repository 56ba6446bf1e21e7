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
    sync::{OwnedSemaphorePermit, RwLock, Semaphore},
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
        builder = builder.secret_key(self.secret_key).transport_config(transport);
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
    /// Held for reading by whoever still delivers; closing waits for them.
    pub delivering: Arc<RwLock<()>>,
    listener: Mutex<Option<Arc<ListenerObject>>>,
    task: OnceLock<AbortHandle>,
    closing: OnceLock<AbortHandle>,
}

impl EndpointObject {
    pub fn bound(&self) -> Result<&Endpoint, Failure> {
        self.endpoint.get().ok_or(Code::Stale.into())
    }

    pub fn end(&self) {
        self.source.release();
        for task in [&self.task, &self.closing] {
            if let Some(task) = task.get() {
                task.abort();
            }
        }
        self.end_listening();
    }

    /// Takes what comes in for as long as the endpoint lives: without a listener it is refused, never left to pile up.
    async fn serve(&self) {
        let Some(endpoint) = self.endpoint.get() else { return };
        let _listening = EndListening(self);
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    let listener = self.listener.lock().expect("listener lock").clone();
                    match listener.as_ref().and_then(|listener| Some((listener, listener.place()?))) {
                        Some((listener, place)) => { handshakes.spawn(listener.clone().shake_hands(incoming, place)); }
                        None => incoming.refuse(),
                    }
                }
                Some(_) = handshakes.join_next(), if !handshakes.is_empty() => {}
            }
        }
    }

    fn end_listening(&self) {
        if let Some(listener) = self.listener.lock().expect("listener lock").take() {
            listener.close();
        }
    }
}

/// However serving ends, a panic included, the listener hears of it.
struct EndListening<'a>(&'a EndpointObject);

impl Drop for EndListening<'_> {
    fn drop(&mut self) {
        self.0.end_listening();
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
            delivering: Arc::default(),
            listener: Mutex::new(None),
            task: OnceLock::new(),
            closing: OnceLock::new(),
        });
        Ok((Object::Endpoint(object.clone()), object))
    })?;
    let running = object.clone();
    let task = runtime.spawn(async move {
        let work = async { builder.bind().await.map_err(from_bind) };
        let keep = |endpoint| {
            let _ = running.endpoint.set(endpoint);
        };
        if runtime::begin(&running.source, "binding", deadline, work, keep).await {
            running.serve().await;
        }
    });
    let _ = object.task.set(task.abort_handle());
    Ok(handle)
}

pub fn close(object: &Arc<EndpointObject>, deadline: Duration) -> Result<(), Failure> {
    let runtime = runtime::handle()?;
    let endpoint = object.bound()?.clone();
    let source = object.source.clone();
    let delivering = object.delivering.clone();
    let task = runtime.spawn(async move {
        let _closed = RaiseOnDrop { source, bits: CLOSED };
        // At the deadline the peers that have not acknowledged are left to notice by themselves.
        let _ = tokio::time::timeout(deadline, async {
            let _delivered = delivering.write().await;
            endpoint.close().await;
        })
        .await;
    });
    let _ = object.closing.set(task.abort_handle());
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
    handshake: Duration,
    places: Arc<Semaphore>,
    ready: Mutex<Ready>,
    closed: AtomicBool,
}

impl ListenerObject {
    pub fn end(&self, code: VarInt) {
        self.source.release();
        self.endpoint.listener.lock().expect("listener lock").take();
        let mut ready = self.ready.lock().expect("ready lock");
        self.closed.store(true, Ordering::SeqCst);
        for (connection, _) in ready.drain(..) {
            connection.close(code, b"");
        }
    }

    fn close(self: &Arc<Self>) {
        self.closed.store(true, Ordering::SeqCst);
        self.source.raise(CLOSED);
    }

    /// A place in the bound, or one more refusal.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        place
    }

    /// A handshake that fails or takes too long just ends: what the peer did is told to the peer by QUIC.
    async fn shake_hands(self: Arc<Self>, incoming: Incoming, place: OwnedSemaphorePermit) {
        let Ok(accepting) = incoming.accept() else { return };
        if let Ok(Ok(connection)) = tokio::time::timeout(self.handshake, accepting).await {
            let mut ready = self.ready.lock().expect("ready lock");
            if !self.closed.load(Ordering::SeqCst) {
                ready.push_back((connection, place));
                self.source.raise(INCOMING);
            }
        }
    }
}

pub fn listen(
    endpoint: Arc<EndpointObject>,
    queue: &Arc<Queue>,
    alpns: Vec<Vec<u8>>,
    max_pending: usize,
    handshake: Duration,
) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let _context = runtime.enter();
    if !(1..=65535).contains(&max_pending) {
        return Err(Failure::invalid(format!("max_pending is {max_pending}, not 1 to 65535")));
    }
    let bound = endpoint.bound()?;
    let mut listener = endpoint.listener.lock().expect("listener lock");
    if listener.is_some() {
        return Err(Failure::invalid("this endpoint has a listener already"));
    }
    let (handle, object) = handles::insert(|handle| {
        let object = Arc::new(ListenerObject {
            source: Source::new(queue, handle)?,
            refused: AtomicU64::new(0),
            endpoint: endpoint.clone(),
            handshake,
            places: Arc::new(Semaphore::new(max_pending)),
            ready: Mutex::new(Ready::new()),
            closed: AtomicBool::new(bound.is_closed()),
        });
        Ok((Object::Listener(object.clone()), object))
    })?;
    bound.set_alpns(alpns);
    *listener = Some(object);
    Ok(handle)
}

/// Takes the connection that waits longest and makes `queue` its home.
pub fn accept(listener: &ListenerObject, queue: &Arc<Queue>) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let mut ready = listener.ready.lock().expect("ready lock");
    let Some((connection, place)) = ready.pop_front() else {
        return Err(if listener.closed.load(Ordering::SeqCst) { Code::Closed } else { Code::Again }.into());
    };
    let accepted = ConnectionObject::accepted(&runtime, queue, &listener.endpoint.delivering, connection.clone());
    accepted.inspect_err(|_| ready.push_front((connection, place)))
}
