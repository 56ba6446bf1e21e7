/* adit_bridge.h: iroh (QUIC dialled by public key) behind a readiness interface in C.
 *
 * The model is that of non-blocking sockets. Streams are polled by the caller; where nothing can be done the call answers
 * ADIT_AGAIN and an event says later that it is worth trying again. Everything else (bind, dial, accept, open, close) runs
 * inside the bridge and completes as an event, within the deadline it was given.
 *
 * Handles. A handle is a number with a generation, never a pointer, and never 0. A call that starts something gives its
 * handle at once; the event ADIT_READY_DONE for that handle says how it went. adit_release ends any handle at any time: what
 * was under way is cancelled and no further event names the handle. A released handle answers ADIT_STALE for ever.
 *
 * Loops. A handle lives on one loop, whose events are taken by one thread. The loop's descriptor turns readable when there
 * are events. At most one event per handle waits at any time, so a queue can never overflow: its size is set when the loop is
 * made, and a handle for which there is no room is refused with ADIT_OVERLOADED.
 *
 * Threads. Any function may be called from any thread; one stream's reads belong to one thread at a time, and so do its
 * writes. No function blocks, except adit_runtime_stop and, for microseconds, on a connection's lock.
 * Do not fork after adit_runtime_start. Descriptors are close-on-exec.
 *
 * Memory. Nothing passed in is kept after the call; nothing returned is owned by the caller but the handle.
 * Text is UTF-8 and not terminated; functions that fill (buffer, capacity) return the whole length, which may be more than
 * was written. */
#ifndef ADIT_BRIDGE_H
#define ADIT_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call or an operation came to. Zero or more is success; each failure says what to do next. Any function may return
 * ADIT_PANIC; the functions' own lists leave it out. */
typedef enum adit_result {
  ADIT_OK = 0,
  ADIT_AGAIN = -1,      /* nothing can be done now: wait for the handle's event */
  ADIT_FIN = -2,        /* the peer finished its side and every byte was read */
  ADIT_RESET = -3,      /* the peer abandoned what it was sending, with a code */
  ADIT_STOPPED = -4,    /* the peer wants no more of what we send, with a code */
  ADIT_CLOSED = -5,     /* the connection (or endpoint) has ended: see adit_connection_close_reason */
  ADIT_STALE = -6,      /* no such handle, or of another kind, or not ready for this call: the caller's mistake */
  ADIT_INVALID = -7,    /* an argument is wrong: fix the configuration; adit_error_text says which */
  ADIT_OVERLOADED = -8, /* a bound was reached: try again later */
  ADIT_TIMED_OUT = -9,  /* the deadline passed first: try again or fall back */
  ADIT_NO_ROUTE = -10,  /* neither an address nor a usable relay was given, and no lookup knows the id: fix the configuration */
  ADIT_UNREACHABLE = -11,    /* there were addresses, none answered: try again or fall back */
  ADIT_REFUSED = -12,        /* the peer is there and takes no connection now: back off, try again */
  ADIT_WRONG_PROTOCOL = -13, /* the peer speaks none of the ALPNs, or no QUIC that we do: give up or fall back */
  ADIT_WRONG_PEER = -14,     /* who answered does not hold the key of the id dialled: give up */
  ADIT_ADDRESS_IN_USE = -15, /* an address is taken: fix the configuration */
  ADIT_NOT_RUNNING = -16,    /* adit_runtime_start was not called, or adit_runtime_stop was */
  ADIT_INTERNAL = -17,       /* iroh failed in a way that has no other name: try again; adit_error_text has its words */
  ADIT_PANIC = -18           /* a defect in the bridge or iroh was caught: give up this handle, its connection is lost */
} adit_result;

typedef uint64_t adit_handle;

/* A run of bytes of the caller's, read during the call only. */
typedef struct adit_bytes {
  const uint8_t* data;
  size_t len;
} adit_bytes;

/* ---- the runtime ------------------------------------------------------------------------------------------------------ */

/* Starts the bridge's threads; worker_threads 1..64. Starting again after a stop is allowed.
 * ADIT_OK; ADIT_INVALID: worker_threads out of range, or started already; ADIT_INTERNAL: no threads to be had. */
int32_t adit_runtime_start(uint32_t worker_threads);

/* Releases every handle, then waits at most timeout_ms for the bridge's threads. Peers only learn of the end from
 * adit_endpoint_close, so that comes first. Blocks. No other call may be under way.
 * ADIT_OK; ADIT_NOT_RUNNING. */
int32_t adit_runtime_stop(uint32_t timeout_ms);

/* ---- loops and events ------------------------------------------------------------------------------------------------- */

/* What an event says, as a set of bits: several may come at once. */
enum {
  ADIT_READY_DONE = 1,     /* what began this handle has ended: `result` says how; on failure only adit_release is left */
  ADIT_READY_READABLE = 2, /* stream: read again */
  ADIT_READY_WRITABLE = 4, /* stream: write again */
  ADIT_READY_INCOMING = 8, /* listener: decide attempts until ADIT_AGAIN */
  ADIT_READY_CLOSED = 16,  /* connection: it has ended. endpoint: it is closed. listener: it takes no more */
  ADIT_READY_MOVED = 32    /* connection: data goes another way than before, see adit_connection_get_info */
};

typedef struct adit_event {
  adit_handle handle;
  uint32_t ready; /* ADIT_READY_* */
  int32_t result; /* adit_result of ADIT_READY_DONE; otherwise 0 */
} adit_event;

/* Makes a loop for at most max_handles handles at a time (1..4194304; 8 bytes each).
 * ADIT_OK; ADIT_INVALID; ADIT_OVERLOADED: no descriptor to be had. */
int32_t adit_loop_create(uint32_t max_handles, adit_handle* loop);

/* The descriptor to wait on for reading. It stays the bridge's: wait on it, or on a duplicate; neither read nor close it.
 * The descriptor (>= 0); ADIT_STALE. */
int32_t adit_loop_fd(adit_handle loop);

/* Takes at most `capacity` events. Where more remain the descriptor stays readable.
 * How many (>= 0); ADIT_STALE. */
int32_t adit_loop_drain(adit_handle loop, adit_event* events, uint32_t capacity);

/* Ends a handle of any kind. `code` (below 2^62) is what the peer sees:
 *   stream      unfinished sending is reset with it, unread receiving stopped with it; what was finished is still delivered
 *   connection  closed with it and no reason, unless closed before
 *   endpoint    dropped without waiting for peers: call adit_endpoint_close first
 *   listener    attempts that wait are refused; handshakes under way go on
 *   loop        no more events; handles on it live on
 *   pieces      their memory is given back
 *   and whatever is still under way is cancelled.
 * Code 0 is also what QUIC sends for a process that forgot to say goodbye; so give each meaning its own code from 1.
 * ADIT_OK; ADIT_STALE; ADIT_INVALID: code too large. */
int32_t adit_release(adit_handle handle, uint64_t code);

/* The words for how what began this handle failed; for handle 0, for the last call of this thread that failed with words, as
 * ADIT_INVALID does.
 * The length (0: no words); ADIT_STALE. */
int64_t adit_error_text(adit_handle handle, char* buffer, size_t capacity);

/* ---- endpoints -------------------------------------------------------------------------------------------------------- */

enum {
  ADIT_RELAY_NONE = 0, /* no relay, no lookup service: only addresses that are given */
  ADIT_RELAY_LIST = 1, /* `relays`; no lookup service */
  ADIT_RELAY_N0 = 2    /* the public relays and lookup service of number 0 */
};

typedef struct adit_relay {
  adit_bytes url;     /* https://host[:port], or http:// for development */
  uint16_t quic_port; /* UDP port of QUIC address discovery; 0: this relay has none */
  adit_bytes token;   /* bearer token; empty: none */
} adit_relay;

typedef struct adit_endpoint_config {
  const uint8_t* secret_key;    /* 32 bytes, ed25519; the id is its public key. One running process per key. */
  const adit_bytes* bind_addrs; /* "127.0.0.1:0": at most one per family, nothing else is bound; none: every interface */
  size_t bind_addr_count;
  uint32_t relay_mode; /* ADIT_RELAY_* */
  const adit_relay* relays;
  size_t relay_count;
  const adit_bytes* external_addrs; /* "203.0.113.1:4433": told to peers as ours */
  size_t external_addr_count;
  uint32_t portmap;          /* 1: ask the router for a port (UPnP, PCP, NAT-PMP) */
  uint32_t max_bidi_streams; /* that a peer may have open at a time, per connection; 0: none */
  uint32_t stream_window;    /* bytes a peer may send ahead of our reading, per stream; > 0 */
  uint32_t receive_window;   /* the same per connection; > 0 */
  uint32_t send_window;      /* bytes not yet acknowledged that we hold per connection; > 0 */
  uint32_t idle_timeout_ms;  /* a silent connection ends after this (or the peer's, if shorter), a path of it after half; > 0 */
  uint32_t keep_alive_ms;    /* > 0, and well below idle_timeout_ms */
  uint32_t relay_only;       /* 1: no address is bound, everything goes through relays, of which there must be one */
  uint32_t mdns;             /* 1: finds endpoints of the local network by multicast DNS, and tells them where this one is */
  adit_bytes relay_ca_file;  /* PEM file of certificates that relays are trusted by, beside the usual ones; empty: none */
  const adit_bytes* dns_origins; /* domains under which endpoint ids are looked up as _iroh.<id>.<origin> TXT */
  size_t dns_origin_count;
  adit_bytes dns_server;          /* "ip:port" asked for every name; empty: the system's */
  const adit_bytes* pkarr_relays; /* https:// or http://: tells each where this endpoint is, by its relay if it has one, else by
                                     its addresses, and asks each for ids dialled without an address */
  size_t pkarr_relay_count;
} adit_endpoint_config;

/* Binds an endpoint. DONE: ADIT_OK; ADIT_ADDRESS_IN_USE; ADIT_INVALID: an address this machine does not have or may not use;
 * ADIT_TIMED_OUT; ADIT_INTERNAL.
 * ADIT_OK; ADIT_INVALID; ADIT_STALE: no such loop; ADIT_OVERLOADED; ADIT_NOT_RUNNING. */
int32_t adit_endpoint_bind(adit_handle loop, const adit_endpoint_config* config, uint32_t deadline_ms, adit_handle* endpoint);

/* The endpoint's id, once DONE. ADIT_OK; ADIT_STALE. */
int32_t adit_endpoint_id(adit_handle endpoint, uint8_t id[32]);

/* The sockets bound, one address a line. The length; ADIT_STALE. */
int64_t adit_endpoint_sockets(adit_handle endpoint, char* buffer, size_t capacity);

/* Where peers may find this endpoint as far as it knows by now, one a line: "ip:port" or a relay's URL.
 * The length; ADIT_STALE; ADIT_NOT_RUNNING. */
int64_t adit_endpoint_addrs(adit_handle endpoint, char* buffer, size_t capacity);

/* The home relays, one a line: URL, space, "connected" or "connecting", and after another space the last error if there is one.
 * The length (0: no relay); ADIT_STALE; ADIT_NOT_RUNNING. */
int64_t adit_endpoint_relays(adit_handle endpoint, char* buffer, size_t capacity);

/* How many live connections of this endpoint have data that goes directly, as last published. The count; ADIT_STALE. */
int64_t adit_endpoint_direct(adit_handle endpoint);

/* Waits for each adit_close_when_delivered, then closes all its connections with code 0 (close them yourself before, with a
 * code of your own), and tells peers. Once. The event ADIT_READY_CLOSED comes when peers know or at the deadline; then release.
 * ADIT_OK; ADIT_STALE; ADIT_NOT_RUNNING. */
int32_t adit_endpoint_close(adit_handle endpoint, uint32_t deadline_ms);

/* Begins to let connections in that offer one of `alpns`, the most preferred first; at least one, none empty. Each attempt
 * waits, nothing done for it, until it is accepted or turned away: the caller decides who is worth a handshake. At most
 * max_waiting (1..65535) wait; more are refused. One listener per endpoint; without one all connections are refused. The handle
 * is ready at once.
 * ADIT_OK; ADIT_INVALID: bounds, or listening already; ADIT_STALE; ADIT_OVERLOADED; ADIT_NOT_RUNNING. */
int32_t adit_listen(adit_handle endpoint, adit_handle loop, const adit_bytes* alpns, size_t alpn_count, uint32_t max_waiting,
                    adit_handle* listener);

/* A connection attempt of which only the first packet is known. */
typedef struct adit_attempt {
  char source[120];      /* "ip:port" or a relay's URL, terminated, its beginning if longer; nothing proves an address yet */
  uint8_t remote_id[32]; /* relayed: the id that the relay vouches for; otherwise zeros, since TLS has yet to prove it */
  uint16_t relayed;      /* 1: through a relay */
  uint16_t validated;    /* 1: the peer has proved that it receives what is sent to `source` (RFC 9000 §8.1) */
} adit_attempt;

/* Shows the attempt that waits longest. ADIT_OK; ADIT_AGAIN: INCOMING follows; ADIT_CLOSED: the endpoint is closed; ADIT_STALE.
 */
int32_t adit_listener_peek(adit_handle listener, adit_attempt* out);

/* Begins the handshake of the attempt that waits longest; its connection lives on `loop`, any loop.
 * DONE: ADIT_OK; ADIT_TIMED_OUT; ADIT_WRONG_PROTOCOL: it offers none of the ALPNs; ADIT_CLOSED, ADIT_REFUSED,
 * ADIT_UNREACHABLE: it has gone again; ADIT_WRONG_PEER: it dialled another id than ours; ADIT_INTERNAL.
 * ADIT_OK; ADIT_AGAIN; ADIT_CLOSED: the endpoint is closed; ADIT_STALE; ADIT_OVERLOADED: no room on that loop, the attempt
 * waits on; ADIT_NOT_RUNNING. */
int32_t adit_listener_accept(adit_handle listener, adit_handle loop, uint32_t deadline_ms, adit_handle* connection);

typedef enum adit_turn_away {
  ADIT_AWAY_REFUSE = 1,   /* the peer sees ADIT_REFUSED */
  ADIT_AWAY_VALIDATE = 2, /* the peer must first prove its address (QUIC's Retry): if it does, it comes again as validated and
                             nothing is kept for it meanwhile; one that is validated is refused */
  ADIT_AWAY_IGNORE = 3    /* no answer at all: the peer tries again by itself, and gives up at its deadline */
} adit_turn_away;

/* Turns the attempt that waits longest away. ADIT_OK; ADIT_AGAIN; ADIT_CLOSED; ADIT_STALE; ADIT_INVALID: no such way;
 * ADIT_NOT_RUNNING. */
int32_t adit_listener_turn_away(adit_handle listener, uint32_t how);

/* How many attempts the bound of adit_listen has refused. The count; ADIT_STALE. */
int64_t adit_listener_refused(adit_handle listener);

/* ---- a relay of one's own -------------------------------------------------------------------------------------------- */

/* Addresses are "ip:port", port 0: the system's choice; empty: without. */
typedef struct adit_relay_server_config {
  adit_bytes http_bind;     /* needed; serves everything where there is no TLS, else the probes that are made in plain */
  adit_bytes https_bind;    /* with cert_file and key_file */
  adit_bytes cert_file;     /* PEM file of the certificate chain */
  adit_bytes key_file;      /* PEM file of its private key */
  adit_bytes quic_bind;     /* UDP, QUIC address discovery; needs TLS */
  adit_bytes metrics_bind;  /* OpenMetrics over HTTP */
  const adit_bytes* tokens; /* who shows one of them may use the relay; none: everyone */
  size_t token_count;
  uint32_t max_clients; /* at a time; 0: no bound */
  uint32_t
      max_clients_per_source; /* connections of one IPv4 address, or one /64 of IPv6, at each listener at a time; 0: no bound */
  uint32_t accepts_per_second;      /* connections of clients, over all; 0: no bound */
  uint32_t client_bytes_per_second; /* that one client may send; 0: no bound */
  uint32_t client_burst_bytes;      /* at once; 0: iroh's default */
} adit_relay_server_config;

/* Starts a relay. DONE: ADIT_OK; ADIT_ADDRESS_IN_USE; ADIT_INVALID: an address this machine does not have or may not use;
 * ADIT_TIMED_OUT; ADIT_INTERNAL. The event ADIT_READY_CLOSED comes if it ends by itself. adit_release ends it: clients are cut
 * off and find another.
 * ADIT_OK; ADIT_INVALID: an address, a file (the text says which), or the bridge was built without it; ADIT_STALE: no such
 * loop; ADIT_OVERLOADED; ADIT_NOT_RUNNING. */
int32_t adit_relay_server_start(adit_handle loop, const adit_relay_server_config* config, uint32_t deadline_ms,
                                adit_handle* relay);

/* The sockets bound, once DONE, one a line: "http", "https" or "quic", a space, "ip:port". The length; ADIT_STALE. */
int64_t adit_relay_server_sockets(adit_handle relay, char* buffer, size_t capacity);

/* Clients connected now. The count; ADIT_STALE. */
int64_t adit_relay_server_clients(adit_handle relay);

/* ---- connections ------------------------------------------------------------------------------------------------------ */

typedef struct adit_dial {
  const uint8_t* endpoint_id; /* 32 bytes */
  const adit_bytes* addrs;    /* "ip:port" */
  size_t addr_count;
  adit_bytes relay_url;    /* empty: none */
  const adit_bytes* alpns; /* offered; the acceptor chooses by its own order; at least one, none empty */
  size_t alpn_count;
} adit_dial;

/* Dials. DONE: ADIT_OK; ADIT_NO_ROUTE; ADIT_TIMED_OUT; ADIT_UNREACHABLE; ADIT_REFUSED; ADIT_WRONG_PROTOCOL;
 * ADIT_WRONG_PEER; ADIT_CLOSED: our endpoint is; ADIT_INTERNAL.
 * ADIT_OK; ADIT_INVALID: also for our own id; ADIT_STALE; ADIT_OVERLOADED; ADIT_NOT_RUNNING. */
int32_t adit_connect(adit_handle endpoint, adit_handle loop, const adit_dial* dial, uint32_t deadline_ms,
                     adit_handle* connection);

/* Closes with a code below 2^62 and a reason of at most 1000 bytes. Bytes not yet delivered are lost: only the side that
 * received the last of them should close. Does nothing if closed before.
 * ADIT_OK; ADIT_STALE; ADIT_INVALID. */
int32_t adit_connection_close(adit_handle connection, uint64_t code, adit_bytes reason);

/* Finishes the stream and closes its connection with the code as soon as the peer's QUIC has acknowledged all that was
 * written, or after linger_ms. What the peer still sends is not read. Both handles are stale afterwards.
 * ADIT_OK; ADIT_STALE; ADIT_INVALID: code too large; ADIT_NOT_RUNNING. */
int32_t adit_close_when_delivered(adit_handle connection, adit_handle stream, uint64_t code, uint32_t linger_ms);

typedef enum adit_close_kind {
  ADIT_CLOSE_BY_US = 1,     /* adit_connection_close, adit_endpoint_close or release */
  ADIT_CLOSE_BY_PEER = 2,   /* the peer's application, with code and reason */
  ADIT_CLOSE_TIMED_OUT = 3, /* nothing heard for the idle time */
  ADIT_CLOSE_RESET = 4,     /* the peer no longer knows the connection: it has restarted */
  ADIT_CLOSE_TRANSPORT = 5  /* QUIC itself ended it, on either side: `code` is QUIC's */
} adit_close_kind;

typedef struct adit_close_reason {
  uint64_t code;
  uint32_t kind; /* adit_close_kind */
  uint32_t reason_len;
  char reason[128]; /* the beginning of it */
} adit_close_reason;

/* Why the connection ended. ADIT_OK; ADIT_AGAIN: it has not; ADIT_STALE. */
int32_t adit_connection_close_reason(adit_handle connection, adit_close_reason* out);

typedef struct adit_path {
  char remote[120]; /* "ip:port" or a relay's URL, terminated, its beginning if longer */
  uint32_t rtt_us;
  uint8_t relayed;            /* 1: through a relay */
  uint8_t selected;           /* 1: data goes this way now */
  uint8_t first;              /* 1: the handshake went this way */
  uint8_t reserved;           /* 0 */
  uint32_t congestion_window; /* bytes that may be under way */
  uint32_t mtu;               /* of UDP payload, as found so far */
  uint64_t packets_lost;
} adit_path;

#define ADIT_MAX_PATHS 8

typedef struct adit_connection_info {
  uint8_t remote_id[32]; /* proven by TLS */
  uint64_t bytes_sent;   /* in UDP datagrams, all paths */
  uint64_t bytes_received;
  uint64_t packets_sent; /* QUIC's, all paths, as the next */
  uint64_t packets_lost;
  uint64_t moves;    /* times that data began to go another way, beginning with the handshake's */
  uint32_t incoming; /* 1: accepted, 0: dialled */
  uint32_t path_count;
  adit_path paths[ADIT_MAX_PATHS];
} adit_connection_info;

/* What the bridge last published about the connection; asks it to publish anew, so a reader that comes regularly is at most
 * one round behind. It is also published whenever paths change and, with the paths it last had, when the connection has ended.
 * Never waits for the connection's lock. ADIT_OK; ADIT_STALE. */
int32_t adit_connection_get_info(adit_handle connection, adit_connection_info* out);

/* The ALPN agreed on. The length; ADIT_STALE. */
int64_t adit_connection_alpn(adit_handle connection, uint8_t* buffer, size_t capacity);

/* ---- streams ---------------------------------------------------------------------------------------------------------- */

/* Opens a bidirectional stream on the connection's loop. The peer sees it only when something was written.
 * DONE: ADIT_OK; ADIT_TIMED_OUT: the peer allows no more streams by now; ADIT_CLOSED.
 * ADIT_OK; ADIT_STALE; ADIT_OVERLOADED; ADIT_NOT_RUNNING. */
int32_t adit_stream_open(adit_handle connection, uint32_t deadline_ms, adit_handle* stream);

/* Waits for a stream that the peer opens. The rest as above. */
int32_t adit_stream_accept(adit_handle connection, uint32_t deadline_ms, adit_handle* stream);

/* Reads into buffer. A stream that is DONE may be read and written at once, before any READABLE or WRITABLE.
 * Bytes read (> 0); ADIT_AGAIN: READABLE follows; ADIT_FIN; ADIT_RESET: *code; ADIT_CLOSED; ADIT_STALE: also after
 * adit_stream_stop; ADIT_INVALID: capacity 0. FIN, RESET and CLOSED repeat. */
int64_t adit_stream_read(adit_handle stream, uint8_t* buffer, size_t capacity, uint64_t* code);

/* Writes what windows allow. Each write becomes at least one packet when the line is idle: gather first.
 * Bytes taken (> 0); ADIT_AGAIN: WRITABLE follows; ADIT_STOPPED: *code; ADIT_CLOSED; ADIT_STALE: also after finish or
 * reset; ADIT_INVALID: length 0. */
int64_t adit_stream_write(adit_handle stream, const uint8_t* data, size_t len, uint64_t* code);

/* Takes what has arrived without a copy: at most max_pieces (1..64) pieces in order, each as it lies in memory, usually what
 * one packet brought. They stay as they are until *owner is released, on any thread, whatever becomes of the stream; stopping
 * the runtime releases them too. Worth it from about 4 KiB on; a small piece may keep a whole batch of packets (64 KiB) in
 * memory. How many pieces (> 0); otherwise as adit_stream_read. */
int64_t adit_stream_read_pieces(adit_handle stream, adit_bytes* pieces, size_t max_pieces, uint64_t* code, adit_handle* owner);

/* Writes the beginning of all parts, one after the other, at most 64 KiB at a time, as one run of bytes.
 * As adit_stream_write; ADIT_INVALID: there is no byte in any part. */
int64_t adit_stream_writev(adit_handle stream, const adit_bytes* parts, size_t part_count, uint64_t* code);

/* Ends our side after what was written. That it returned proves nothing about the peer; an answer does.
 * ADIT_OK; ADIT_STALE: also after finish or reset. */
int32_t adit_stream_finish(adit_handle stream);

/* Abandons our side: the peer's reads answer ADIT_RESET with the code.
 * ADIT_OK; ADIT_STALE: also after reset; ADIT_INVALID: code too large. */
int32_t adit_stream_reset(adit_handle stream, uint64_t code);

/* Wants no more: the peer's writes answer ADIT_STOPPED with the code.
 * ADIT_OK; ADIT_STALE: also when all was read or stopped; ADIT_INVALID: code too large. */
int32_t adit_stream_stop(adit_handle stream, uint64_t code);

/* Of what waits to be sent on the connection, the highest priority goes first. 0 at the start.
 * ADIT_OK; ADIT_STALE: also after finish or reset. */
int32_t adit_stream_set_priority(adit_handle stream, int32_t priority);

/* ---- what iroh logs --------------------------------------------------------------------------------------------------- */

/* Begins to keep what iroh and its parts log and `filter` lets through, in tracing's words: "warn,iroh=info,noq_proto=off".
 * 1024 lines wait to be taken; of more the oldest are lost. There is one such queue, from the first call until the process
 * ends, with or without a runtime; a further call changes the filter.
 * ADIT_OK; ADIT_INVALID: no such filter. */
int32_t adit_log_start(adit_bytes filter);

/* Takes the line that waits longest, "target: message field=value ..." of at most 1000 bytes, which is gone then; waits for one
 * up to timeout_ms, so not on a loop's thread. `level`: 0 trace, 1 debug, 2 info, 3 warn, 4 error.
 * The length; ADIT_AGAIN: none came. */
int64_t adit_log_take(uint32_t* level, char* buffer, size_t capacity, uint32_t timeout_ms);

/* Every adit_log_take that waits now returns. */
void adit_log_wake(void);

/* Lines lost since the first adit_log_start. The count. */
int64_t adit_log_lost(void);

#ifdef __cplusplus
}
#endif

#include "adit_bridge_layout.h"

#endif
