//! A relay server of one's own, around the server that iroh's makers run.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    os::fd::{AsRawFd, RawFd},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use iroh::EndpointId;
use iroh_relay::server::{
    Access, AccessControl, CertConfig, ClientRateLimit, ClientRequest, ConnectionId, QuicConfig, RelayConfig, Server,
    ServerConfig, SpawnError, TlsConfig,
    http_server::{self, RelayService},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{self, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    error::{Code, Failure},
    handles::{self, Object},
    queue::{CLOSED, Queue, Source},
    runtime::{self, RaiseOnDrop},
};

/// How long the connections of a relay that is stopped have to end.
const STOP: Duration = Duration::from_secs(2);
/// How long a connection has until it is a client, as iroh's own server has it.
const ESTABLISH: Duration = Duration::from_secs(30);
/// After an accept that failed for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// So many sources are known before those that have nothing open are looked for.
const SOURCES: usize = 1024;

/// `adit_relay_server_config`, checked.
pub struct Config {
    pub http: SocketAddr,
    pub tls: Option<Tls>,
    pub quic: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub tokens: Vec<String>,
    pub max_clients: usize,
    pub max_clients_per_source: usize,
    pub accepts_per_second: u32,
    pub client_bytes_per_second: u32,
    pub client_burst_bytes: u32,
}

pub struct Tls {
    pub bind: SocketAddr,
    pub config: rustls::ServerConfig,
}

/// The server's certificate chain and key, each a PEM file.
pub fn tls(bind: SocketAddr, chain: &str, key: &str) -> Result<Tls, Failure> {
    let unreadable =
        |what: &str, path: &str, error: rustls::pki_types::pem::Error| Failure::invalid(format!("{what} {path}: {error}"));
    let certificates = CertificateDer::pem_file_iter(Path::new(chain))
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unreadable("certificate chain", chain, error))?;
    let secret = PrivateKeyDer::from_pem_file(Path::new(key)).map_err(|error| unreadable("private key", key, error))?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, secret))
        .map_err(|error| Failure::invalid(format!("certificate {chain} with key {key}: {error}")))?;
    Ok(Tls { bind, config })
}

/// Who may use the relay: whoever shows a token, if there are any, within the bounds.
#[derive(Debug)]
struct Admission {
    tokens: Vec<String>,
    max_clients: usize,
    clients: AtomicUsize,
    /// One token bucket over all: how many connections it still has room for, and when that was reckoned.
    accepts_per_second: u32,
    bucket: Mutex<(f64, Instant)>,
}

impl Admission {
    fn knows(&self, token: &str) -> bool {
        // Every byte of every token is looked at, so that the time says nothing of where they differ.
        let same = |known: &String| {
            known.len() == token.len() && known.bytes().zip(token.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
        };
        self.tokens.iter().fold(false, |found, known| found | same(known))
    }

    /// Takes a client in, or says why not. Whoever shows no token that is asked for uses up nothing of what there is for those
    /// who do.
    fn admit(&self, token: Option<&str>) -> Result<(), &'static str> {
        if !self.tokens.is_empty() && !token.is_some_and(|token| self.knows(token)) {
            return Err("this relay asks for a token that it knows");
        }
        if !self.within_rate() {
            return Err("this relay takes no more connections for a moment");
        }
        let room = self.clients.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |clients| {
            (self.max_clients == 0 || clients < self.max_clients).then_some(clients + 1)
        });
        room.map(|_| ()).map_err(|_| "this relay is full")
    }

    fn within_rate(&self) -> bool {
        if self.accepts_per_second == 0 {
            return true;
        }
        let rate = f64::from(self.accepts_per_second);
        let mut bucket = self.bucket.lock().expect("bucket lock");
        let now = Instant::now();
        bucket.0 = (bucket.0 + now.duration_since(bucket.1).as_secs_f64() * rate).min(rate);
        bucket.1 = now;
        if bucket.0 < 1.0 {
            return false;
        }
        bucket.0 -= 1.0;
        true
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        match self.admit(request.auth_token().as_deref()) {
            Ok(()) => Access::Allow,
            Err(reason) => Access::Deny { reason: Some(reason.into()) },
        }
    }

    fn on_disconnect(&self, _: EndpointId, _: ConnectionId) {
        self.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A socket that the relay's server owns, known by its descriptor and inode.
///
/// The server says when a client ends, but neither then nor at the start which address it came from. So whether a connection is
/// still open is asked of the system: a descriptor that is closed, or open for something else by now, has not this inode.
struct Socket {
    descriptor: RawFd,
    inode: u64,
}

impl Socket {
    fn of(stream: &TcpStream) -> Option<Self> {
        let descriptor = stream.as_raw_fd();
        inode(descriptor).map(|inode| Self { descriptor, inode })
    }

    fn is_open(&self) -> bool {
        inode(self.descriptor) == Some(self.inode)
    }
}

fn inode(descriptor: RawFd) -> Option<u64> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: fstat writes the structure where it returns 0, and only looks at the descriptor.
    (unsafe { libc::fstat(descriptor, found.as_mut_ptr()) } == 0).then(|| unsafe { found.assume_init() }.st_ino)
}

/// An IPv4 address, or the /64 of an IPv6 address, as the pool's quotas have it (net/admission.h).
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

/// The connections of each source, so that no one source has all places of the relay.
struct Sources {
    most: usize,
    open: HashMap<IpAddr, Vec<Socket>>,
    sweep_at: usize,
}

impl Sources {
    fn new(most: usize) -> Self {
        Self { most, open: HashMap::new(), sweep_at: SOURCES }
    }

    /// Counts the connection for its source. False: the source has as many as one may have.
    fn take(&mut self, address: IpAddr, stream: &TcpStream) -> bool {
        if self.most == 0 {
            return true;
        }
        if self.open.len() >= self.sweep_at {
            self.open.retain(|_, sockets| sockets.iter().any(Socket::is_open));
            self.sweep_at = SOURCES.max(2 * self.open.len());
        }
        let sockets = self.open.entry(source_of(address)).or_default();
        if sockets.len() >= self.most {
            sockets.retain(Socket::is_open);
        }
        if sockets.len() >= self.most {
            return false;
        }
        sockets.extend(Socket::of(stream));
        true
    }
}

/// What a listener of ours serves to a connection within its source's bound.
#[derive(Clone)]
enum Serving {
    /// All that the relay has, inside TLS if there is TLS.
    Clients(RelayService, Option<http_server::TlsConfig>),
    /// The plain probes of a relay with TLS. iroh's server answers them, at this address.
    Probes(SocketAddr),
}

impl Serving {
    async fn serve(self, stream: TcpStream) {
        match self {
            Self::Clients(service, tls) => service.handle_connection(stream, tls, ESTABLISH).await,
            Self::Probes(server) => {
                let _ = tokio::time::timeout(ESTABLISH, hand_on(stream, server)).await;
            }
        }
    }
}

/// Hands on what the peer asks, and closes the connection behind the server's answer.
async fn hand_on(mut peer: TcpStream, server: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut questions, mut to_peer) = peer.split();
    let (mut answers, mut to_server) = server.split();
    let asked = async {
        io::copy(&mut questions, &mut to_server).await?;
        to_server.shutdown().await?;
        std::future::pending().await
    };
    tokio::select! {
        answered = io::copy(&mut answers, &mut to_peer) => answered.map(|_| ()),
        failed = asked => failed,
    }
}

/// Accepts connections and serves those within their source's bound. When the sender of `running` is dropped, it closes the
/// listener, ends every connection that is not a client yet, and returns.
async fn accept(listener: TcpListener, serving: Serving, mut sources: Sources, mut running: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Err(_) = running.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if sources.take(peer.ip(), &stream) => {
                    connections.spawn(serving.clone().serve(stream));
                }
                Ok((_, peer)) => tracing::warn!("the relay refuses a connection of {}, which has as many as one may have", peer.ip()),
                Err(error) => {
                    tracing::warn!("the relay cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// A listener and the address that it got.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address).await.map_err(|error| from_bind(error, address))?;
    let bound = listener.local_addr().map_err(|error| from_bind(error, address))?;
    Ok((listener, bound))
}

pub struct RelayObject {
    pub source: Arc<Source>,
    admission: Arc<Admission>,
    sockets: OnceLock<String>,
    stop: Notify,
}

impl RelayObject {
    pub fn end(&self) {
        self.source.release();
        self.stop.notify_one();
    }

    /// The sockets bound, once DONE: "http ip:port", "https ip:port", "quic ip:port", one a line.
    pub fn sockets(&self) -> Result<&str, Failure> {
        self.sockets.get().map(String::as_str).ok_or(Code::Stale.into())
    }

    pub fn clients(&self) -> usize {
        self.admission.clients.load(Ordering::SeqCst)
    }
}

fn from_bind(error: std::io::Error, address: SocketAddr) -> Failure {
    failed_to_bind(Some(error.kind()), format!("cannot bind {address}: {error}"))
}

fn from_spawn(error: SpawnError) -> Failure {
    let io = match &error {
        SpawnError::BindTlsListener { source, .. } | SpawnError::BindTcpListener { source, .. } => Some(source.kind()),
        _ => None,
    };
    failed_to_bind(io, format!("{error:#}"))
}

fn failed_to_bind(io: Option<std::io::ErrorKind>, text: String) -> Failure {
    match io {
        Some(std::io::ErrorKind::AddrInUse) => Failure::new(Code::AddressInUse, text),
        // The QUIC and metrics sockets tell no kind; the words do.
        _ if text.contains("in use") => Failure::new(Code::AddressInUse, text),
        Some(_) => Failure::invalid(text),
        None => Failure::new(Code::Internal, text),
    }
}

pub fn start(queue: &Arc<Queue>, config: Config, deadline: Duration) -> Result<u64, Failure> {
    let runtime = runtime::handle()?;
    if config.quic.is_some() && config.tls.is_none() {
        return Err(Failure::invalid("QUIC address discovery needs TLS: give a certificate and its key, or leave it out"));
    }
    let admission = Arc::new(Admission {
        tokens: config.tokens,
        max_clients: config.max_clients,
        clients: AtomicUsize::new(0),
        accepts_per_second: config.accepts_per_second,
        bucket: Mutex::new((f64::from(config.accepts_per_second), Instant::now())),
    });
    // Peers come to listeners of ours, which know where from; those of iroh's server are bound where only this machine is.
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (public, probes, tls) = match &config.tls {
        Some(tls) => (tls.bind, Some(config.http), Some(http_server::TlsConfig::new(Arc::new(tls.config.clone())))),
        None => (config.http, None, None),
    };
    let most = config.max_clients_per_source;
    let mut relay = RelayConfig::new(own);
    relay.tls = config.tls.map(|tls| TlsConfig::new(own, CertConfig::Manual { server_config: tls.config }));
    relay.access = admission.clone();
    relay.limits.client_rx = NonZeroU32::new(config.client_bytes_per_second).map(|rate| {
        let mut limit = ClientRateLimit::new(rate);
        limit.max_burst_bytes = NonZeroU32::new(config.client_burst_bytes);
        limit
    });
    let mut server = ServerConfig::default();
    server.relay = Some(relay);
    server.quic = config.quic.map(QuicConfig::new);
    server.metrics_addr = config.metrics;

    let (handle, object) = handles::insert(|handle| {
        let object = Arc::new(RelayObject {
            source: Source::new(queue, handle)?,
            admission,
            sockets: OnceLock::new(),
            stop: Notify::new(),
        });
        Ok((Object::Relay(object.clone()), object))
    })?;
    let running = object.clone();
    runtime.spawn(async move {
        let mut started = None;
        let work = async {
            let public = bind(public).await?;
            let probes = match probes {
                Some(address) => Some(bind(address).await?),
                None => None,
            };
            let server = Server::spawn(server).await.map_err(from_spawn)?;
            Ok((server, public, probes))
        };
        type Bound = (TcpListener, SocketAddr);
        let keep = |(server, public, probes): (Server, Bound, Option<Bound>)| {
            let (http, https) = match &probes {
                Some((_, address)) => (*address, Some(public.1)),
                None => (public.1, None),
            };
            let named = [("http", Some(http)), ("https", https), ("quic", server.quic_addr())];
            let lines = named.iter().filter_map(|(name, addr)| addr.map(|addr| format!("{name} {addr}")));
            let _ = running.sockets.set(lines.collect::<Vec<_>>().join("\n"));
            started = Some((server, public.0, probes.map(|(listener, _)| listener)));
        };
        runtime::begin(&running.source, "starting the relay", deadline, work, keep).await;
        if let Some((mut server, public, probes)) = started {
            let service = server.relay_service().expect("a relay is configured").clone();
            let while_running = watch::Sender::new(());
            let mut accepting = JoinSet::new();
            accepting.spawn(accept(public, Serving::Clients(service, tls), Sources::new(most), while_running.subscribe()));
            if let Some((listener, server)) = probes.zip(server.http_addr()) {
                accepting.spawn(accept(listener, Serving::Probes(server), Sources::new(most), while_running.subscribe()));
            }
            let _closed = RaiseOnDrop { source: running.source.clone(), bits: CLOSED };
            let stopped = tokio::select! {
                _ = server.join() => false,
                () = running.stop.notified() => true,
            };
            drop(while_running);
            while accepting.join_next().await.is_some() {}
            // Dropping the server would close its listener alone: whoever is connected would be served on.
            if stopped {
                let _ = tokio::time::timeout(STOP, server.shutdown()).await;
            }
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(tokens: &[&str], accepts_per_second: u32) -> Admission {
        Admission {
            tokens: tokens.iter().map(|token| token.to_string()).collect(),
            max_clients: 0,
            clients: AtomicUsize::new(0),
            accepts_per_second,
            bucket: Mutex::new((f64::from(accepts_per_second), Instant::now())),
        }
    }

    #[test]
    fn strangers_without_a_token_leave_the_rate_to_who_has_one() {
        let relay = admission(&["known"], 1);
        for _ in 0..1000 {
            assert!(relay.admit(None).is_err());
            assert!(relay.admit(Some("unknown")).is_err());
        }
        assert_eq!(relay.admit(Some("known")), Ok(()));
        assert_eq!(relay.admit(Some("known")), Err("this relay takes no more connections for a moment"));
        assert_eq!(relay.clients.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let source = |text: &str| source_of(text.parse().expect("an address")).to_string();
        assert_eq!(source("192.0.2.7"), "192.0.2.7");
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7", "the same address where the listener is IPv6's");
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(source("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
        assert_ne!(source("2001:db8:1:3::1"), source("2001:db8:1:2::1"));
    }

    fn with_connections<T>(count: usize, test: impl FnOnce(Vec<TcpStream>) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let (listener, address) = bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
            let mut streams = Vec::new();
            for _ in 0..count {
                let (made, _) = tokio::join!(TcpStream::connect(address), listener.accept());
                streams.push(made.expect("a connection"));
            }
            test(streams)
        })
    }

    #[test]
    fn a_socket_is_open_until_its_descriptor_is_closed_or_of_something_else() {
        with_connections(2, |mut streams| {
            let socket = Socket::of(&streams[0]).expect("a socket");
            assert!(socket.is_open());
            // As if the descriptor had been closed and given to another connection.
            let another = Socket { descriptor: streams[1].as_raw_fd(), inode: socket.inode };
            assert!(!another.is_open());
            drop(streams.remove(0));
            assert!(!socket.is_open());
        });
    }

    #[test]
    fn a_place_is_free_again_once_its_connection_is_closed() {
        with_connections(3, |mut streams| {
            let [one, other] = ["192.0.2.7", "192.0.2.8"].map(|text| text.parse::<IpAddr>().expect("an address"));
            let mut sources = Sources::new(1);
            assert!(sources.take(one, &streams[0]));
            assert!(!sources.take(one, &streams[1]));
            assert!(sources.take(other, &streams[1]), "of another source");
            drop(streams.remove(0));
            assert!(sources.take(one, &streams[1]));
            let mut unbounded = Sources::new(0);
            assert!(streams.iter().all(|stream| unbounded.take(one, stream) && unbounded.take(one, stream)));
        });
    }
}
