/* Where each field of the bridge's structures lies, on machines of 64 bits. Every compiler that reads adit_bridge.h holds its C
 * or C++ against this list, and a test of the crate its Rust: a field that is added, moved or resized on one side alone is
 * found before it is run. Included by adit_bridge.h. */
#if UINTPTR_MAX == UINT64_MAX
#ifdef __cplusplus
#define ADIT_LAYOUT_CHECK(condition) static_assert(condition, "the structures of adit_bridge.h and of the crate differ")
#else
#define ADIT_LAYOUT_CHECK(condition) _Static_assert(condition, "the structures of adit_bridge.h and of the crate differ")
#endif
#define ADIT_SIZE(type, bytes) ADIT_LAYOUT_CHECK(sizeof(type) == (bytes))
#define ADIT_OFFSET(type, field, bytes) ADIT_LAYOUT_CHECK(offsetof(type, field) == (bytes))

ADIT_SIZE(adit_bytes, 16);
ADIT_OFFSET(adit_bytes, data, 0);
ADIT_OFFSET(adit_bytes, len, 8);
ADIT_SIZE(adit_event, 16);
ADIT_OFFSET(adit_event, handle, 0);
ADIT_OFFSET(adit_event, ready, 8);
ADIT_OFFSET(adit_event, result, 12);
ADIT_SIZE(adit_relay, 40);
ADIT_OFFSET(adit_relay, url, 0);
ADIT_OFFSET(adit_relay, quic_port, 16);
ADIT_OFFSET(adit_relay, token, 24);
ADIT_SIZE(adit_endpoint_config, 168);
ADIT_OFFSET(adit_endpoint_config, secret_key, 0);
ADIT_OFFSET(adit_endpoint_config, bind_addrs, 8);
ADIT_OFFSET(adit_endpoint_config, bind_addr_count, 16);
ADIT_OFFSET(adit_endpoint_config, relay_mode, 24);
ADIT_OFFSET(adit_endpoint_config, relays, 32);
ADIT_OFFSET(adit_endpoint_config, relay_count, 40);
ADIT_OFFSET(adit_endpoint_config, external_addrs, 48);
ADIT_OFFSET(adit_endpoint_config, external_addr_count, 56);
ADIT_OFFSET(adit_endpoint_config, portmap, 64);
ADIT_OFFSET(adit_endpoint_config, max_bidi_streams, 68);
ADIT_OFFSET(adit_endpoint_config, stream_window, 72);
ADIT_OFFSET(adit_endpoint_config, receive_window, 76);
ADIT_OFFSET(adit_endpoint_config, send_window, 80);
ADIT_OFFSET(adit_endpoint_config, idle_timeout_ms, 84);
ADIT_OFFSET(adit_endpoint_config, keep_alive_ms, 88);
ADIT_OFFSET(adit_endpoint_config, relay_only, 92);
ADIT_OFFSET(adit_endpoint_config, mdns, 96);
ADIT_OFFSET(adit_endpoint_config, relay_ca_file, 104);
ADIT_OFFSET(adit_endpoint_config, dns_origins, 120);
ADIT_OFFSET(adit_endpoint_config, dns_origin_count, 128);
ADIT_OFFSET(adit_endpoint_config, dns_server, 136);
ADIT_OFFSET(adit_endpoint_config, pkarr_relays, 152);
ADIT_OFFSET(adit_endpoint_config, pkarr_relay_count, 160);
ADIT_SIZE(adit_attempt, 156);
ADIT_OFFSET(adit_attempt, source, 0);
ADIT_OFFSET(adit_attempt, remote_id, 120);
ADIT_OFFSET(adit_attempt, relayed, 152);
ADIT_OFFSET(adit_attempt, validated, 154);
ADIT_SIZE(adit_relay_server_config, 136);
ADIT_OFFSET(adit_relay_server_config, http_bind, 0);
ADIT_OFFSET(adit_relay_server_config, https_bind, 16);
ADIT_OFFSET(adit_relay_server_config, cert_file, 32);
ADIT_OFFSET(adit_relay_server_config, key_file, 48);
ADIT_OFFSET(adit_relay_server_config, quic_bind, 64);
ADIT_OFFSET(adit_relay_server_config, metrics_bind, 80);
ADIT_OFFSET(adit_relay_server_config, tokens, 96);
ADIT_OFFSET(adit_relay_server_config, token_count, 104);
ADIT_OFFSET(adit_relay_server_config, max_clients, 112);
ADIT_OFFSET(adit_relay_server_config, max_clients_per_source, 116);
ADIT_OFFSET(adit_relay_server_config, accepts_per_second, 120);
ADIT_OFFSET(adit_relay_server_config, client_bytes_per_second, 124);
ADIT_OFFSET(adit_relay_server_config, client_burst_bytes, 128);
ADIT_SIZE(adit_dial, 56);
ADIT_OFFSET(adit_dial, endpoint_id, 0);
ADIT_OFFSET(adit_dial, addrs, 8);
ADIT_OFFSET(adit_dial, addr_count, 16);
ADIT_OFFSET(adit_dial, relay_url, 24);
ADIT_OFFSET(adit_dial, alpns, 40);
ADIT_OFFSET(adit_dial, alpn_count, 48);
ADIT_SIZE(adit_close_reason, 144);
ADIT_OFFSET(adit_close_reason, code, 0);
ADIT_OFFSET(adit_close_reason, kind, 8);
ADIT_OFFSET(adit_close_reason, reason_len, 12);
ADIT_OFFSET(adit_close_reason, reason, 16);
ADIT_SIZE(adit_path, 144);
ADIT_OFFSET(adit_path, remote, 0);
ADIT_OFFSET(adit_path, rtt_us, 120);
ADIT_OFFSET(adit_path, relayed, 124);
ADIT_OFFSET(adit_path, selected, 125);
ADIT_OFFSET(adit_path, first, 126);
ADIT_OFFSET(adit_path, reserved, 127);
ADIT_OFFSET(adit_path, congestion_window, 128);
ADIT_OFFSET(adit_path, mtu, 132);
ADIT_OFFSET(adit_path, packets_lost, 136);
ADIT_SIZE(adit_connection_info, 1232);
ADIT_OFFSET(adit_connection_info, remote_id, 0);
ADIT_OFFSET(adit_connection_info, bytes_sent, 32);
ADIT_OFFSET(adit_connection_info, bytes_received, 40);
ADIT_OFFSET(adit_connection_info, packets_sent, 48);
ADIT_OFFSET(adit_connection_info, packets_lost, 56);
ADIT_OFFSET(adit_connection_info, moves, 64);
ADIT_OFFSET(adit_connection_info, incoming, 72);
ADIT_OFFSET(adit_connection_info, path_count, 76);
ADIT_OFFSET(adit_connection_info, paths, 80);

#undef ADIT_OFFSET
#undef ADIT_SIZE
#undef ADIT_LAYOUT_CHECK
#endif
