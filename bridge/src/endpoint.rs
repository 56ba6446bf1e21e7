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
    address_lookup::{AddrFilter, DnsAddressLookup, PkarrPublisher, PkarrResolver},
    dns::DnsResolver,
    endpoint::{Builder, Incoming, IncomingAddr, PortmapperConfig, QuicTransportConfig, presets},
};
use iroh_relay::{RelayQuicConfig, tls::CaTlsConfig};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::{sync::RwLock, task::AbortHandle};

use crate::{
    arguments::{self, Bytes, addr, array, millis, text, texts},
    connection::ConnectionObject,
    error::{Code, Failure, from_bind, from_connecting, from_handshake},
    handles::{self, Object},
    queue::{CLOSED, INCOMING, Queue, Source},
    runtime::{self, RaiseOnDrop},
};

/// `adit_relay`.
#[repr(C)]
pub struct Relay {
    pub url: Bytes,
    pub quic_port: u16,
    pub token: Bytes,
}

/// `adit_endpoint_config`.
#[repr(C)]
pub struct EndpointConfig {
    pub secret_key: *const [u8; 32],
    pub bind_addrs: *const Bytes,
    pub bind_addr_count: usize,
    pub relay_mode: u32,
    pub relays: *const Relay,
    pub relay_count: usize,
    pub external_addrs: *const Bytes,
    pub external_addr_count: usize,
    pub portmap: u32,
    pub max_bidi_streams: u32,
    pub stream_window: u32,
    pub receive_window: u32,
    pub send_window: u32,
    pub idle_timeout_ms: u32,
    pub keep_alive_ms: u32,
    pub relay_only: u32,
    pub mdns: u32,
    pub relay_ca_file: Bytes,
    pub dns_origins: *const Bytes,
    pub dns_origin_count: usize,
    pub dns_server: Bytes,
    pub pkarr_relays: *const Bytes,
    pub pkarr_relay_count: usize,
}

const RELAY_NONE: u32 = 0;
const RELAY_LIST: u32 = 1;
const RELAY_N0: u32 = 2;

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
    pub relay_only: bool,
    pub relay_ca_file: String,
    pub mdns: bool,
    pub dns_origins: Vec<String>,
    pub dns_server: Option<SocketAddr>,
    pub pkarr_relays: Vec<String>,
}

fn relay(url: &str, quic_port: u16, token: &str) -> Result<RelayConfig, Failure> {
    let parsed: RelayUrl = url.parse().map_err(|error| Failure::invalid(format!("relay URL '{url}': {error}")))?;
    let config = RelayConfig::new(parsed, (quic_port != 0).then(|| RelayQuicConfig::new(quic_port)));
    Ok(if token.is_empty() { config } else { config.with_auth_token(token) })
}

impl Config {
    /// Safety: pointers are valid for what the header says they are, during the call.
    pub unsafe fn of(given: &EndpointConfig) -> Result<Config, Failure> {
        let relays = match given.relay_mode {
            RELAY_NONE => Relays::None,
            RELAY_N0 => Relays::N0,
            RELAY_LIST if given.relay_count == 0 => return Err(Failure::invalid("the list of relays is empty")),
            RELAY_LIST => Relays::List(
                unsafe { array(given.relays, given.relay_count) }
                    .iter()
                    .map(|given| unsafe {
                        relay(text(given.url, "relay URL")?, given.quic_port, text(given.token, "relay token")?)
                    })
                    .collect::<Result<_, _>>()?,
            ),
            other => return Err(Failure::invalid(format!("there is no relay_mode {other}"))),
        };
        Ok(Config {
            secret_key: SecretKey::from_bytes(unsafe { &*given.secret_key }),
            bind_addrs: unsafe { arguments::addrs(given.bind_addrs, given.bind_addr_count, "bind address") }?,
            relays,
            external_addrs: unsafe { arguments::addrs(given.external_addrs, given.external_addr_count, "external address") }?,
            portmap: given.portmap != 0,
            max_bidi_streams: given.max_bidi_streams,
            stream_window: given.stream_window,
            receive_window: given.receive_window,
            send_window: given.send_window,
            idle_timeout: millis(given.idle_timeout_ms),
            keep_alive: millis(given.keep_alive_ms),
            relay_only: given.relay_only != 0,
            mdns: given.mdns != 0,
            dns_origins: unsafe { texts(given.dns_origins, given.dns_origin_count, "DNS origin") }?,
            dns_server: unsafe { addr(given.dns_server, "DNS server") }?,
            pkarr_relays: unsafe { texts(given.pkarr_relays, given.pkarr_relay_count, "pkarr relay") }?,
            relay_ca_file: unsafe { text(given.relay_ca_file, "relay CA file") }?.to_owned(),
        })
    }

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
        // A path is given up well before the connection, so that the data goes another way in time, if there is one. Both are
        // iroh's own where they are longer than these.
        let path_keep_alive = self.keep_alive.min(Duration::from_secs(5));
        let path_idle = (self.idle_timeout / 2).min(Duration::from_secs(15)).max(path_keep_alive + Duration::from_millis(1));
        Ok(QuicTransportConfig::builder()
            .max_concurrent_bidi_streams(self.max_bidi_streams.into())
            .max_concurrent_uni_streams(0u32.into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.receive_window.into())
            .send_window(self.send_window.into())
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive)
            .default_path_keep_alive_interval(path_keep_alive)
            .default_path_max_idle_timeout(path_idle)
            .datagram_receive_buffer_size(None)
            .build())
    }

    fn builder(self) -> Result<Builder, Failure> {
        let transport = self.transport()?;
        let relayed_by_nobody = matches!(self.relays, Relays::None);
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
        if !self.relay_ca_file.is_empty() {
            let roots = CertificateDer::pem_file_iter(&self.relay_ca_file)
                .and_then(|found| found.collect::<Result<Vec<_>, _>>())
                .map_err(|error| Failure::invalid(format!("relay CA file {}: {error}", self.relay_ca_file)))?;
            builder = builder.ca_tls_config(CaTlsConfig::embedded().with_extra_roots(roots));
        }
        if self.relay_only {
            if relayed_by_nobody {
                return Err(Failure::invalid("relay_only without a relay leaves no way to any peer"));
            }
            if !self.bind_addrs.is_empty() {
                return Err(Failure::invalid("relay_only binds no address, but bind addresses are given"));
            }
        }
        // Naming one family leaves the other's wildcard socket bound, so all go first.
        if self.relay_only || !self.bind_addrs.is_empty() {
            builder = builder.clear_ip_transports();
        }
        for addr in self.bind_addrs {
            builder = builder.bind_addr(addr).map_err(|error| Failure::invalid(format!("bind address {addr}: {error:#}")))?;
        }
        for addr in self.external_addrs {
            builder = builder.external_addr(addr);
        }
        if let Some(server) = self.dns_server {
            builder = builder.dns_resolver(DnsResolver::with_nameserver(server));
        }
        for origin in self.dns_origins {
            builder = builder.address_lookup(DnsAddressLookup::builder(origin));
        }
        for relay in self.pkarr_relays {
            let wrong = |error| Failure::invalid(format!("pkarr relay '{relay}': {error}"));
            // Who has a relay is found through it, and keeps its addresses to itself; who has none has nothing else to tell.
            let told = if relayed_by_nobody { AddrFilter::unfiltered() } else { AddrFilter::relay_only() };
            builder = builder
                .address_lookup(PkarrPublisher::builder(relay.parse().map_err(wrong)?).addr_filter(told))
                .address_lookup(PkarrResolver::builder(relay.parse().map_err(wrong)?));
        }
        if self.mdns {
            #[cfg(not(feature = "mdns"))]
            return Err(Failure::invalid("the bridge was built without multicast DNS"));
            #[cfg(feature = "mdns")]
            {
                builder = builder.address_lookup(iroh_mdns_address_lookup::MdnsAddressLookup::builder());
            }
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

    /// Live connections whose data goes directly.
    pub fn direct(&self) -> usize {
        handles::connections().iter().filter(|connection| connection.is_direct(&self.delivering)).count()
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
        while let Some(incoming) = endpoint.accept().await {
            let listener = self.listener.lock().expect("listener lock").clone();
            match listener {
                Some(listener) => listener.offer(incoming),
                None => incoming.refuse(),
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

/// `adit_attempt`.
#[repr(C)]
pub struct Attempt {
    pub source: [u8; 120],
    pub remote_id: [u8; 32],
    pub relayed: u16,
    pub validated: u16,
}

/// How an attempt is turned away (`adit_turn_away`).
#[derive(Clone, Copy)]
pub enum Away {
    Refuse,
    Validate,
    Ignore,
}

pub struct ListenerObject {
    pub source: Arc<Source>,
    pub refused: AtomicU64,
    endpoint: Arc<EndpointObject>,
    max_waiting: usize,
    /// Attempts that nobody has decided yet, oldest first; nothing was done for them but to read their first packet.
    waiting: Mutex<VecDeque<Incoming>>,
    closed: AtomicBool,
}

impl ListenerObject {
    pub fn end(&self) {
        self.source.release();
        self.endpoint.listener.lock().expect("listener lock").take();
        self.refuse_all();
    }

    fn close(self: &Arc<Self>) {
        self.refuse_all();
        self.source.raise(CLOSED);
    }

    fn refuse_all(&self) {
        let mut waiting = self.waiting.lock().expect("waiting lock");
        self.closed.store(true, Ordering::SeqCst);
        for incoming in waiting.drain(..) {
            incoming.refuse();
        }
    }

    fn offer(self: &Arc<Self>, incoming: Incoming) {
        let mut waiting = self.waiting.lock().expect("waiting lock");
        if waiting.len() >= self.max_waiting || self.closed.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return incoming.refuse();
        }
        waiting.push_back(incoming);
        self.source.raise(INCOMING);
    }

    /// Why nothing waits.
    fn none(&self) -> Failure {
        if self.closed.load(Ordering::SeqCst) { Code::Closed.into() } else { Code::Again.into() }
    }

    pub fn peek(&self) -> Result<Attempt, Failure> {
        let waiting = self.waiting.lock().expect("waiting lock");
        let incoming = waiting.front().ok_or_else(|| self.none())?;
        let (source, remote_id) = match incoming.remote_addr() {
            IncomingAddr::Ip(addr) => (addr.to_string(), None),
            IncomingAddr::Relay { url, endpoint_id } => (url.to_string(), Some(endpoint_id)),
            _ => (String::new(), None),
        };
        let mut attempt = Attempt {
            source: [0; 120],
            remote_id: remote_id.map_or([0; 32], |id| *id.as_bytes()),
            relayed: remote_id.is_some().into(),
            validated: incoming.remote_addr_validated().into(),
        };
        let len = source.len().min(attempt.source.len() - 1);
        attempt.source[..len].copy_from_slice(&source.as_bytes()[..len]);
        Ok(attempt)
    }

    pub fn turn_away(&self, how: Away) -> Result<(), Failure> {
        let runtime = runtime::handle()?;
        let _context = runtime.enter();
        let incoming = self.waiting.lock().expect("waiting lock").pop_front().ok_or_else(|| self.none())?;
        match how {
            Away::Refuse => incoming.refuse(),
            Away::Ignore => incoming.ignore(),
            // One that came with a proof has nothing more to prove.
            Away::Validate => {
                if let Err(proved) = incoming.retry() {
                    proved.into_incoming().refuse();
                }
            }
        }
        Ok(())
    }

    /// Begins the handshake of the attempt that waits longest and makes `queue` its connection's home.
    pub fn accept(&self, queue: &Arc<Queue>, deadline: Duration) -> Result<u64, Failure> {
        let runtime = runtime::handle()?;
        let mut waiting = self.waiting.lock().expect("waiting lock");
        if waiting.is_empty() {
            return Err(self.none());
        }
        let (handle, object) = ConnectionObject::insert(queue, &self.endpoint.delivering)?;
        let incoming = waiting.pop_front().expect("it waits");
        object.begin(&runtime, "the handshake", deadline, async move {
            incoming.accept().map_err(from_handshake)?.await.map_err(from_connecting)
        });
        Ok(handle)
    }
}

pub fn listen(
    endpoint: Arc<EndpointObject>,
    queue: &Arc<Queue>,
    alpns: Vec<Vec<u8>>,
    max_waiting: usize,
) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    let _context = runtime.enter();
    if !(1..=65535).contains(&max_waiting) {
        return Err(Failure::invalid(format!("max_waiting is {max_waiting}, not 1 to 65535")));
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
            max_waiting,
            waiting: Mutex::default(),
            closed: AtomicBool::new(bound.is_closed()),
        });
        Ok((Object::Listener(object.clone()), object))
    })?;
    bound.set_alpns(alpns);
    *listener = Some(object);
    Ok(handle)
}
