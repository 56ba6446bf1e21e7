//! sri-client HOST:PORT AUTHORITY USER WORKER HASH_RATE
//!
//! Opens an extended channel with worker identities (extension 0x0002), mines on it one share after the other, validates
//! each with channels_sv2 before it is sent, and dials again when the pool is gone. After three accepted shares it asks for a
//! target change (UpdateChannel). Every event is one line of standard output: `event key=value ...`.

use std::convert::TryInto;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::Duration;

use stratum_core::bitcoin::Target;
use stratum_core::channels_sv2::client::extended::ExtendedChannel;
use stratum_core::channels_sv2::client::share_accounting::ShareValidationResult;
use stratum_core::channels_sv2::extranonce_manager::ExtranoncePrefix;
use stratum_core::codec_sv2::{
    Decrypted, EncodableFrame, Handshake, MessageFrame, NoiseDecoder, NoiseEncoder, SerializedFrame,
    TransportDecryptState, TransportEncryptState,
};
use stratum_core::common_messages_sv2::{Protocol, SetupConnectionOwned};
use stratum_core::extensions_sv2::{
    RequestExtensionsOwned, UserIdentity, EXTENSION_TYPE_EXTENSIONS_NEGOTIATION,
    EXTENSION_TYPE_WORKER_HASHRATE_TRACKING, MESSAGE_TYPE_REQUEST_EXTENSIONS,
};
use stratum_core::framing_sv2::header::Header;
use stratum_core::mining_sv2::{OpenExtendedMiningChannelOwned, SubmitSharesExtendedOwned, UpdateChannelOwned};
use stratum_core::noise_sv2::{Initiator, INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE};
use stratum_core::parsers_sv2::{
    AnyMessage, AnyMessageOwned, CommonMessagesOwned, ExtensionsNegotiationOwned, ExtensionsOwned, IsSv2Message, MiningOwned,
    TlvField, TlvList,
};

type Failure = Box<dyn std::error::Error>;
type Frame = (Header, Vec<u8>);

const TRIES_AT_ONCE: u32 = 2_000;
const BETWEEN_SHARES: Duration = Duration::from_millis(100);
const BETWEEN_DIALS: Duration = Duration::from_millis(500);
const SHARES_BEFORE_UPDATE: u64 = 3;

struct Options {
    address: String,
    authority: [u8; 32],
    user: String,
    worker: String,
    hash_rate: f32,
}

struct Connection {
    stream: TcpStream,
    encoder: NoiseEncoder,
    encrypt: TransportEncryptState,
    received: Receiver<Result<Frame, String>>,
}

impl Connection {
    fn dial(options: &Options) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(&options.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let initiator = Initiator::from_raw_k(options.authority).map_err(debug)?;
        let (first, handshake) = Handshake::initiator(initiator).step_0().map_err(debug)?;
        stream.write_all(first.payload())?;
        let mut answer = [0u8; INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE];
        stream.read_exact(&mut answer)?;
        let (encrypt, decrypt) = handshake.step_2(answer).map_err(debug)?.split();
        stream.set_read_timeout(None)?;

        let reader = stream.try_clone()?;
        let (sender, received) = channel();
        std::thread::spawn(move || {
            let mut reader = reader;
            let mut decoder = NoiseDecoder::new();
            let mut state = Some(decrypt);
            loop {
                let frame = read_frame(&mut reader, &mut decoder, &mut state);
                let ended = frame.is_err();
                if sender.send(frame).is_err() || ended {
                    return;
                }
            }
        });
        Ok(Connection { stream, encoder: NoiseEncoder::new(), encrypt, received })
    }

    fn send<F: EncodableFrame>(&mut self, frame: F) -> Result<(), Failure> {
        let bytes = self.encoder.encode_transport(frame, &mut self.encrypt).map_err(debug)?;
        self.stream.write_all(bytes.as_ref())?;
        Ok(())
    }

    fn send_mining(&mut self, message: MiningOwned, worker: Option<&str>) -> Result<(), Failure> {
        let tlvs = match worker {
            Some(name) => TlvList::from_slice(&[UserIdentity::new(name)?.to_tlv().map_err(debug)?]).map_err(debug)?,
            None => TlvList::from_slice(&[]).map_err(debug)?,
        };
        let bytes = tlvs.build_frame_bytes_with_tlvs(message).map_err(debug)?;
        self.send(SerializedFrame::from_bytes(bytes).map_err(debug)?)
    }

    /// The next message, or nothing within `patience`.
    fn receive(&mut self, patience: Duration) -> Result<Option<AnyMessageOwned>, Failure> {
        match self.received.recv_timeout(patience) {
            Ok(Ok((header, mut payload))) => {
                let message: AnyMessage = (header, payload.as_mut_slice()).try_into().map_err(debug)?;
                Ok(Some(message.into_owned()))
            }
            Ok(Err(failure)) => Err(failure.into()),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the reader ended".into()),
        }
    }

    fn expect(&mut self) -> Result<AnyMessageOwned, Failure> {
        self.receive(Duration::from_secs(20))?.ok_or_else(|| "no answer within 20 s".into())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn debug<E: std::fmt::Debug>(error: E) -> Failure {
    format!("{error:?}").into()
}

fn read_frame(
    reader: &mut TcpStream,
    decoder: &mut NoiseDecoder,
    state: &mut Option<TransportDecryptState>,
) -> Result<Frame, String> {
    loop {
        reader.read_exact(decoder.writable()).map_err(|error| error.to_string())?;
        let decrypt = state.take().ok_or("the decryption state was lost")?;
        match decoder.next_transport_frame(decrypt).map_err(|error| format!("{error:?}"))? {
            Decrypted::Frame(mut frame, next) => {
                *state = Some(next);
                return Ok((frame.header(), frame.payload().to_vec()));
            }
            Decrypted::Incomplete(_, next) => *state = Some(next),
        }
    }
}

/// What one connection has come to.
struct Miner {
    channel: ExtendedChannel,
    channel_id: u32,
    group_id: u32,
    next_nonce: u32,
    sequence_number: u32,
    accepted: u64,
    answered: bool,
    updated: bool,
    dead: Option<String>,
}

impl Miner {
    fn is_ours(&self, id: u32) -> bool {
        id == self.channel_id || id == self.group_id
    }

    fn on(&mut self, message: MiningOwned) -> Result<(), Failure> {
        match message {
            MiningOwned::NewExtendedMiningJob(m) if self.is_ours(m.channel_id) => {
                println!("job id={} future={}", m.job_id, m.min_ntime.as_ref().is_none());
                self.channel.on_new_extended_mining_job(m).map_err(debug)?;
                self.next_nonce = 0;
            }
            MiningOwned::SetNewPrevHash(m) if self.is_ours(m.channel_id) => {
                println!("tip job={}", m.job_id);
                self.channel.on_set_new_prev_hash(m).map_err(debug)?;
                self.next_nonce = 0;
            }
            MiningOwned::SetTarget(m) if self.is_ours(m.channel_id) => {
                let target = target_of(m.maximum_target.as_bytes())?;
                println!("target value={target:x}");
                self.channel.set_target(target).map_err(debug)?;
            }
            MiningOwned::SubmitSharesSuccess(m) if self.is_ours(m.channel_id) => {
                self.accepted += u64::from(m.new_submits_accepted_count);
                self.answered = true;
                println!("accepted count={} work={}", m.new_submits_accepted_count, m.new_shares_sum);
            }
            MiningOwned::SubmitSharesError(m) if self.is_ours(m.channel_id) => {
                self.answered = true;
                println!("rejected code={}", String::from_utf8_lossy(m.error_code.as_bytes()));
            }
            MiningOwned::UpdateChannelError(m) => println!("update_refused code={}", String::from_utf8_lossy(m.error_code.as_bytes())),
            MiningOwned::CloseChannel(m) if self.is_ours(m.channel_id) => self.dead = Some("the pool closed the channel".into()),
            MiningOwned::SetExtranoncePrefix(m) if self.is_ours(m.channel_id) => {
                println!("prefix");
                let prefix = ExtranoncePrefix::from_wire(m.extranonce_prefix.as_bytes().to_vec()).map_err(debug)?;
                self.channel.set_extranonce_prefix(prefix).map_err(debug)?;
            }
            other => println!("ignored message={other}"),
        }
        Ok(())
    }

    /// Tries some nonces; a share that SRI's own rules accept.
    fn search(&mut self) -> Option<(SubmitSharesExtendedOwned, bool)> {
        let job = self.channel.get_active_job()?;
        let (job_id, version) = (job.job_message.job_id, job.job_message.version);
        let ntime = *job.job_message.min_ntime.as_ref()?;
        let extranonce = vec![0u8; usize::from(self.channel.get_rollable_extranonce_size())];
        for _ in 0..TRIES_AT_ONCE {
            let share = SubmitSharesExtendedOwned {
                channel_id: self.channel_id,
                sequence_number: self.sequence_number,
                job_id,
                nonce: self.next_nonce,
                ntime,
                version,
                extranonce: extranonce.clone().try_into().ok()?,
            };
            self.next_nonce = self.next_nonce.wrapping_add(1);
            match self.channel.validate_share(share.clone()) {
                Ok(ShareValidationResult::Valid(_)) => return Some((share, false)),
                Ok(ShareValidationResult::BlockFound(_)) => return Some((share, true)),
                Err(_) => {}
            }
        }
        None
    }
}

fn target_of(little_endian: &[u8]) -> Result<Target, Failure> {
    Ok(Target::from_le_bytes(little_endian.try_into()?))
}

fn set_up(connection: &mut Connection, options: &Options) -> Result<(), Failure> {
    let (host, port) = options.address.rsplit_once(':').ok_or("HOST:PORT")?;
    let setup = SetupConnectionOwned {
        protocol: Protocol::MiningProtocol,
        min_version: 2,
        max_version: 2,
        flags: 0,
        endpoint_host: host.to_string().try_into().map_err(debug)?,
        endpoint_port: port.parse()?,
        vendor: "SRI".to_string().try_into().map_err(debug)?,
        hardware_version: String::new().try_into().map_err(debug)?,
        firmware: String::new().try_into().map_err(debug)?,
        device_id: String::new().try_into().map_err(debug)?,
    };
    let setup = CommonMessagesOwned::SetupConnection(setup);
    let (kind, bit) = (setup.message_type(), setup.channel_bit());
    connection.send(MessageFrame::from_message(setup, kind, 0, bit).map_err(debug)?)?;
    match connection.expect()? {
        AnyMessageOwned::Common(CommonMessagesOwned::SetupConnectionSuccess(m)) => println!("set_up version={}", m.used_version),
        other => return Err(format!("instead of SetupConnection.Success: {other:?}").into()),
    }
    let request = RequestExtensionsOwned {
        request_id: 7,
        requested_extensions: vec![EXTENSION_TYPE_WORKER_HASHRATE_TRACKING].try_into().map_err(debug)?,
    };
    connection.send(
        MessageFrame::from_message(request, MESSAGE_TYPE_REQUEST_EXTENSIONS, EXTENSION_TYPE_EXTENSIONS_NEGOTIATION, false)
            .map_err(debug)?,
    )?;
    match connection.expect()? {
        AnyMessageOwned::Extensions(ExtensionsOwned::ExtensionsNegotiation(
            ExtensionsNegotiationOwned::RequestExtensionsSuccess(m),
        )) => println!("extensions request={} supported={:?}", m.request_id, m.supported_extensions.as_slice()),
        other => return Err(format!("instead of RequestExtensions.Success: {other:?}").into()),
    }
    Ok(())
}

fn open(connection: &mut Connection, options: &Options) -> Result<Miner, Failure> {
    let open = OpenExtendedMiningChannelOwned {
        request_id: 1,
        user_identity: options.user.clone().try_into().map_err(debug)?,
        nominal_hash_rate: options.hash_rate,
        max_target: [0xffu8; 32].into(),
        min_extranonce_size: 8,
    };
    connection.send_mining(MiningOwned::OpenExtendedMiningChannel(open), None)?;
    let opened = match connection.expect()? {
        AnyMessageOwned::Mining(MiningOwned::OpenExtendedMiningChannelSuccess(m)) => m,
        other => return Err(format!("instead of OpenExtendedMiningChannel.Success: {other:?}").into()),
    };
    println!("opened channel={} group={} extranonce_size={}", opened.channel_id, opened.group_channel_id, opened.extranonce_size);
    let channel = ExtendedChannel::new(
        opened.channel_id,
        options.user.clone(),
        ExtranoncePrefix::from_wire(opened.extranonce_prefix.as_bytes().to_vec()).map_err(debug)?,
        target_of(opened.target.as_bytes())?,
        options.hash_rate,
        true,
        opened.extranonce_size,
        None,
    )
    .map_err(debug)?;
    Ok(Miner {
        channel,
        channel_id: opened.channel_id,
        group_id: opened.group_channel_id,
        next_nonce: 0,
        sequence_number: 1,
        accepted: 0,
        answered: true,
        updated: false,
        dead: None,
    })
}

fn mine(options: &Options) -> Result<(), Failure> {
    let mut connection = Connection::dial(options)?;
    set_up(&mut connection, options)?;
    let mut miner = open(&mut connection, options)?;
    loop {
        // Everything that has come is heard before the next share.
        let mut patience = if miner.answered { Duration::ZERO } else { Duration::from_secs(20) };
        while let Some(message) = connection.receive(patience)? {
            match message {
                AnyMessageOwned::Mining(message) => miner.on(message)?,
                other => println!("ignored message={other:?}"),
            }
            if let Some(reason) = miner.dead.take() {
                return Err(reason.into());
            }
            patience = if miner.answered { Duration::ZERO } else { patience };
        }
        if !miner.answered {
            return Err("no answer to a share within 20 s".into());
        }
        if miner.accepted >= SHARES_BEFORE_UPDATE && !miner.updated {
            miner.updated = true;
            let update = UpdateChannelOwned {
                channel_id: miner.channel_id,
                nominal_hash_rate: options.hash_rate * 2.0,
                maximum_target: [0xffu8; 32].into(),
            };
            connection.send_mining(MiningOwned::UpdateChannel(update), None)?;
        }
        if let Some((share, block)) = miner.search() {
            println!("share sequence={} job={} block={block}", share.sequence_number, share.job_id);
            connection.send_mining(MiningOwned::SubmitSharesExtended(share), Some(&options.worker))?;
            miner.sequence_number += 1;
            miner.answered = false;
            std::thread::sleep(BETWEEN_SHARES);
        } else if miner.channel.get_active_job().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn options() -> Result<Options, Failure> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [address, authority, user, worker, hash_rate] = given.as_slice() else {
        return Err("usage: sri-client HOST:PORT AUTHORITY USER WORKER HASH_RATE".into());
    };
    let key = bs58::decode(authority).with_check(None).into_vec()?;
    Ok(Options {
        address: address.clone(),
        authority: key.get(2..).ok_or("the authority's key is too short")?.try_into()?,
        user: user.clone(),
        worker: worker.clone(),
        hash_rate: hash_rate.parse()?,
    })
}

fn main() {
    let options = options().unwrap_or_else(|error| {
        eprintln!("sri-client: {error}");
        std::process::exit(2)
    });
    loop {
        if let Err(error) = mine(&options) {
            println!("disconnected reason={error}");
        }
        std::thread::sleep(BETWEEN_DIALS);
    }
}
