//! Holds the structures of this crate against `include/adit_bridge_layout.h`, which every C and C++ compiler holds the header's
//! against.

use std::{
    collections::BTreeMap,
    mem::{offset_of, size_of},
};

use crate::{arguments, connection, endpoint, queue};

macro_rules! layout {
    ($($c:literal = $rust:ty { $($field:ident),* $(,)? })*) => {
        BTreeMap::from([$(
            (($c, ""), size_of::<$rust>()),
            $((($c, stringify!($field)), offset_of!($rust, $field)),)*
        )*])
    };
}

/// By structure and field; the field "" is the structure's size.
fn ours() -> BTreeMap<(&'static str, &'static str), usize> {
    layout! {
        "adit_bytes" = arguments::Bytes { data, len }
        "adit_event" = queue::Event { handle, ready, result }
        "adit_relay" = endpoint::Relay { url, quic_port, token }
        "adit_endpoint_config" = endpoint::EndpointConfig { secret_key, bind_addrs, bind_addr_count, relay_mode, relays, relay_count, external_addrs, external_addr_count, portmap, max_bidi_streams, stream_window, receive_window, send_window, idle_timeout_ms, keep_alive_ms, relay_only, mdns, relay_ca_file, dns_origins, dns_origin_count, dns_server, pkarr_relays, pkarr_relay_count }
        "adit_attempt" = endpoint::Attempt { source, remote_id, relayed, validated }
        "adit_relay_server_config" = arguments::RelayServerConfig { http_bind, https_bind, cert_file, key_file, quic_bind, metrics_bind, tokens, token_count, max_clients, max_clients_per_source, accepts_per_second, client_bytes_per_second, client_burst_bytes }
        "adit_dial" = arguments::DialTarget { endpoint_id, addrs, addr_count, relay_url, alpns, alpn_count }
        "adit_close_reason" = connection::CloseReason { code, kind, reason_len, reason }
        "adit_path" = connection::PathInfo { remote, rtt_us, relayed, selected, first, reserved, congestion_window, mtu, packets_lost }
        "adit_connection_info" = connection::ConnectionInfo { remote_id, bytes_sent, bytes_received, packets_sent, packets_lost, moves, incoming, path_count, paths }
    }
}

#[test]
fn the_structures_lie_in_memory_as_the_header_says() {
    let mut theirs = BTreeMap::new();
    for line in include_str!("../include/adit_bridge_layout.h").lines() {
        let Some((kind, rest)) = line.trim_end_matches(");").split_once('(') else { continue };
        let parts: Vec<&str> = rest.split(", ").collect();
        match (kind, parts.as_slice()) {
            ("ADIT_SIZE", [name, bytes]) => theirs.insert((*name, ""), bytes.parse().unwrap()),
            ("ADIT_OFFSET", [name, field, bytes]) => theirs.insert((*name, *field), bytes.parse().unwrap()),
            _ => None,
        };
    }
    assert_eq!(ours(), theirs);
}
