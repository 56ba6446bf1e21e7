//! Messages: from named values to SRI's bytes and back. A value is its own encoding, which has nothing to do with SV2's: an
//! integer is 8 bytes, a float its bits, bytes and text are themselves, an option is empty or one value, a list is its values,
//! each as `u32 length | bytes`.

use crate::pipe::{Reader, Writer};
use crate::Refusal;
use binary_sv2::{B016MOwned, B032Owned, B064KOwned, Seq0255Owned, Seq064KOwned, Str0255Owned, Sv2OptionOwned, U256Owned};
use codec_sv2::{Encoder, MessageFrame};
use common_messages_sv2::Protocol;
use extensions_sv2::*;
use framing_sv2::framing::SerializedFrame;
use parsers_sv2::*;
use std::collections::HashMap;

trait Value: Sized {
    fn read(from: &[u8]) -> Result<Self, Refusal>;
    fn write(&self) -> Vec<u8>;
}

fn number(from: &[u8]) -> Result<u64, Refusal> {
    Ok(u64::from_le_bytes(from.try_into().map_err(|_| "a number has 8 bytes")?))
}

macro_rules! numbers {
    ($($type:ty),*) => { $(impl Value for $type {
        fn read(from: &[u8]) -> Result<Self, Refusal> {
            number(from)?.try_into().map_err(|_| "a number is too large for its type".into())
        }
        fn write(&self) -> Vec<u8> {
            u64::from(*self).to_le_bytes().to_vec()
        }
    })* };
}
numbers!(u8, u16, u32, u64);

impl Value for bool {
    fn read(from: &[u8]) -> Result<Self, Refusal> {
        Ok(number(from)? != 0)
    }
    fn write(&self) -> Vec<u8> {
        u64::from(*self).to_le_bytes().to_vec()
    }
}

impl Value for f32 {
    fn read(from: &[u8]) -> Result<Self, Refusal> {
        Ok(f32::from_bits(number(from)? as u32))
    }
    fn write(&self) -> Vec<u8> {
        u64::from(self.to_bits()).to_le_bytes().to_vec()
    }
}

impl Value for Protocol {
    fn read(from: &[u8]) -> Result<Self, Refusal> {
        u8::read(from)?.try_into().map_err(|_| "no such protocol".into())
    }
    fn write(&self) -> Vec<u8> {
        (*self as u8).write()
    }
}

// Str0255 and B0255 are one type there.
macro_rules! byte_strings {
    ($($type:ty),*) => { $(impl Value for $type {
        fn read(from: &[u8]) -> Result<Self, Refusal> {
            from.to_vec().try_into().map_err(|e| format!("{e:?}"))
        }
        fn write(&self) -> Vec<u8> {
            self.as_bytes().to_vec()
        }
    })* };
}
byte_strings!(U256Owned, B032Owned, Str0255Owned, B064KOwned, B016MOwned);

impl Value for Sv2OptionOwned<u32> {
    fn read(from: &[u8]) -> Result<Self, Refusal> {
        Ok(Self::new(if from.is_empty() { None } else { Some(u32::read(from)?) }))
    }
    fn write(&self) -> Vec<u8> {
        self.clone().into_inner().map_or(vec![], |value| value.write())
    }
}

macro_rules! lists {
    ($($type:ident),*) => { $(impl<T: Value> Value for $type<T> {
        fn read(from: &[u8]) -> Result<Self, Refusal> {
            let (mut reader, mut elements) = (Reader::new(from), vec![]);
            while !reader.is_empty() {
                elements.push(T::read(reader.blob()?)?);
            }
            Self::new(elements).map_err(|e| format!("{e:?}"))
        }
        fn write(&self) -> Vec<u8> {
            let mut writer = Writer::default();
            for element in self.iter() {
                writer.blob(&element.write());
            }
            writer.bytes
        }
    })* };
}
lists!(Seq0255Owned, Seq064KOwned);

type Fields<'a> = HashMap<&'a [u8], &'a [u8]>;

fn field<T: Value>(fields: &mut Fields, name: &str) -> Result<T, Refusal> {
    T::read(fields.remove(name.as_bytes()).ok_or_else(|| format!("no field {name}"))?).map_err(|e| format!("{name}: {e}"))
}

// What a message is wrapped in; serves as a pattern and as an expression.
macro_rules! wrapped {
    (Common $name:ident $inner:tt) => { AnyMessageOwned::Common(CommonMessagesOwned::$name $inner) };
    (Mining $name:ident $inner:tt) => { AnyMessageOwned::Mining(MiningOwned::$name $inner) };
    (JobDeclaration $name:ident $inner:tt) => { AnyMessageOwned::JobDeclaration(JobDeclarationOwned::$name $inner) };
    (TemplateDistribution $name:ident $inner:tt) => { AnyMessageOwned::TemplateDistribution(TemplateDistributionOwned::$name $inner) };
    (Extensions $name:ident $inner:tt) => {
        AnyMessageOwned::Extensions(ExtensionsOwned::ExtensionsNegotiation(ExtensionsNegotiationOwned::$name $inner))
    };
}

macro_rules! name_of {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

// `field = "name"` where the specification's name is another.
macro_rules! messages {
    ($( ($extension:literal, $type:literal) $group:ident $name:ident $owned:path { $($field:ident $(= $specified:literal)?),* } )*) => {
        fn message(extension: u16, message_type: u8, fields: &mut Fields) -> Result<AnyMessageOwned, Refusal> {
            match (extension, message_type) {
                $( ($extension, $type) => {
                    type Owned = $owned;
                    let made = Owned { $( $field: field(fields, name_of!($field $($specified)?))? ),* };
                    Ok(wrapped!($group $name (made)))
                } )*
                _ => Err("no such message".into()),
            }
        }
        fn fields_of(message: AnyMessageOwned) -> Vec<(&'static str, Vec<u8>)> {
            match message {
                $( wrapped!($group $name (made)) => vec![ $( (name_of!($field $($specified)?), made.$field.write()) ),* ], )*
            }
        }
    };
}

messages! {
    (0, 0x00) Common SetupConnection common_messages_sv2::SetupConnectionOwned { protocol, min_version, max_version, flags, endpoint_host, endpoint_port, vendor, hardware_version, firmware, device_id }
    (0, 0x01) Common SetupConnectionSuccess common_messages_sv2::SetupConnectionSuccessOwned { used_version, flags }
    (0, 0x02) Common SetupConnectionError common_messages_sv2::SetupConnectionErrorOwned { flags, error_code }
    (0, 0x03) Common ChannelEndpointChanged common_messages_sv2::ChannelEndpointChangedOwned { channel_id }
    (0, 0x04) Common Reconnect common_messages_sv2::ReconnectOwned { new_host, new_port }
    (0, 0x10) Mining OpenStandardMiningChannel mining_sv2::OpenStandardMiningChannelOwned { request_id, user_identity, nominal_hash_rate, max_target }
    (0, 0x11) Mining OpenStandardMiningChannelSuccess mining_sv2::OpenStandardMiningChannelSuccessOwned { request_id, channel_id, target, extranonce_prefix, group_channel_id }
    (0, 0x12) Mining OpenMiningChannelError mining_sv2::OpenMiningChannelErrorOwned { request_id, error_code }
    (0, 0x13) Mining OpenExtendedMiningChannel mining_sv2::OpenExtendedMiningChannelOwned { request_id, user_identity, nominal_hash_rate, max_target, min_extranonce_size }
    (0, 0x14) Mining OpenExtendedMiningChannelSuccess mining_sv2::OpenExtendedMiningChannelSuccessOwned { request_id, channel_id, target, extranonce_size, extranonce_prefix, group_channel_id }
    (0, 0x15) Mining NewMiningJob mining_sv2::NewMiningJobOwned { channel_id, job_id, min_ntime, version, merkle_root }
    (0, 0x16) Mining UpdateChannel mining_sv2::UpdateChannelOwned { channel_id, nominal_hash_rate, maximum_target }
    (0, 0x17) Mining UpdateChannelError mining_sv2::UpdateChannelErrorOwned { channel_id, error_code }
    (0, 0x18) Mining CloseChannel mining_sv2::CloseChannelOwned { channel_id, reason_code }
    (0, 0x19) Mining SetExtranoncePrefix mining_sv2::SetExtranoncePrefixOwned { channel_id, extranonce_prefix }
    (0, 0x1a) Mining SubmitSharesStandard mining_sv2::SubmitSharesStandardOwned { channel_id, sequence_number, job_id, nonce, ntime, version }
    (0, 0x1b) Mining SubmitSharesExtended mining_sv2::SubmitSharesExtendedOwned { channel_id, sequence_number, job_id, nonce, ntime, version, extranonce }
    (0, 0x1c) Mining SubmitSharesSuccess mining_sv2::SubmitSharesSuccessOwned { channel_id, last_sequence_number, new_submits_accepted_count, new_shares_sum }
    (0, 0x1d) Mining SubmitSharesError mining_sv2::SubmitSharesErrorOwned { channel_id, sequence_number, error_code }
    (0, 0x1f) Mining NewExtendedMiningJob mining_sv2::NewExtendedMiningJobOwned { channel_id, job_id, min_ntime, version, version_rolling_allowed, merkle_path, coinbase_tx_prefix, coinbase_tx_suffix }
    (0, 0x20) Mining SetNewPrevHash mining_sv2::SetNewPrevHashOwned { channel_id, job_id, prev_hash, min_ntime, nbits }
    (0, 0x21) Mining SetTarget mining_sv2::SetTargetOwned { channel_id, maximum_target }
    (0, 0x22) Mining SetCustomMiningJob mining_sv2::SetCustomMiningJobOwned { channel_id, request_id, token = "mining_job_token", version, prev_hash, min_ntime, nbits, coinbase_tx_version, coinbase_prefix, coinbase_tx_input_n_sequence, coinbase_tx_outputs, coinbase_tx_locktime, merkle_path }
    (0, 0x23) Mining SetCustomMiningJobSuccess mining_sv2::SetCustomMiningJobSuccessOwned { channel_id, request_id, job_id }
    (0, 0x24) Mining SetCustomMiningJobError mining_sv2::SetCustomMiningJobErrorOwned { channel_id, request_id, error_code }
    (0, 0x25) Mining SetGroupChannel mining_sv2::SetGroupChannelOwned { group_channel_id, channel_ids }
    (0, 0x50) JobDeclaration AllocateMiningJobToken job_declaration_sv2::AllocateMiningJobTokenOwned { user_identifier, request_id }
    (0, 0x51) JobDeclaration AllocateMiningJobTokenSuccess job_declaration_sv2::AllocateMiningJobTokenSuccessOwned { request_id, mining_job_token, coinbase_outputs = "coinbase_tx_outputs" }
    (0, 0x55) JobDeclaration ProvideMissingTransactions job_declaration_sv2::ProvideMissingTransactionsOwned { request_id, unknown_tx_position_list }
    (0, 0x56) JobDeclaration ProvideMissingTransactionsSuccess job_declaration_sv2::ProvideMissingTransactionsSuccessOwned { request_id, transaction_list }
    (0, 0x57) JobDeclaration DeclareMiningJob job_declaration_sv2::DeclareMiningJobOwned { request_id, mining_job_token, version, coinbase_tx_prefix, coinbase_tx_suffix, wtxid_list, excess_data }
    (0, 0x58) JobDeclaration DeclareMiningJobSuccess job_declaration_sv2::DeclareMiningJobSuccessOwned { request_id, new_mining_job_token }
    (0, 0x59) JobDeclaration DeclareMiningJobError job_declaration_sv2::DeclareMiningJobErrorOwned { request_id, error_code, error_details }
    (0, 0x60) JobDeclaration PushSolution job_declaration_sv2::PushSolutionOwned { extranonce, prev_hash, nonce, ntime, nbits, version }
    (0, 0x70) TemplateDistribution CoinbaseOutputConstraints template_distribution_sv2::CoinbaseOutputConstraintsOwned { coinbase_output_max_additional_size, coinbase_output_max_additional_sigops }
    (0, 0x71) TemplateDistribution NewTemplate template_distribution_sv2::NewTemplateOwned { template_id, future_template, version, coinbase_tx_version, coinbase_prefix, coinbase_tx_input_sequence, coinbase_tx_value_remaining, coinbase_tx_outputs_count, coinbase_tx_outputs, coinbase_tx_locktime, merkle_path }
    (0, 0x72) TemplateDistribution SetNewPrevHash template_distribution_sv2::SetNewPrevHashOwned { template_id, prev_hash, header_timestamp, n_bits, target }
    (0, 0x73) TemplateDistribution RequestTransactionData template_distribution_sv2::RequestTransactionDataOwned { template_id }
    (0, 0x74) TemplateDistribution RequestTransactionDataSuccess template_distribution_sv2::RequestTransactionDataSuccessOwned { template_id, excess_data, transaction_list }
    (0, 0x75) TemplateDistribution RequestTransactionDataError template_distribution_sv2::RequestTransactionDataErrorOwned { template_id, error_code }
    (0, 0x76) TemplateDistribution SubmitSolution template_distribution_sv2::SubmitSolutionOwned { template_id, version, header_timestamp, header_nonce, coinbase_tx }
    (1, 0x00) Extensions RequestExtensions extensions_sv2::RequestExtensionsOwned { request_id, requested_extensions }
    (1, 0x01) Extensions RequestExtensionsSuccess extensions_sv2::RequestExtensionsSuccessOwned { request_id, supported_extensions }
    (1, 0x02) Extensions RequestExtensionsError extensions_sv2::RequestExtensionsErrorOwned { request_id, unsupported_extensions, required_extensions }
}

/// Request: `u16 extension | u8 type | u16 count | count x (u8 length, name, value as blob)`, then TLV fields: `u16 extension |
/// u8 field | blob`. Answer: the frame.
pub fn encode(reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
    let (extension, message_type, count) = (reader.u16()?, reader.u8()?, reader.u16()?);
    let mut fields = Fields::new();
    for _ in 0..count {
        let length = reader.u8()? as usize;
        fields.insert(reader.take(length)?, reader.blob()?);
    }
    let made = message(extension, message_type, &mut fields)?;
    if !fields.is_empty() {
        return Err(format!("{} fields too many", fields.len()));
    }
    let mut tlvs = vec![];
    while !reader.is_empty() {
        tlvs.push(Tlv::new(reader.u16()?, reader.u8()?, reader.blob()?.to_vec()));
    }
    if tlvs.is_empty() {
        let (kind, channel_bit) = (made.message_type(), made.channel_bit());
        let frame = MessageFrame::from_message(made, kind, extension, channel_bit).map_err(|e| format!("{e:?}"))?;
        writer.raw(Encoder::new().encode(frame).map_err(|e| format!("{e:?}"))?.as_ref());
    } else {
        let list = TlvList::from_slice(&tlvs).map_err(|e| format!("{e:?}"))?;
        writer.raw(&list.build_frame_bytes_with_tlvs(made).map_err(|e| format!("{e:?}"))?);
    }
    Ok(())
}

/// Request: a frame. Answer: `u16 count | count x (u8 length, name, value as blob)`, then the TLV fields of extension 2, as above.
pub fn decode(reader: &mut Reader, writer: &mut Writer) -> Result<(), Refusal> {
    let mut frame = SerializedFrame::from_bytes(reader.rest().to_vec()).map_err(|e| format!("{e:?}"))?;
    let header = frame.header();
    let (message, tlvs) = parse_message_frame_with_tlvs(header, frame.payload(), &[EXTENSION_TYPE_WORKER_HASHRATE_TRACKING])
        .map_err(|e| format!("{e:?}"))?;
    let fields = fields_of(message.into_owned());
    writer.raw(&(fields.len() as u16).to_le_bytes());
    for (name, value) in fields {
        writer.raw(&[name.len() as u8]);
        writer.raw(name.as_bytes());
        writer.blob(&value);
    }
    for tlv in tlvs.unwrap_or_default() {
        writer.raw(&tlv.r#type.extension_type.to_le_bytes());
        writer.raw(&[tlv.r#type.field_type]);
        writer.blob(&tlv.value);
    }
    Ok(())
}
