//! Echo over iroh without the bridge: a peer for tests, and what the bridge's round trip is measured against.
//!
//!   adit-bridge-echo serve                  prints "ID ADDRESS", echoes every stream until its input ends
//!   adit-bridge-echo measure ID ADDRESS N DEPTH   N messages of 64 bytes, DEPTH of them under way: prints the median round trip in
//!                                                 nanoseconds, messages a second, and CPU nanoseconds a message
//!   adit-bridge-echo bulk ID ADDRESS BYTES        prints bytes a second, there and back

use std::{
    collections::VecDeque,
    error::Error,
    time::{Duration, Instant},
};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode,
    endpoint::{Connection, PortmapperConfig, QuicTransportConfig, RecvStream, SendStream, presets},
};

const ALPN: &[u8] = b"adit-echo/1";
const MESSAGE: usize = 64;
const WARM_UP: usize = 300;
const CHUNK: usize = 64 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn bind() -> Result<Endpoint> {
    let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
    let builder = builder.portmapper_config(PortmapperConfig::Disabled).alpns(vec![ALPN.to_vec()]);
    // The windows that the benchmark gives the bridge.
    let transport = QuicTransportConfig::builder()
        .stream_receive_window((256u32 * 1024).into())
        .receive_window((512u32 * 1024).into())
        .send_window(512 * 1024)
        .datagram_receive_buffer_size(None)
        .build();
    let builder = builder.transport_config(transport);
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

async fn dial(id: &str, address: &str) -> Result<(Endpoint, Connection, SendStream, RecvStream)> {
    let endpoint = bind().await?;
    let target = EndpointAddr::new(id.parse::<EndpointId>()?).with_ip_addr(address.parse()?);
    let connection = endpoint.connect(target, ALPN).await?;
    let (send, receive) = connection.open_bi().await?;
    Ok((endpoint, connection, send, receive))
}

/// What this process has used so far, in ticks of 10 ms.
fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat[stat.rfind(')').ok_or("no name in /proc/self/stat")? + 2..].split(' ').collect();
    Ok(Duration::from_millis(10 * (fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)))
}

async fn measure(id: &str, address: &str, count: usize, depth: usize) -> Result<()> {
    let (endpoint, connection, mut send, mut receive) = dial(id, address).await?;
    let message = [7; MESSAGE];
    let mut buffer = vec![0; CHUNK];
    let mut trips = Vec::with_capacity(count);
    let mut under_way = VecDeque::with_capacity(depth);
    let (mut sent, mut answered, mut bytes) = (0, 0, 0);
    let (mut begun, mut cpu) = (Instant::now(), cpu_time()?);
    while answered < WARM_UP + count {
        while under_way.len() < depth && sent < WARM_UP + count {
            under_way.push_back(Instant::now());
            send.write_all(&message).await?;
            sent += 1;
        }
        bytes += receive.read(&mut buffer).await?.ok_or("the stream ended")?;
        while bytes >= MESSAGE {
            bytes -= MESSAGE;
            let written = under_way.pop_front().ok_or("more came back than was sent")?;
            if answered >= WARM_UP {
                trips.push(written.elapsed());
            }
            answered += 1;
            if answered == WARM_UP {
                (begun, cpu) = (Instant::now(), cpu_time()?);
            }
        }
    }
    let (taken, used) = (begun.elapsed(), cpu_time()? - cpu);
    connection.close(1u32.into(), b"");
    endpoint.close().await;
    trips.sort();
    let rate = count as f64 / taken.as_secs_f64();
    println!("{} {rate:.0} {:.0}", trips[count / 2].as_nanos(), used.as_nanos() as f64 / count as f64);
    Ok(())
}

async fn bulk(id: &str, address: &str, total: usize) -> Result<()> {
    let (endpoint, connection, mut send, mut receive) = dial(id, address).await?;
    let begun = Instant::now();
    let writing = tokio::spawn(async move {
        let chunk = vec![7; CHUNK];
        let mut left = total;
        while left > 0 {
            let size = left.min(CHUNK);
            send.write_all(&chunk[..size]).await?;
            left -= size;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(send)
    });
    let mut buffer = vec![0; CHUNK];
    let mut have = 0;
    while have < total {
        have += receive.read(&mut buffer).await?.ok_or("the stream ended")?;
    }
    let taken = begun.elapsed();
    drop(writing.await??);
    connection.close(1u32.into(), b"");
    endpoint.close().await;
    println!("{:.0}", total as f64 / taken.as_secs_f64());
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve().await,
        ["measure", id, address, count, depth] => measure(id, address, count.parse()?, depth.parse()?).await,
        ["bulk", id, address, bytes] => bulk(id, address, bytes.parse()?).await,
        _ => Err("usage: adit-bridge-echo serve | measure ID ADDRESS N DEPTH | bulk ID ADDRESS BYTES".into()),
    }
}
