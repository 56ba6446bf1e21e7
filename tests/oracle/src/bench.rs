//! What SRI's crates need for what bench/sri_bench.cpp measures of ours. One key a line comes in, the nanoseconds of one
//! operation (a timed batch's mean) go out, so that both sides can be timed in turn. Each takes the leanest way that its crate
//! offers: messages as borrowed views, into and out of buffers that are there already.

use binary_sv2::{from_bytes, GetSize, Seq0255, Seq0255Owned, Serialize, Sv2Option};
use bitcoin::{Amount, ScriptBuf, Target, TxOut};
use channels_sv2::extranonce_manager::ExtranonceAllocator;
use channels_sv2::server::extended::ExtendedChannel;
use channels_sv2::server::share_accounting::ShareValidationResult;
use channels_sv2::server::standard::StandardChannel;
use codec_sv2::{Decrypted, Handshake, NoiseDecoder, NoiseEncoder, Transport};
use framing_sv2::framing::{EncodableFrame, MessageFrame, SerializedFrame};
use mining_sv2::{NewExtendedMiningJob, SubmitSharesExtended, SubmitSharesExtendedOwned, SubmitSharesStandard};
use noise_sv2::{Initiator, Responder};
use secp256k1::{Keypair, Secp256k1, SecretKey};
use std::collections::HashMap;
use std::hint::black_box;
use std::io::{stdin, stdout, BufRead, Write};
use std::time::{Duration, Instant};
use template_distribution_sv2::{NewTemplateOwned, SetNewPrevHashOwned};

type Batch = Box<dyn FnMut() -> f64>;

// Batches under a millisecond or two, so that most are not interrupted on a busy machine; as many as on the other side.
const CODEC_COUNT: usize = 1_000;
const RECORD_COUNT: usize = 100;
const HANDSHAKE_COUNT: usize = 1;
const SHARE_COUNT: usize = 400;
const NTIME: u32 = 1_745_596_910;
const VERSION: u32 = 0x2000_0000;

fn per_operation(start: Instant, count: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

fn timed(count: usize, mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        work();
    }
    per_operation(start, count)
}

/// The same messages as there.
fn with_submit_shares<R>(extranonce: &[u8], f: impl FnOnce(SubmitSharesExtended<'_>) -> R) -> R {
    f(SubmitSharesExtended {
        channel_id: 1,
        sequence_number: 2,
        job_id: 3,
        nonce: 0,
        ntime: 0,
        version: 0,
        extranonce: extranonce.try_into().expect("at most 32 bytes"),
    })
}

fn new_job<'a>(node: &'a [u8; 32], prefix: &'a [u8], suffix: &'a [u8]) -> NewExtendedMiningJob<'a> {
    NewExtendedMiningJob {
        channel_id: 1,
        job_id: 2,
        min_ntime: Sv2Option::new(Some(3)),
        version: 0,
        version_rolling_allowed: false,
        merkle_path: Seq0255::new(vec![node.into(); 12]).expect("at most 255"),
        coinbase_tx_prefix: prefix.try_into().expect("short"),
        coinbase_tx_suffix: suffix.try_into().expect("short"),
    }
}

fn encoded(frame: impl EncodableFrame) -> Vec<u8> {
    let mut bytes = vec![0; frame.encoded_length()];
    frame.encode_into(&mut bytes).expect("encodes");
    bytes
}

/// Header and payload into a buffer that is there; a message is used up by it, so that each needs one of its own.
fn encode<M: Clone + Serialize + GetSize>(message: &M, kind: u8, buffer: &mut [u8]) {
    let frame = MessageFrame::from_message(message.clone(), kind, 0, true).expect("a frame");
    frame.encode_into(black_box(buffer)).expect("encodes");
}

fn submit_frame() -> Vec<u8> {
    with_submit_shares(&[7; 8], |message| encoded(MessageFrame::from_message(message, 0x1b, 0, true).expect("a frame")))
}

fn job_frame() -> Vec<u8> {
    let message = new_job(&[0; 32], &[1; 60], &[2; 120]);
    encoded(MessageFrame::from_message(message, 0x1f, 0, true).expect("a frame"))
}

fn authority() -> ([u8; 32], [u8; 32]) {
    let secret = SecretKey::from_slice(&[0x42; 32]).expect("a key");
    let pair = Keypair::from_secret_key(&Secp256k1::new(), &secret);
    (pair.x_only_public_key().0.serialize(), secret.secret_bytes())
}

fn responder() -> Box<Responder> {
    let (public, secret) = authority();
    Responder::from_authority_kp(&public, &secret, Duration::from_secs(3600)).expect("a responder")
}

fn initiator() -> Box<Initiator> {
    Initiator::from_raw_k(authority().0).expect("an initiator")
}

fn act1_of(message: &codec_sv2::HandshakeMessage) -> [u8; 64] {
    message.payload().try_into().expect("64 bytes")
}

fn act2_of(message: &codec_sv2::HandshakeMessage) -> [u8; 234] {
    message.payload().try_into().expect("234 bytes")
}

fn connected() -> (Transport, Transport) {
    let (act1, sent) = Handshake::initiator(initiator()).step_0().expect("act 1");
    let (act2, server) = Handshake::responder(responder()).step_1(act1_of(&act1)).expect("act 2");
    (sent.step_2(act2_of(&act2)).expect("a session"), server)
}

fn handshake_responder() -> f64 {
    let act1s: Vec<_> =
        (0..HANDSHAKE_COUNT).map(|_| act1_of(&Handshake::initiator(initiator()).step_0().expect("act 1").0)).collect();
    let start = Instant::now();
    for act1 in act1s {
        black_box(Handshake::responder(responder()).step_1(act1).expect("act 2"));
    }
    per_operation(start, HANDSHAKE_COUNT)
}

fn handshake_initiator() -> f64 {
    let mut spent = Duration::ZERO;
    for _ in 0..HANDSHAKE_COUNT {
        let start = Instant::now();
        let (act1, sent) = Handshake::initiator(initiator()).step_0().expect("act 1");
        spent += start.elapsed();
        let act2 = act2_of(&Handshake::responder(responder()).step_1(act1_of(&act1)).expect("act 2").0);
        let start = Instant::now();
        black_box(sent.step_2(act2).expect("a session"));
        spent += start.elapsed();
    }
    spent.as_nanos() as f64 / HANDSHAKE_COUNT as f64
}

/// Whole frames, sealed and opened through the codec as SRI's programs do.
fn seal(mut bytes: Vec<u8>) -> Batch {
    let (client, _server) = connected();
    let (mut encrypt, _) = client.split();
    let mut encoder = NoiseEncoder::new();
    Box::new(move || {
        timed(RECORD_COUNT, || {
            let whole = SerializedFrame::from_bytes(bytes.as_mut_slice()).expect("a frame");
            black_box(encoder.encode_transport(whole, &mut encrypt).expect("sealed"));
        })
    })
}

fn open(frame: Vec<u8>) -> Batch {
    let (client, server) = connected();
    let (mut encrypt, _) = client.split();
    let mut state = Some(server.split().1);
    let (mut encoder, mut decoder) = (NoiseEncoder::new(), NoiseDecoder::new());
    Box::new(move || {
        let sealed: Vec<_> = (0..RECORD_COUNT)
            .map(|_| {
                let whole = SerializedFrame::from_bytes(frame.clone()).expect("a frame");
                encoder.encode_transport(whole, &mut encrypt).expect("sealed")
            })
            .collect();
        let start = Instant::now();
        for record in &sealed {
            let mut bytes: &[u8] = record.as_ref();
            loop {
                match decoder.next_transport_frame(state.take().expect("alive")).expect("opens") {
                    Decrypted::Frame(opened, rest) => {
                        black_box(opened);
                        state = Some(rest);
                        break;
                    }
                    Decrypted::Incomplete(_, rest) => {
                        state = Some(rest);
                        let to = decoder.writable();
                        let (now, later) = bytes.split_at(to.len());
                        to.copy_from_slice(now);
                        bytes = later;
                    }
                }
            }
        }
        per_operation(start, RECORD_COUNT)
    })
}

fn template(path: usize) -> NewTemplateOwned {
    let mut output = vec![0; 8];
    output.push(38);
    output.extend([0x6a; 38]);
    NewTemplateOwned {
        template_id: 1,
        future_template: false,
        version: VERSION,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![3, 0xa0, 0xbb, 0x0d].try_into().expect("short"),
        coinbase_tx_input_sequence: 0xffff_ffff,
        coinbase_tx_value_remaining: 312_500_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: output.try_into().expect("short"),
        coinbase_tx_locktime: 0,
        merkle_path: Seq0255Owned::new(vec![[0u8; 32].into(); path]).expect("short"),
    }
}

fn payout() -> Vec<TxOut> {
    vec![TxOut { value: Amount::from_sat(312_500_000), script_pubkey: ScriptBuf::from(vec![0x14; 22]) }]
}

fn tip() -> SetNewPrevHashOwned {
    SetNewPrevHashOwned {
        template_id: 1,
        prev_hash: [7u8; 32].into(),
        header_timestamp: NTIME,
        n_bits: 0x1700_d7c0,
        target: [0u8; 32].into(),
    }
}

// As many bytes of extranonce as on our side, and hash rates that make every hash a share.
const EXTRANONCE: u8 = 22;
const ROLLABLE: usize = 16;
const SHARES_PER_MINUTE: f32 = 1e18;

fn share_standard() -> f64 {
    let mut allocator = ExtranonceAllocator::new(vec![1], EXTRANONCE, 1 << 16).expect("an allocator");
    let prefix = allocator.allocate_standard().expect("a prefix");
    let mut channel = StandardChannel::new_for_pool(
        2,
        "bench".into(),
        prefix,
        Target::from_le_bytes([0xff; 32]),
        1.0,
        10,
        SHARES_PER_MINUTE,
        "bench".into(),
        None,
    )
    .expect("a channel");
    let mut future = template(0);
    future.future_template = true;
    channel.on_new_template(future, payout()).expect("a job");
    channel.on_set_new_prev_hash(tip()).expect("a tip");
    let job_id = channel.get_active_job().expect("a job").get_job_id();
    let shares: Vec<_> = (0..SHARE_COUNT as u32)
        .map(|n| SubmitSharesStandard {
            channel_id: 2,
            sequence_number: n,
            job_id,
            nonce: n,
            ntime: NTIME,
            version: VERSION | (n << 5 & 0x1fff_ffe0),
        })
        .collect();
    let start = Instant::now();
    for share in shares {
        assert!(matches!(channel.validate_share(share), Ok(ShareValidationResult::Valid(_))));
    }
    per_operation(start, SHARE_COUNT)
}

fn share_extended(path: usize) -> f64 {
    let mut allocator = ExtranonceAllocator::new(vec![1; 3], EXTRANONCE, 1 << 16).expect("an allocator");
    let prefix = allocator.allocate_extended(ROLLABLE).expect("a prefix");
    let rollable = EXTRANONCE as usize - prefix.len();
    let mut channel = ExtendedChannel::new_for_pool(
        2,
        "bench".into(),
        prefix,
        Target::from_le_bytes([0xff; 32]),
        1.0,
        true,
        rollable as u16,
        10,
        SHARES_PER_MINUTE,
        "bench".into(),
        None,
    )
    .expect("a channel");
    let mut future = template(path);
    future.future_template = true;
    channel.on_new_template(future, payout()).expect("a job");
    channel.on_set_new_prev_hash(tip()).expect("a tip");
    let job_id = channel.get_active_job().expect("a job").get_job_id();
    let shares: Vec<_> = (0..SHARE_COUNT as u32)
        .map(|n| {
            let mut extranonce = vec![0; rollable];
            extranonce[..4].copy_from_slice(&n.to_le_bytes());
            SubmitSharesExtendedOwned {
                channel_id: 2,
                sequence_number: n,
                job_id,
                nonce: n,
                ntime: NTIME,
                version: VERSION | (n << 5 & 0x1fff_ffe0),
                extranonce: extranonce.try_into().expect("short"),
            }
        })
        .collect();
    let start = Instant::now();
    for share in shares {
        assert!(matches!(channel.validate_share(share), Ok(ShareValidationResult::Valid(_))));
    }
    per_operation(start, SHARE_COUNT)
}

fn batch_of(key: &str) -> Option<Batch> {
    let (mut submit, mut job) = (submit_frame(), job_frame());
    Some(match key {
        "wire.encode.submit_shares_extended" => Box::new(move || {
            with_submit_shares(&[7; 8], |message| timed(CODEC_COUNT, || encode(black_box(&message), 0x1b, &mut submit)))
        }),
        "wire.decode.submit_shares_extended" => Box::new(move || {
            timed(CODEC_COUNT, || {
                black_box(from_bytes::<SubmitSharesExtended>(&mut black_box(&mut submit)[6..]).expect("decodes"));
            })
        }),
        "wire.encode.new_extended_mining_job" => Box::new(move || {
            let message = new_job(&[0; 32], &[1; 60], &[2; 120]);
            timed(CODEC_COUNT, || encode(black_box(&message), 0x1f, &mut job))
        }),
        "wire.decode.new_extended_mining_job" => Box::new(move || {
            timed(CODEC_COUNT, || {
                black_box(from_bytes::<NewExtendedMiningJob>(&mut black_box(&mut job)[6..]).expect("decodes"));
            })
        }),
        "noise.handshake.responder" => Box::new(handshake_responder),
        "noise.handshake.initiator" => Box::new(handshake_initiator),
        "noise.handshake.both" => Box::new(|| timed(HANDSHAKE_COUNT, || drop(black_box(connected())))),
        "noise.seal.share" => seal(submit),
        "noise.open.share" => open(submit),
        "noise.seal.job" => seal(job),
        "noise.open.job" => open(job),
        "channels.standard" => Box::new(share_standard),
        "channels.extended.path_0" => Box::new(|| share_extended(0)),
        "channels.extended.path_12" => Box::new(|| share_extended(12)),
        _ => return None,
    })
}

pub fn run() -> std::io::Result<()> {
    let mut batches: HashMap<String, Batch> = HashMap::new();
    for line in stdin().lock().lines() {
        let key = line?;
        if !batches.contains_key(&key) {
            let Some(batch) = batch_of(&key) else {
                eprintln!("oracle: no benchmark {key}");
                std::process::exit(2)
            };
            batches.insert(key.clone(), batch);
        }
        let nanoseconds = batches.get_mut(&key).expect("just put there")();
        writeln!(stdout(), "{nanoseconds:.2}")?;
    }
    Ok(())
}
