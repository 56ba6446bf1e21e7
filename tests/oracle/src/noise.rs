//! Handshakes with randomness from a tape, and the sessions that come of them.

use crate::pipe::{Reader, Writer};
use crate::Refusal;
use codec_sv2::{
    Decrypted, Handshake, HandshakeMessage, InitiatorSent, NoiseDecoder, NoiseEncoder, Transport, TransportDecryptState,
    TransportEncryptState,
};
use framing_sv2::framing::SerializedFrame;
use noise_sv2::{Initiator, Responder};
use rand::{CryptoRng, RngCore};
use secp256k1::XOnlyPublicKey;
use std::collections::HashMap;

/// Hands out its bytes in order; panics at its end.
struct Tape<'a>(&'a [u8]);

impl RngCore for Tape<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }
    fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }
    fn fill_bytes(&mut self, to: &mut [u8]) {
        let (bytes, rest) = self.0.split_at(to.len());
        to.copy_from_slice(bytes);
        self.0 = rest;
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}
impl CryptoRng for Tape<'_> {}

struct Session {
    encoder: NoiseEncoder,
    encrypt: TransportEncryptState,
    decoder: NoiseDecoder,
    /// None after an error.
    decrypt: Option<TransportDecryptState>,
}

impl Session {
    fn new(transport: Transport) -> Self {
        let (encrypt, decrypt) = transport.split();
        Self { encoder: NoiseEncoder::new(), encrypt, decoder: NoiseDecoder::new(), decrypt: Some(decrypt) }
    }
}

/// By an id that the test chooses.
#[derive(Default)]
pub struct Sessions {
    started: HashMap<u32, Handshake<InitiatorSent>>,
    running: HashMap<u32, Session>,
}

fn payload_of(message: HandshakeMessage) -> Vec<u8> {
    message.payload().to_vec()
}

impl Sessions {
    /// Request: `u32 id | u8 1 and 32 bytes authority, or 0 | tape`. Answer: act 1.
    pub fn initiate(&mut self, reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
        let id = reader.u32()?;
        let authority = match reader.u8()? {
            0 => None,
            _ => Some(XOnlyPublicKey::from_slice(reader.take(32)?).map_err(|e| e.to_string())?),
        };
        let initiator = Initiator::new_with_rng(authority, &mut Tape(reader.blob()?));
        let (act1, sent) = Handshake::initiator(initiator).step_0().map_err(|e| format!("{e:?}"))?;
        self.started.insert(id, sent);
        writer.raw(&payload_of(act1));
        Ok(())
    }

    /// Request: `u32 id | u32 now | act 2`.
    pub fn finish(&mut self, reader: &mut Reader) -> Result<(), Refusal> {
        let (id, now) = (reader.u32()?, reader.u32()?);
        let sent = self.started.remove(&id).ok_or("no such handshake")?;
        let transport = sent.step_2_with_now(reader.array()?, now).map_err(|e| format!("{e:?}"))?;
        self.running.insert(id, Session::new(transport));
        Ok(())
    }

    /// Request: `u32 id | authority's public and secret key | u32 validity | u32 now | act 1 | tape`, the tape holding the
    /// ephemeral secret, the static secret and the signature's randomness. Answer: act 2.
    pub fn respond(&mut self, reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
        let id = reader.u32()?;
        let (public, secret): ([u8; 32], [u8; 32]) = (reader.array()?, reader.array()?);
        let (validity, now) = (reader.u32()?, reader.u32()?);
        let act1 = reader.array()?;
        let mut tape = Tape(reader.blob()?);
        let validity = std::time::Duration::from_secs(validity.into());
        let responder =
            Responder::from_authority_kp_with_rng(&public, &secret, validity, &mut tape).map_err(|e| format!("{e:?}"))?;
        let (act2, transport) =
            Handshake::responder(responder).step_1_with_now_rng(act1, now, &mut tape).map_err(|e| format!("{e:?}"))?;
        self.running.insert(id, Session::new(transport));
        writer.raw(&payload_of(act2));
        Ok(())
    }

    /// Request: `u32 id | frames, each as a blob`. Answer: all of them sealed.
    pub fn seal(&mut self, reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
        let session = self.running.get_mut(&reader.u32()?).ok_or("no such session")?;
        while !reader.is_empty() {
            let frame = SerializedFrame::from_bytes(reader.blob()?.to_vec()).map_err(|e| format!("{e:?}"))?;
            let sealed = session.encoder.encode_transport(frame, &mut session.encrypt).map_err(|e| format!("{e:?}"))?;
            writer.raw(sealed.as_ref());
        }
        Ok(())
    }

    /// Request: `u32 id | sealed bytes`. Answer: the frames that became whole, each as a blob.
    pub fn open(&mut self, reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
        let session = self.running.get_mut(&reader.u32()?).ok_or("no such session")?;
        let mut state = session.decrypt.take().ok_or("an earlier error ended this session")?;
        loop {
            match session.decoder.next_transport_frame(state).map_err(|e| format!("{e:?}"))? {
                Decrypted::Frame(frame, rest) => {
                    writer.blob(frame.as_bytes());
                    state = rest;
                }
                Decrypted::Incomplete(_, rest) => {
                    state = rest;
                    if reader.is_empty() {
                        break;
                    }
                    for byte in session.decoder.writable() {
                        if reader.is_empty() {
                            return Err("the oracle opens whole frames only".into());
                        }
                        *byte = reader.u8()?;
                    }
                }
            }
        }
        session.decrypt = Some(state);
        Ok(())
    }
}
