/* Holds the bridge to its contract, against the header alone: two endpoints of one process talk over loopback. */
#include "adit_bridge.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kDeadlineMs = 10000, kShortMs = 300 };

static const char* current;

static void fail(const char* file, int line, const char* what, long long left, long long right) {
  char words[512] = {0};
  adit_error_text(0, words, sizeof words - 1);
  fprintf(stderr, "%s:%d: in %s: %s: %lld and %lld (last error: %s)\n", file, line, current, what, left, right, words);
  exit(1);
}

#define EQUAL(a, b)                                                             \
  do {                                                                          \
    const long long left_ = (long long)(a), right_ = (long long)(b);            \
    if (left_ != right_) fail(__FILE__, __LINE__, #a " == " #b, left_, right_); \
  } while (0)
#define HOLDS(a) EQUAL(!(a), 0)

static adit_bytes bytes_of(const char* text) { return (adit_bytes){(const uint8_t*)text, strlen(text)}; }

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- events: those that came while waiting for another are kept ------------------------------------------------------- */

static adit_event kept[256];
static size_t kept_count;

static void take_events(adit_handle loop) {
  adit_event events[16];
  const int32_t count = adit_loop_drain(loop, events, 16);
  HOLDS(count >= 0);
  for (int32_t i = 0; i < count; ++i) {
    HOLDS(kept_count < sizeof kept / sizeof *kept);
    kept[kept_count++] = events[i];
  }
}

static bool readable(adit_handle loop, int timeout_ms) {
  struct pollfd fd = {.fd = adit_loop_fd(loop), .events = POLLIN};
  return poll(&fd, 1, timeout_ms) == 1;
}

/* Waits for `bit` on the handle and returns the event's result; -1000 when it does not come in time. */
static int32_t wait_for(adit_handle loop, adit_handle handle, uint32_t bit, long long timeout_ms) {
  const long long until = now_ms() + timeout_ms;
  for (;;) {
    for (size_t i = 0; i < kept_count; ++i) {
      if (kept[i].handle == handle && (kept[i].ready & bit)) {
        const int32_t result = kept[i].result;
        kept[i].ready &= ~bit;
        return result;
      }
    }
    const long long left = until - now_ms();
    if (left <= 0) return -1000;
    readable(loop, (int)left);
    take_events(loop);
  }
}

#define DONE(loop, handle, expected) EQUAL(wait_for(loop, handle, ADIT_READY_DONE, kDeadlineMs), expected)

/* ---- two endpoints ---------------------------------------------------------------------------------------------------- */

static adit_handle loop_a, loop_b; /* a dials, b listens */
static adit_handle endpoint_a, endpoint_b, listener;
static uint8_t id_a[32], id_b[32];
static char addr_b[64];

static const char* const kAlpn = "contract/1";

static adit_endpoint_config loopback_config(const uint8_t* key, const adit_bytes* bind) {
  return (adit_endpoint_config){.secret_key = key,
                                .bind_addrs = bind,
                                .bind_addr_count = 1,
                                .relay_mode = ADIT_RELAY_NONE,
                                .max_bidi_streams = 4,
                                .stream_window = 64 * 1024,
                                .receive_window = 256 * 1024,
                                .send_window = 256 * 1024,
                                .idle_timeout_ms = 10000,
                                .keep_alive_ms = 3000};
}

static adit_handle bind_loopback(adit_handle loop, uint8_t key_byte) {
  uint8_t key[32];
  memset(key, key_byte, sizeof key);
  const adit_bytes address = bytes_of("127.0.0.1:0");
  const adit_endpoint_config config = loopback_config(key, &address);
  adit_handle endpoint = 0;
  EQUAL(adit_endpoint_bind(loop, &config, kDeadlineMs, &endpoint), ADIT_OK);
  DONE(loop, endpoint, ADIT_OK);
  return endpoint;
}

static adit_handle dial(const uint8_t* id, const char* address, const char* alpn, uint32_t deadline_ms) {
  const adit_bytes addr = bytes_of(address), protocol = bytes_of(alpn);
  const adit_dial target = {.endpoint_id = id, .addrs = &addr, .addr_count = 1, .alpns = &protocol, .alpn_count = 1};
  adit_handle connection = 0;
  EQUAL(adit_connect(endpoint_a, loop_a, &target, deadline_ms, &connection), ADIT_OK);
  return connection;
}

/* Waits for an attempt. */
static adit_attempt peek_one(void) {
  adit_attempt attempt;
  const long long until = now_ms() + kDeadlineMs;
  int32_t result;
  while ((result = adit_listener_peek(listener, &attempt)) == ADIT_AGAIN) {
    HOLDS(now_ms() < until);
    wait_for(loop_b, listener, ADIT_READY_INCOMING, 100);
  }
  EQUAL(result, ADIT_OK);
  return attempt;
}

/* Lets the next attempt in; its handshake is done. */
static adit_handle accept_one(adit_handle home) {
  adit_handle connection = 0;
  peek_one();
  EQUAL(adit_listener_accept(listener, home, kDeadlineMs, &connection), ADIT_OK);
  DONE(home, connection, ADIT_OK);
  return connection;
}

typedef struct pair {
  adit_handle dialled, accepted, stream_a, stream_b;
} pair;

static void write_all(adit_handle loop, adit_handle stream, const void* data, size_t len) {
  const uint8_t* at = data;
  uint64_t code = 0;
  while (len > 0) {
    const int64_t taken = adit_stream_write(stream, at, len, &code);
    if (taken == ADIT_AGAIN) {
      EQUAL(wait_for(loop, stream, ADIT_READY_WRITABLE, kDeadlineMs), 0);
      continue;
    }
    HOLDS(taken > 0);
    at += taken;
    len -= (size_t)taken;
  }
}

/* Reads until something else than AGAIN comes. */
static int64_t read_some(adit_handle loop, adit_handle stream, void* buffer, size_t capacity, uint64_t* code) {
  for (;;) {
    const int64_t got = adit_stream_read(stream, buffer, capacity, code);
    if (got != ADIT_AGAIN) return got;
    EQUAL(wait_for(loop, stream, ADIT_READY_READABLE, kDeadlineMs), 0);
  }
}

static void read_exactly(adit_handle loop, adit_handle stream, void* buffer, size_t len) {
  uint64_t code = 0;
  for (size_t have = 0; have < len;) {
    const int64_t got = read_some(loop, stream, (uint8_t*)buffer + have, len - have, &code);
    HOLDS(got > 0);
    have += (size_t)got;
  }
}

/* A connection with one stream that has carried a byte each way. */
static pair open_pair(void) {
  pair p = {0};
  p.dialled = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  p.accepted = accept_one(loop_b);
  DONE(loop_a, p.dialled, ADIT_OK);
  EQUAL(adit_stream_open(p.dialled, kDeadlineMs, &p.stream_a), ADIT_OK);
  EQUAL(adit_stream_accept(p.accepted, kDeadlineMs, &p.stream_b), ADIT_OK);
  DONE(loop_a, p.stream_a, ADIT_OK);
  char byte = 0;
  write_all(loop_a, p.stream_a, "a", 1);
  DONE(loop_b, p.stream_b, ADIT_OK);
  read_exactly(loop_b, p.stream_b, &byte, 1);
  EQUAL(byte, 'a');
  write_all(loop_b, p.stream_b, "b", 1);
  read_exactly(loop_a, p.stream_a, &byte, 1);
  EQUAL(byte, 'b');
  return p;
}

static void close_pair(pair p) {
  EQUAL(adit_connection_close(p.dialled, 1, bytes_of("done")), ADIT_OK);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  adit_release(p.stream_a, 1);
  adit_release(p.stream_b, 1);
  EQUAL(adit_release(p.dialled, 1), ADIT_OK);
  EQUAL(adit_release(p.accepted, 1), ADIT_OK);
}

/* ---- the rules -------------------------------------------------------------------------------------------------------- */

static void nothing_begins_before_the_runtime(void) {
  adit_handle loop = 0, endpoint = 0;
  EQUAL(adit_runtime_start(0), ADIT_INVALID);
  EQUAL(adit_runtime_stop(1000), ADIT_NOT_RUNNING);
  EQUAL(adit_loop_create(0, &loop), ADIT_INVALID);
  EQUAL(adit_loop_create(4, &loop), ADIT_OK);
  const uint8_t key[32] = {1};
  const adit_bytes address = bytes_of("127.0.0.1:0");
  const adit_endpoint_config config = loopback_config(key, &address);
  EQUAL(adit_endpoint_bind(loop, &config, kDeadlineMs, &endpoint), ADIT_NOT_RUNNING);
  EQUAL(adit_release(loop, 0), ADIT_OK);
  EQUAL(adit_runtime_start(2), ADIT_OK);
  EQUAL(adit_runtime_start(2), ADIT_INVALID);
}

static void without_a_listener_connections_are_refused(void) {
  const adit_handle connection = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  DONE(loop_a, connection, ADIT_REFUSED);
  EQUAL(adit_release(connection, 1), ADIT_OK);
}

static void a_wrong_configuration_is_named(void) {
  uint8_t key[32] = {9};
  char words[256] = {0};
  adit_handle endpoint = 0;
  adit_bytes address = bytes_of("loopback:0");
  adit_endpoint_config config = loopback_config(key, &address);
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_INVALID);
  HOLDS(adit_error_text(0, words, sizeof words - 1) > 0);
  HOLDS(strstr(words, "'loopback:0'") != NULL);

  address = bytes_of("127.0.0.1:0");
  config = loopback_config(key, &address);
  config.relay_mode = ADIT_RELAY_LIST;
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_INVALID);
  const adit_relay relay = {.url = bytes_of("no url")};
  config.relays = &relay;
  config.relay_count = 1;
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_INVALID);
  config = loopback_config(key, &address);
  config.stream_window = 0;
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_INVALID);
  config = loopback_config(key, &address);
  config.keep_alive_ms = config.idle_timeout_ms;
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_INVALID);

  /* A port that is taken is found out while binding. */
  address = bytes_of(addr_b);
  config = loopback_config(key, &address);
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_OK);
  DONE(loop_a, endpoint, ADIT_ADDRESS_IN_USE);
  HOLDS(adit_error_text(endpoint, words, sizeof words) > 0);
  uint8_t id[32];
  EQUAL(adit_endpoint_id(endpoint, id), ADIT_STALE);
  EQUAL(adit_release(endpoint, 0), ADIT_OK);

  /* So is an address that this machine does not have (TEST-NET-1, RFC 5737). */
  address = bytes_of("192.0.2.1:0");
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &endpoint), ADIT_OK);
  DONE(loop_a, endpoint, ADIT_INVALID);
  EQUAL(adit_release(endpoint, 0), ADIT_OK);

  adit_handle second = 0;
  const adit_bytes alpns[] = {bytes_of(kAlpn), {0}};
  EQUAL(adit_listen(endpoint_b, loop_b, alpns, 1, 4, &second), ADIT_INVALID);
  EQUAL(adit_listen(endpoint_a, loop_a, alpns, 1, 0, &second), ADIT_INVALID);
  EQUAL(adit_listen(endpoint_a, loop_a, alpns, 0, 4, &second), ADIT_INVALID);
  EQUAL(adit_listen(endpoint_a, loop_a, alpns, 2, 4, &second), ADIT_INVALID);
}

static void only_the_address_asked_for_is_bound(void) {
  char text[256] = {0};
  HOLDS(adit_endpoint_sockets(endpoint_b, text, sizeof text - 1) > 0);
  HOLDS(strncmp(text, "127.0.0.1:", 10) == 0);
  HOLDS(strchr(text, '\n') == NULL);
  memset(text, 0, sizeof text);
  HOLDS(adit_endpoint_addrs(endpoint_b, text, sizeof text - 1) > 0);
  HOLDS(strncmp(text, "127.0.0.1:", 10) == 0);
  EQUAL(adit_endpoint_relays(endpoint_b, text, sizeof text), 0);
  /* The whole length is returned, whatever fits. */
  EQUAL(adit_endpoint_sockets(endpoint_b, text, 3), (int64_t)strlen(addr_b));
}

static void bytes_arrive_in_order_and_a_finish_is_an_end(void) {
  pair p = open_pair();
  enum { kSize = 300 * 1000 }; /* more than every window */
  uint8_t *sent = malloc(kSize), *got = malloc(kSize);
  for (size_t i = 0; i < kSize; ++i) sent[i] = (uint8_t)(i * 31 + i / 251);
  /* b echoes while a writes: neither side may wait for the other. */
  size_t written = 0, echoed = 0, echo_from = 0, back = 0;
  uint8_t* echo = malloc(kSize);
  uint64_t code = 0;
  const long long until = now_ms() + kDeadlineMs;
  while (back < kSize) {
    HOLDS(now_ms() < until);
    bool moved = false;
    int64_t n;
    if (written < kSize && (n = adit_stream_write(p.stream_a, sent + written, kSize - written, &code)) != ADIT_AGAIN) {
      HOLDS(n > 0);
      written += (size_t)n;
      moved = true;
    }
    if (echoed < kSize && (n = adit_stream_read(p.stream_b, echo + echoed, kSize - echoed, &code)) != ADIT_AGAIN) {
      HOLDS(n > 0);
      echoed += (size_t)n;
      moved = true;
    }
    if (echo_from < echoed && (n = adit_stream_write(p.stream_b, echo + echo_from, echoed - echo_from, &code)) != ADIT_AGAIN) {
      HOLDS(n > 0);
      echo_from += (size_t)n;
      moved = true;
    }
    if ((n = adit_stream_read(p.stream_a, got + back, kSize - back, &code)) != ADIT_AGAIN) {
      HOLDS(n > 0);
      back += (size_t)n;
      moved = true;
    }
    if (!moved) {
      struct pollfd fds[2] = {{.fd = adit_loop_fd(loop_a), .events = POLLIN}, {.fd = adit_loop_fd(loop_b), .events = POLLIN}};
      HOLDS(poll(fds, 2, kDeadlineMs) > 0);
      take_events(loop_a);
      take_events(loop_b);
      kept_count = 0;
    }
  }
  EQUAL(memcmp(sent, got, kSize), 0);
  free(sent);
  free(got);
  free(echo);

  char byte;
  EQUAL(adit_stream_finish(p.stream_a), ADIT_OK);
  EQUAL(adit_stream_finish(p.stream_a), ADIT_STALE);
  EQUAL(adit_stream_write(p.stream_a, (const uint8_t*)"x", 1, &code), ADIT_STALE);
  EQUAL(read_some(loop_b, p.stream_b, &byte, 1, &code), ADIT_FIN);
  EQUAL(adit_stream_read(p.stream_b, (uint8_t*)&byte, 1, &code), ADIT_FIN);
  EQUAL(adit_stream_finish(p.stream_b), ADIT_OK);
  EQUAL(read_some(loop_a, p.stream_a, &byte, 1, &code), ADIT_FIN);
  EQUAL(adit_stream_read(p.stream_a, (uint8_t*)&byte, 0, &code), ADIT_INVALID);
  EQUAL(adit_stream_write(p.stream_a, NULL, 0, &code), ADIT_INVALID);
  close_pair(p);
}

static void parts_are_written_as_one_and_pieces_are_read_where_they_lie(void) {
  pair p = open_pair();
  static uint8_t sent[40000], got[sizeof sent];
  for (size_t i = 0; i < sizeof sent; ++i) sent[i] = (uint8_t)(i * 13 + i / 251);
  uint64_t code = 0;
  adit_bytes parts[3] = {{sent, 10}, {sent + 10, 0}, {sent + 10, sizeof sent - 10}};
  const adit_bytes nothing = {sent, 0};
  EQUAL(adit_stream_writev(p.stream_a, &nothing, 1, &code), ADIT_INVALID);
  EQUAL(adit_stream_writev(p.stream_a, NULL, 0, &code), ADIT_INVALID);
  EQUAL(adit_stream_writev(p.stream_a, parts, 3, &code), (int64_t)sizeof sent);
  EQUAL(adit_stream_finish(p.stream_a), ADIT_OK);
  EQUAL(adit_stream_writev(p.stream_a, parts, 3, &code), ADIT_STALE);

  adit_bytes pieces[64];
  adit_handle owners[4096];
  size_t have = 0, kept_owners = 0, most = 0;
  EQUAL(adit_stream_read_pieces(p.stream_b, pieces, 0, &code, owners), ADIT_INVALID);
  EQUAL(adit_stream_read_pieces(p.stream_b, pieces, 65, &code, owners), ADIT_INVALID);
  for (;;) {
    const int64_t count = adit_stream_read_pieces(p.stream_b, pieces, 64, &code, &owners[kept_owners]);
    if (count == ADIT_AGAIN) {
      EQUAL(wait_for(loop_b, p.stream_b, ADIT_READY_READABLE, kDeadlineMs), 0);
      continue;
    }
    if (count == ADIT_FIN) break;
    HOLDS(count > 0 && count <= 64);
    size_t together = 0;
    for (int64_t i = 0; i < count; ++i) {
      HOLDS(pieces[i].len > 0 && have + pieces[i].len <= sizeof got);
      memcpy(got + have, pieces[i].data, pieces[i].len);
      have += pieces[i].len;
      together += pieces[i].len;
    }
    most = together > most ? together : most;
    ++kept_owners;
  }
  EQUAL(have, sizeof sent);
  EQUAL(memcmp(sent, got, sizeof sent), 0);
  HOLDS(most > 1000);
  /* Pieces outlive their stream and their connection. */
  const adit_bytes last = pieces[0];
  const uint8_t first_byte = last.data[0];
  close_pair(p);
  EQUAL(last.data[0], first_byte);
  EQUAL(adit_stream_finish(owners[0]), ADIT_STALE); /* of another kind */
  for (size_t i = 0; i < kept_owners; ++i) EQUAL(adit_release(owners[i], 0), ADIT_OK);
  EQUAL(adit_release(owners[0], 0), ADIT_STALE);

  /* Parts stop at the window, and the writer hears when there is room again. */
  p = open_pair();
  static uint8_t block[100 * 1000];
  parts[0] = (adit_bytes){block, 50 * 1000};
  parts[1] = (adit_bytes){block + 50 * 1000, 50 * 1000};
  int64_t taken = adit_stream_writev(p.stream_a, parts, 2, &code);
  HOLDS(taken > 50 * 1000 && taken <= 64 * 1024);
  while ((taken = adit_stream_writev(p.stream_a, parts, 2, &code)) > 0) continue;
  EQUAL(taken, ADIT_AGAIN);
  EQUAL(adit_stream_stop(p.stream_b, 9), ADIT_OK);
  EQUAL(wait_for(loop_a, p.stream_a, ADIT_READY_WRITABLE, kDeadlineMs), 0);
  EQUAL(adit_stream_writev(p.stream_a, parts, 2, &code), ADIT_STOPPED);
  EQUAL(code, 9);
  EQUAL(adit_stream_reset(p.stream_b, 8), ADIT_OK);
  adit_handle owner = 0;
  EQUAL(wait_for(loop_a, p.stream_a, ADIT_READY_READABLE, 0), -1000);
  int64_t ended;
  while ((ended = adit_stream_read_pieces(p.stream_a, pieces, 1, &code, &owner)) == ADIT_AGAIN)
    EQUAL(wait_for(loop_a, p.stream_a, ADIT_READY_READABLE, kDeadlineMs), 0);
  EQUAL(ended, ADIT_RESET);
  EQUAL(code, 8);
  close_pair(p);
}

static void what_was_finished_outlives_its_release(void) {
  pair p = open_pair();
  write_all(loop_a, p.stream_a, "last words", 10);
  EQUAL(adit_stream_finish(p.stream_a), ADIT_OK);
  EQUAL(adit_release(p.stream_a, 3), ADIT_OK);
  char text[10];
  read_exactly(loop_b, p.stream_b, text, sizeof text);
  EQUAL(memcmp(text, "last words", 10), 0);
  uint64_t code = 0;
  EQUAL(read_some(loop_b, p.stream_b, text, 1, &code), ADIT_FIN);
  close_pair(p);
}

static void reset_and_stop_carry_their_codes(void) {
  pair p = open_pair();
  uint64_t code = 0;
  uint8_t byte;
  EQUAL(adit_stream_set_priority(p.stream_a, 7), ADIT_OK);
  EQUAL(adit_stream_reset(p.stream_a, UINT64_C(1) << 62), ADIT_INVALID);
  EQUAL(adit_stream_reset(p.stream_a, 41), ADIT_OK);
  EQUAL(adit_stream_set_priority(p.stream_a, 7), ADIT_STALE);
  EQUAL(read_some(loop_b, p.stream_b, &byte, 1, &code), ADIT_RESET);
  EQUAL(code, 41);
  code = 0;
  EQUAL(adit_stream_read(p.stream_b, &byte, 1, &code), ADIT_RESET);
  EQUAL(code, 41);
  EQUAL(adit_stream_stop(p.stream_b, 43), ADIT_STALE); /* nothing is left to stop */

  EQUAL(adit_stream_stop(p.stream_a, 42), ADIT_OK);
  EQUAL(adit_stream_read(p.stream_a, &byte, 1, &code), ADIT_STALE);
  /* Writes go on into the window until the stop arrives, then the writer is woken. */
  uint8_t block[4096] = {0};
  int64_t taken;
  do {
    taken = adit_stream_write(p.stream_b, block, sizeof block, &code);
    if (taken == ADIT_AGAIN) EQUAL(wait_for(loop_b, p.stream_b, ADIT_READY_WRITABLE, kDeadlineMs), 0);
  } while (taken > 0 || taken == ADIT_AGAIN);
  EQUAL(taken, ADIT_STOPPED);
  EQUAL(code, 42);
  close_pair(p);
}

static void an_unfinished_stream_released_is_no_clean_end(void) {
  pair p = open_pair();
  uint64_t code = 0;
  uint8_t byte, block[4096] = {0};
  EQUAL(adit_release(p.stream_a, 77), ADIT_OK);
  EQUAL(read_some(loop_b, p.stream_b, &byte, 1, &code), ADIT_RESET);
  EQUAL(code, 77);
  int64_t taken;
  do {
    taken = adit_stream_write(p.stream_b, block, sizeof block, &code);
    if (taken == ADIT_AGAIN) EQUAL(wait_for(loop_b, p.stream_b, ADIT_READY_WRITABLE, kDeadlineMs), 0);
  } while (taken > 0 || taken == ADIT_AGAIN);
  EQUAL(taken, ADIT_STOPPED);
  EQUAL(code, 77);
  close_pair(p);
}

static void a_full_window_stops_the_writer_until_the_reader_reads(void) {
  pair p = open_pair();
  static uint8_t block[16384], sink[16384];
  uint64_t code = 0;
  size_t written = 0, got = 0;
  int64_t n;
  while ((n = adit_stream_write(p.stream_a, block, sizeof block, &code)) != ADIT_AGAIN) {
    HOLDS(n > 0);
    written += (size_t)n;
    HOLDS(written <= 512 * 1024); /* send_window and stream_window bound it */
  }
  while (got < written) {
    n = read_some(loop_b, p.stream_b, sink, sizeof sink, &code);
    HOLDS(n > 0);
    got += (size_t)n;
  }
  EQUAL(wait_for(loop_a, p.stream_a, ADIT_READY_WRITABLE, kDeadlineMs), 0);
  HOLDS(adit_stream_write(p.stream_a, block, 1, &code) == 1);
  close_pair(p);
}

static void the_descriptor_is_readable_just_while_events_wait(void) {
  pair p = open_pair();
  uint64_t code = 0;
  uint8_t byte;
  take_events(loop_b);
  kept_count = 0;
  EQUAL(adit_stream_read(p.stream_b, &byte, 1, &code), ADIT_AGAIN);
  HOLDS(!readable(loop_b, 50));
  /* Two handles become ready; taking one leaves the descriptor readable. */
  adit_handle more = 0;
  EQUAL(adit_stream_accept(p.accepted, kShortMs, &more), ADIT_OK);
  write_all(loop_a, p.stream_a, "x", 1);
  struct timespec both = {.tv_sec = 0, .tv_nsec = 2 * kShortMs * 1000000L};
  nanosleep(&both, NULL);
  HOLDS(readable(loop_b, kDeadlineMs));
  adit_event event;
  EQUAL(adit_loop_drain(loop_b, &event, 1), 1);
  HOLDS(readable(loop_b, 0));
  const adit_handle first = event.handle;
  EQUAL(adit_loop_drain(loop_b, &event, 1), 1);
  HOLDS(event.handle != first);
  EQUAL(adit_loop_drain(loop_b, &event, 1), 0);
  HOLDS(!readable(loop_b, 0));
  EQUAL(adit_release(more, 1), ADIT_OK);
  close_pair(p);
}

/* The id of a key that nobody listens with: iroh would find an id it has met at its old addresses too. */
static void id_of_nobody(uint8_t key_byte, uint8_t id[32]) {
  const adit_handle endpoint = bind_loopback(loop_a, key_byte);
  EQUAL(adit_endpoint_id(endpoint, id), ADIT_OK);
  EQUAL(adit_release(endpoint, 0), ADIT_OK);
}

static void a_deadline_ends_what_does_not_happen(void) {
  /* A UDP socket that never answers. */
  const int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  EQUAL(bind(silent, (const struct sockaddr*)&address, sizeof address), 0);
  EQUAL(getsockname(silent, (struct sockaddr*)&address, &len), 0);
  char text[32];
  snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
  uint8_t id[32];
  id_of_nobody(44, id);
  const adit_handle connection = dial(id, text, kAlpn, kShortMs);
  DONE(loop_a, connection, ADIT_TIMED_OUT);
  char words[128] = {0};
  HOLDS(adit_error_text(connection, words, sizeof words - 1) > 0);
  adit_handle stream = 0;
  EQUAL(adit_stream_open(connection, kShortMs, &stream), ADIT_STALE);
  EQUAL(adit_release(connection, 1), ADIT_OK);

  /* Where the deadline is longer than a connection may be silent, QUIC gives up first. */
  uint8_t key[32] = {45};
  const adit_bytes bind_to = bytes_of("127.0.0.1:0"), addr = bytes_of(text), alpn = bytes_of(kAlpn);
  adit_endpoint_config config = loopback_config(key, &bind_to);
  config.idle_timeout_ms = 2 * kShortMs;
  config.keep_alive_ms = kShortMs;
  adit_handle impatient = 0, lost = 0;
  EQUAL(adit_endpoint_bind(loop_a, &config, kDeadlineMs, &impatient), ADIT_OK);
  DONE(loop_a, impatient, ADIT_OK);
  const adit_dial target = {.endpoint_id = id, .addrs = &addr, .addr_count = 1, .alpns = &alpn, .alpn_count = 1};
  EQUAL(adit_connect(impatient, loop_a, &target, 6 * kDeadlineMs, &lost), ADIT_OK);
  EQUAL(wait_for(loop_a, lost, ADIT_READY_DONE, 6 * kDeadlineMs), ADIT_UNREACHABLE);
  EQUAL(adit_release(lost, 1), ADIT_OK);
  EQUAL(adit_release(impatient, 0), ADIT_OK);
  close(silent);

  /* A peer that opens no stream, and one that allows no more of them. */
  pair p = open_pair();
  EQUAL(adit_stream_accept(p.accepted, kShortMs, &stream), ADIT_OK);
  DONE(loop_b, stream, ADIT_TIMED_OUT);
  EQUAL(adit_release(stream, 1), ADIT_OK);
  adit_handle streams[4];
  for (int i = 0; i < 4; ++i) EQUAL(adit_stream_open(p.dialled, kShortMs, &streams[i]), ADIT_OK);
  int opened = 0, too_late = 0;
  for (int i = 0; i < 4; ++i) {
    const int32_t result = wait_for(loop_a, streams[i], ADIT_READY_DONE, kDeadlineMs);
    opened += result == ADIT_OK;
    too_late += result == ADIT_TIMED_OUT;
  }
  EQUAL(opened, 3); /* the pair has one already, and max_bidi_streams is 4 */
  EQUAL(too_late, 1);
  for (int i = 0; i < 4; ++i) EQUAL(adit_release(streams[i], 1), ADIT_OK);
  close_pair(p);
}

static void what_is_released_is_cancelled_and_silent(void) {
  pair p = open_pair();
  adit_handle stream = 0;
  EQUAL(adit_stream_accept(p.accepted, kShortMs, &stream), ADIT_OK);
  EQUAL(adit_release(stream, 1), ADIT_OK);
  EQUAL(wait_for(loop_b, stream, ADIT_READY_DONE, 2 * kShortMs), -1000);
  close_pair(p);
  uint8_t id[32];
  id_of_nobody(66, id);
  const adit_handle connection = dial(id, "127.0.0.1:9", kAlpn, kShortMs);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(wait_for(loop_a, connection, ADIT_READY_DONE, 2 * kShortMs), -1000);
}

static void a_released_handle_is_stale_for_ever(void) {
  adit_handle first = 0, second = 0;
  EQUAL(adit_loop_create(1, &first), ADIT_OK);
  HOLDS(adit_loop_fd(first) >= 0);
  EQUAL(adit_release(first, UINT64_MAX), ADIT_INVALID);
  EQUAL(adit_release(first, 0), ADIT_OK);
  EQUAL(adit_loop_create(1, &second), ADIT_OK);
  HOLDS(first != second);
  EQUAL(adit_loop_fd(first), ADIT_STALE);
  EQUAL(adit_release(first, 0), ADIT_STALE);
  EQUAL(adit_release(0, 0), ADIT_STALE);
  EQUAL(adit_stream_finish(second), ADIT_STALE); /* of another kind */
  uint64_t code;
  uint8_t byte;
  EQUAL(adit_stream_read(0, &byte, 1, &code), ADIT_STALE);
  EQUAL(adit_release(second, 0), ADIT_OK);
}

static void a_full_loop_refuses_a_handle(void) {
  adit_handle small = 0, one = 0, two = 0;
  EQUAL(adit_loop_create(1, &small), ADIT_OK);
  const adit_bytes addr = bytes_of(addr_b), alpn = bytes_of(kAlpn);
  const adit_dial target = {.endpoint_id = id_b, .addrs = &addr, .addr_count = 1, .alpns = &alpn, .alpn_count = 1};
  EQUAL(adit_connect(endpoint_a, small, &target, kDeadlineMs, &one), ADIT_OK);
  EQUAL(adit_connect(endpoint_a, small, &target, kDeadlineMs, &two), ADIT_OVERLOADED);
  /* Its peer can be homed anywhere but there. */
  peek_one();
  EQUAL(adit_listener_accept(listener, small, kDeadlineMs, &two), ADIT_OVERLOADED);
  two = accept_one(loop_b);
  DONE(small, one, ADIT_OK);
  adit_handle stream = 0;
  EQUAL(adit_stream_open(one, kDeadlineMs, &stream), ADIT_OVERLOADED);
  EQUAL(adit_release(one, 5), ADIT_OK);
  EQUAL(wait_for(loop_b, two, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(adit_release(two, 1), ADIT_OK);
  EQUAL(adit_release(small, 0), ADIT_OK);
}

static void a_dial_that_cannot_work_says_why(void) {
  adit_handle connection = 0;
  char words[256] = {0};
  const adit_bytes alpn = bytes_of(kAlpn), addr = bytes_of(addr_b);
  uint8_t unheard_of[32];
  id_of_nobody(55, unheard_of);
  adit_dial target = {.endpoint_id = unheard_of, .alpns = &alpn, .alpn_count = 1};
  /* Only an id; only a relay, where relays are off. */
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_OK);
  DONE(loop_a, connection, ADIT_NO_ROUTE);
  HOLDS(adit_error_text(connection, words, sizeof words - 1) > 0);
  HOLDS(strstr(words, "no relay") != NULL);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  target.relay_url = bytes_of("http://127.0.0.1:1");
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_OK);
  DONE(loop_a, connection, ADIT_NO_ROUTE);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  target.relay_url = (adit_bytes){0};
  target.addrs = &addr;
  target.addr_count = 1;
  /* Ourselves, no ALPN, an empty one. */
  target.endpoint_id = id_a;
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_INVALID);
  target.endpoint_id = id_b;
  target.alpn_count = 0;
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_INVALID);
  const adit_bytes empty = {0};
  target.alpns = &empty;
  target.alpn_count = 1;
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_INVALID);

  /* An ALPN that nobody accepts; an id whose key another holds. */
  adit_handle accepted = 0;
  connection = dial(id_b, addr_b, "contract/unheard-of", kDeadlineMs);
  peek_one();
  EQUAL(adit_listener_accept(listener, loop_b, kDeadlineMs, &accepted), ADIT_OK);
  DONE(loop_a, connection, ADIT_WRONG_PROTOCOL);
  DONE(loop_b, accepted, ADIT_WRONG_PROTOCOL);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(adit_release(accepted, 1), ADIT_OK);
  uint8_t id[32];
  id_of_nobody(33, id);
  connection = dial(id, addr_b, kAlpn, kDeadlineMs);
  peek_one();
  EQUAL(adit_listener_accept(listener, loop_b, kDeadlineMs, &accepted), ADIT_OK);
  DONE(loop_a, connection, ADIT_WRONG_PEER);
  DONE(loop_b, accepted, ADIT_WRONG_PEER);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(adit_release(accepted, 1), ADIT_OK);
}

static void the_acceptor_chooses_among_the_alpns_offered(void) {
  const adit_bytes addr = bytes_of(addr_b);
  const adit_bytes alpns[] = {bytes_of("contract/0"), bytes_of(kAlpn)};
  const adit_dial target = {.endpoint_id = id_b, .addrs = &addr, .addr_count = 1, .alpns = alpns, .alpn_count = 2};
  adit_handle connection = 0;
  EQUAL(adit_connect(endpoint_a, loop_a, &target, kDeadlineMs, &connection), ADIT_OK);
  const adit_handle accepted = accept_one(loop_b);
  DONE(loop_a, connection, ADIT_OK);
  uint8_t alpn[32];
  EQUAL(adit_connection_alpn(connection, alpn, sizeof alpn), (int64_t)strlen(kAlpn));
  EQUAL(memcmp(alpn, kAlpn, strlen(kAlpn)), 0);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(adit_release(accepted, 1), ADIT_OK);
}

static void a_connection_knows_its_peer_and_its_paths(void) {
  pair p = open_pair();
  adit_connection_info info;
  EQUAL(adit_connection_get_info(p.accepted, &info), ADIT_OK);
  EQUAL(memcmp(info.remote_id, id_a, 32), 0);
  EQUAL(info.incoming, 1);
  const long long until = now_ms() + kDeadlineMs;
  do { /* published when the path opens, and anew for each reader */
    HOLDS(now_ms() < until);
    EQUAL(adit_connection_get_info(p.dialled, &info), ADIT_OK);
  } while (info.path_count == 0 || info.paths[0].rtt_us == 0);
  EQUAL(memcmp(info.remote_id, id_b, 32), 0);
  EQUAL(info.incoming, 0);
  EQUAL(info.paths[0].relayed, 0);
  EQUAL(info.paths[0].first, 1);
  EQUAL(info.moves, 0);
  EQUAL(strcmp(info.paths[0].remote, addr_b), 0);
  HOLDS(info.bytes_sent >= 1200 && info.bytes_received >= 1200); /* RFC 9000 §14.1 */
  close_pair(p);
}

static void a_close_carries_code_and_reason(void) {
  pair p = open_pair();
  adit_close_reason reason;
  uint8_t byte;
  uint64_t code = 0;
  EQUAL(adit_connection_close_reason(p.dialled, &reason), ADIT_AGAIN);
  EQUAL(adit_stream_read(p.stream_b, &byte, 1, &code), ADIT_AGAIN);
  EQUAL(adit_connection_close(p.dialled, UINT64_C(1) << 62, bytes_of("")), ADIT_INVALID);
  EQUAL(adit_connection_close(p.dialled, 4, bytes_of("overloaded")), ADIT_OK);
  EQUAL(wait_for(loop_a, p.dialled, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(wait_for(loop_b, p.stream_b, ADIT_READY_READABLE, kDeadlineMs), 0);
  EQUAL(adit_stream_read(p.stream_b, &byte, 1, &code), ADIT_CLOSED);
  EQUAL(adit_stream_write(p.stream_b, &byte, 1, &code), ADIT_CLOSED);
  EQUAL(adit_connection_close_reason(p.dialled, &reason), ADIT_OK);
  EQUAL(reason.kind, ADIT_CLOSE_BY_US);
  EQUAL(adit_connection_close_reason(p.accepted, &reason), ADIT_OK);
  EQUAL(reason.kind, ADIT_CLOSE_BY_PEER);
  EQUAL(reason.code, 4);
  EQUAL(reason.reason_len, 10);
  EQUAL(memcmp(reason.reason, "overloaded", 10), 0);
  adit_handle stream = 0;
  EQUAL(adit_stream_open(p.accepted, kDeadlineMs, &stream), ADIT_OK);
  DONE(loop_b, stream, ADIT_CLOSED);
  EQUAL(adit_release(stream, 1), ADIT_OK);
  adit_release(p.stream_a, 1);
  adit_release(p.stream_b, 1);
  adit_release(p.dialled, 1);
  adit_release(p.accepted, 1);

  /* A connection released open says so with the code of the release. */
  p = open_pair();
  EQUAL(adit_release(p.dialled, 6), ADIT_OK);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(adit_connection_close_reason(p.accepted, &reason), ADIT_OK);
  EQUAL(reason.kind, ADIT_CLOSE_BY_PEER);
  EQUAL(reason.code, 6);
  adit_release(p.stream_a, 1);
  adit_release(p.stream_b, 1);
  adit_release(p.accepted, 1);
}

static void last_words_are_delivered_before_the_close(void) {
  pair p = open_pair();
  static uint8_t words[50000], heard[50000];
  memset(words, 7, sizeof words);
  write_all(loop_a, p.stream_a, words, sizeof words);
  EQUAL(adit_close_when_delivered(p.dialled, p.stream_a, 5, kDeadlineMs), ADIT_OK);
  EQUAL(adit_release(p.dialled, 1), ADIT_STALE);
  EQUAL(adit_release(p.stream_a, 1), ADIT_STALE);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  adit_close_reason reason;
  EQUAL(adit_connection_close_reason(p.accepted, &reason), ADIT_OK);
  EQUAL(reason.code, 5);
  /* The connection is gone, and what it brought can still be read. */
  read_exactly(loop_b, p.stream_b, heard, sizeof heard);
  EQUAL(memcmp(words, heard, sizeof heard), 0);
  uint64_t code = 0;
  EQUAL(adit_stream_read(p.stream_b, heard, 1, &code), ADIT_FIN);
  EQUAL(adit_release(p.stream_b, 1), ADIT_OK);
  EQUAL(adit_release(p.accepted, 1), ADIT_OK);

  /* A peer that does not acknowledge, its window being full, gets its close all the same. */
  p = open_pair();
  int64_t taken;
  while ((taken = adit_stream_write(p.stream_a, words, sizeof words, &code)) > 0) continue;
  EQUAL(taken, ADIT_AGAIN);
  EQUAL(adit_close_when_delivered(p.dialled, p.stream_a, 5, kShortMs), ADIT_OK);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(adit_release(p.stream_b, 1), ADIT_OK);
  EQUAL(adit_release(p.accepted, 1), ADIT_OK);
}

static void a_connection_lives_on_the_loop_it_was_accepted_to(void) {
  adit_handle other = 0;
  EQUAL(adit_loop_create(8, &other), ADIT_OK);
  const adit_handle connection = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  const adit_handle accepted = accept_one(other);
  DONE(loop_a, connection, ADIT_OK);
  adit_handle stream = 0, accepted_stream = 0;
  EQUAL(adit_stream_accept(accepted, kDeadlineMs, &accepted_stream), ADIT_OK);
  EQUAL(adit_stream_open(connection, kDeadlineMs, &stream), ADIT_OK);
  DONE(loop_a, stream, ADIT_OK);
  write_all(loop_a, stream, "x", 1);
  DONE(other, accepted_stream, ADIT_OK);
  EQUAL(adit_release(connection, 2), ADIT_OK);
  EQUAL(wait_for(other, accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  /* A loop may go before its handles: they live on, unheard. */
  EQUAL(adit_release(other, 0), ADIT_OK);
  adit_close_reason reason;
  EQUAL(adit_connection_close_reason(accepted, &reason), ADIT_OK);
  EQUAL(adit_release(stream, 1), ADIT_OK);
  EQUAL(adit_release(accepted_stream, 1), ADIT_OK);
  EQUAL(adit_release(accepted, 1), ADIT_OK);
}

static void a_listener_refuses_beyond_its_bound(void) {
  /* Two wait to be decided: the third is told to come back. */
  const adit_handle one = dial(id_b, addr_b, kAlpn, kDeadlineMs), two = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  const adit_handle three = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  const int64_t before = adit_listener_refused(listener);
  /* Any of the three: their packets may overtake each other. */
  const long long until = now_ms() + kDeadlineMs;
  while (adit_listener_refused(listener) == before) {
    HOLDS(now_ms() < until);
    wait_for(loop_a, three, ADIT_READY_DONE, 50);
  }
  EQUAL(adit_listener_refused(listener), before + 1);
  const adit_handle first = accept_one(loop_b), second = accept_one(loop_b);
  const adit_handle all[] = {one, two, three, first, second};
  for (size_t i = 0; i < 5; ++i) EQUAL(adit_release(all[i], 1), ADIT_OK);
}

static void an_attempt_is_known_before_it_costs_anything_and_may_be_turned_away(void) {
  adit_attempt attempt;
  EQUAL(adit_listener_peek(listener, &attempt), ADIT_AGAIN);
  EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_REFUSE), ADIT_AGAIN);
  EQUAL(adit_listener_turn_away(listener, 9), ADIT_INVALID);
  adit_handle connection = dial(id_b, addr_b, kAlpn, kDeadlineMs), accepted = 0;
  attempt = peek_one();
  HOLDS(strncmp(attempt.source, "127.0.0.1:", 10) == 0);
  EQUAL(attempt.relayed, 0);
  EQUAL(attempt.validated, 0);
  EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_REFUSE), ADIT_OK);
  DONE(loop_a, connection, ADIT_REFUSED);
  EQUAL(adit_release(connection, 1), ADIT_OK);

  /* One that has to prove its address comes again as validated, and then there is nothing left to prove. */
  for (int twice = 0; twice < 2; ++twice) {
    connection = dial(id_b, addr_b, kAlpn, kDeadlineMs);
    EQUAL(peek_one().validated, 0);
    EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_VALIDATE), ADIT_OK);
    EQUAL(peek_one().validated, 1);
    if (twice == 0) {
      accepted = accept_one(loop_b);
      DONE(loop_a, connection, ADIT_OK);
      EQUAL(adit_release(accepted, 1), ADIT_OK);
    } else {
      EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_VALIDATE), ADIT_OK);
      DONE(loop_a, connection, ADIT_REFUSED);
    }
    EQUAL(adit_release(connection, 1), ADIT_OK);
  }

  /* One that is ignored comes again by itself, with the same packet. */
  connection = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  peek_one();
  EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_IGNORE), ADIT_OK);
  accepted = accept_one(loop_b);
  DONE(loop_a, connection, ADIT_OK);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(wait_for(loop_b, accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(adit_release(accepted, 1), ADIT_OK);

  /* One that has gone again before its turn came. That it has is known by its deadline: a release only begins to end it. */
  connection = dial(id_b, addr_b, kAlpn, 1500);
  peek_one();
  DONE(loop_a, connection, ADIT_TIMED_OUT);
  EQUAL(adit_release(connection, 1), ADIT_OK);
  EQUAL(adit_listener_accept(listener, loop_b, kDeadlineMs, &accepted), ADIT_OK);
  DONE(loop_b, accepted, ADIT_REFUSED);
  EQUAL(adit_release(accepted, 1), ADIT_OK);
}

static void closing_an_endpoint_tells_its_peers(void) {
  pair p = open_pair();
  EQUAL(adit_endpoint_close(endpoint_a, kDeadlineMs), ADIT_OK);
  EQUAL(wait_for(loop_a, endpoint_a, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(wait_for(loop_b, p.accepted, ADIT_READY_CLOSED, kDeadlineMs), 0);
  adit_close_reason reason;
  EQUAL(adit_connection_close_reason(p.accepted, &reason), ADIT_OK);
  EQUAL(reason.kind, ADIT_CLOSE_BY_PEER);
  EQUAL(reason.code, 0);
  const adit_handle late = dial(id_b, addr_b, kAlpn, kDeadlineMs);
  DONE(loop_a, late, ADIT_CLOSED);
  EQUAL(adit_release(endpoint_a, 0), ADIT_OK);

  EQUAL(adit_endpoint_close(endpoint_b, kDeadlineMs), ADIT_OK);
  EQUAL(wait_for(loop_b, endpoint_b, ADIT_READY_CLOSED, kDeadlineMs), 0);
  EQUAL(wait_for(loop_b, listener, ADIT_READY_CLOSED, kDeadlineMs), 0);
  adit_handle none = 0;
  adit_attempt attempt;
  EQUAL(adit_listener_peek(listener, &attempt), ADIT_CLOSED);
  EQUAL(adit_listener_accept(listener, loop_b, kDeadlineMs, &none), ADIT_CLOSED);
  EQUAL(adit_listener_turn_away(listener, ADIT_AWAY_REFUSE), ADIT_CLOSED);
}

static void stopping_releases_everything(void) {
  EQUAL(adit_runtime_stop(3000), ADIT_OK);
  EQUAL(adit_loop_fd(loop_a), ADIT_STALE);
  EQUAL(adit_release(endpoint_b, 0), ADIT_STALE);
  EQUAL(adit_runtime_start(1), ADIT_OK);
  EQUAL(adit_runtime_stop(3000), ADIT_OK);
}

#define RUN(rule)          \
  do {                     \
    current = #rule;       \
    kept_count = 0;        \
    rule();                \
    printf("%s\n", #rule); \
    fflush(stdout);        \
  } while (0)

int main(void) {
  RUN(nothing_begins_before_the_runtime);

  current = "set-up";
  EQUAL(adit_loop_create(64, &loop_a), ADIT_OK);
  EQUAL(adit_loop_create(64, &loop_b), ADIT_OK);
  endpoint_a = bind_loopback(loop_a, 11);
  endpoint_b = bind_loopback(loop_b, 22);
  EQUAL(adit_endpoint_id(endpoint_a, id_a), ADIT_OK);
  EQUAL(adit_endpoint_id(endpoint_b, id_b), ADIT_OK);
  HOLDS(adit_endpoint_sockets(endpoint_b, addr_b, sizeof addr_b - 1) > 0);

  RUN(without_a_listener_connections_are_refused);
  const adit_bytes alpns[] = {bytes_of(kAlpn), bytes_of("contract/0")};
  EQUAL(adit_listen(endpoint_b, loop_b, alpns, 2, 2, &listener), ADIT_OK);

  RUN(a_wrong_configuration_is_named);
  RUN(only_the_address_asked_for_is_bound);
  RUN(bytes_arrive_in_order_and_a_finish_is_an_end);
  RUN(parts_are_written_as_one_and_pieces_are_read_where_they_lie);
  RUN(what_was_finished_outlives_its_release);
  RUN(reset_and_stop_carry_their_codes);
  RUN(an_unfinished_stream_released_is_no_clean_end);
  RUN(a_full_window_stops_the_writer_until_the_reader_reads);
  RUN(the_descriptor_is_readable_just_while_events_wait);
  RUN(a_deadline_ends_what_does_not_happen);
  RUN(what_is_released_is_cancelled_and_silent);
  RUN(a_released_handle_is_stale_for_ever);
  RUN(a_full_loop_refuses_a_handle);
  RUN(a_dial_that_cannot_work_says_why);
  RUN(the_acceptor_chooses_among_the_alpns_offered);
  RUN(a_connection_knows_its_peer_and_its_paths);
  RUN(a_close_carries_code_and_reason);
  RUN(last_words_are_delivered_before_the_close);
  RUN(a_connection_lives_on_the_loop_it_was_accepted_to);
  RUN(a_listener_refuses_beyond_its_bound);
  RUN(an_attempt_is_known_before_it_costs_anything_and_may_be_turned_away);
  RUN(closing_an_endpoint_tells_its_peers);
  RUN(stopping_releases_everything);
  return 0;
}
