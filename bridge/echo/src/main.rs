//! Echo over iroh without the bridge: a peer for tests, and what the bridge's round trip is measured against.
//!
//!   adit-bridge-echo serve                  prints "ID ADDRESS", echoes every stream until its input ends
//!   adit-bridge-echo measure ID ADDRESS N   prints the median round trip of N messages of 64 bytes, in nanoseconds

use std::{
    error::Error,
    time::{Duration, Instant},
};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode,
    endpoint::{Connection, PortmapperConfig, presets},
};

const ALPN: &[u8] = b"adit-echo/1";
const MESSAGE: usize = 64;
const WARM_UP: usize = 300;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn bind() -> Result<Endpoint> {
    let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
    let builder = builder.portmapper_config(PortmapperConfig::Disabled).alpns(vec![ALPN.to_vec()]);
    Ok(builder.clear_ip_transports().bind_addr("127.0.0.1:0")?.bind().await?)
}

async fn serve() -> Result<()> {
    let endpoint = bind().await?;
    println!("{} {}", endpoint.id(), endpoint.bound_sockets()[0]);
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    echo(connection).await;
                }
            });
        }
    });
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    endpoint.close().await;
    Ok(())
}

async fn echo(connection: Connection) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(Some(len)) = receive.read(&mut buffer).await {
                if send.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
        });
    }
}

async fn measure(id: &str, address: &str, count: usize) -> Result<Duration> {
    let endpoint = bind().await?;
    let target = EndpointAddr::new(id.parse::<EndpointId>()?).with_ip_addr(address.parse()?);
    let connection = endpoint.connect(target, ALPN).await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut message = [7; MESSAGE];
    let mut trips = Vec::with_capacity(count);
    for round in 0..WARM_UP + count {
        let begun = Instant::now();
        send.write_all(&message).await?;
        receive.read_exact(&mut message).await?;
        if round >= WARM_UP {
            trips.push(begun.elapsed());
        }
    }
    connection.close(1u32.into(), b"");
    endpoint.close().await;
    trips.sort();
    Ok(trips[count / 2])
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve().await,
        ["measure", id, address, count] => {
            println!("{}", measure(id, address, count.parse()?).await?.as_nanos());
            Ok(())
        }
        _ => Err("usage: adit-bridge-echo serve | measure ID ADDRESS N".into()),
    }
}
