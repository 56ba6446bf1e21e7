//! A relay server of one's own, around the server that iroh's makers run.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
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
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::sync::Notify;

use crate::{
    error::{Code, Failure},
    handles::{self, Object},
    queue::{CLOSED, Queue, Source},
    runtime::{self, RaiseOnDrop},
};

/// How long the connections of a relay that is stopped have to end.
const STOP: Duration = Duration::from_secs(2);

/// `adit_relay_server_config`, checked.
pub struct Config {
    pub http: SocketAddr,
    pub tls: Option<Tls>,
    pub quic: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
    pub tokens: Vec<String>,
    pub max_clients: usize,
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

fn from_spawn(error: SpawnError) -> Failure {
    let text = format!("{error:#}");
    let io = match &error {
        SpawnError::BindTlsListener { source, .. } | SpawnError::BindTcpListener { source, .. } => Some(source.kind()),
        _ => None,
    };
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
    let mut relay = RelayConfig::new(config.http);
    relay.tls = config.tls.map(|tls| TlsConfig::new(tls.bind, CertConfig::Manual { server_config: tls.config }));
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
        let work = async { Server::spawn(server).await.map_err(from_spawn) };
        let keep = |server: Server| {
            let named = [("http", server.http_addr()), ("https", server.https_addr()), ("quic", server.quic_addr())];
            let lines = named.iter().filter_map(|(name, addr)| addr.map(|addr| format!("{name} {addr}")));
            let _ = running.sockets.set(lines.collect::<Vec<_>>().join("\n"));
            started = Some(server);
        };
        runtime::begin(&running.source, "starting the relay", deadline, work, keep).await;
        if let Some(mut server) = started {
            let _closed = RaiseOnDrop { source: running.source.clone(), bits: CLOSED };
            let stopped = tokio::select! {
                _ = server.join() => false,
                () = running.stop.notified() => true,
            };
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
}
