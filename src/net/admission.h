// Who may connect: places for connections, of which no source can take what others need, held as tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/cost_budget.h"
#include "base/result.h"
#include "base/time.h"
#include "net/error.h"
#include "net/metadata.h"

namespace adit::net {

/// A connection is a *handshake* until it is set up, *unproven* until a share of its own is accepted, and *proven* from then
/// on, as long as its last accepted share is no older than proof_time; that of a peer that the operator has named is proven by
/// that alone. A source has *standing* while it has a proven
/// connection, and for standing_time afterwards.
struct AdmissionLimits {
  std::size_t max_connections = 50'000;
  std::size_t max_handshakes = 8'192;
  /// Connections of one source that are not proven, handshakes included. 0: 4 % of max_connections, at least 64, at most
  /// half of max_connections.
  std::size_t max_unproven_per_source = 0;
  /// Handshakes of one source. 0: a 32nd of max_handshakes, at least 16, at most half of max_handshakes.
  std::size_t max_handshakes_per_source = 0;
  /// Of max_connections and of max_handshakes: so much is kept for sources that have standing, and so much again for these and
  /// for the first connection of any source.
  std::size_t reserve_percent = 10;
  /// What the connections of one source may cost: kConnect for each, kFailedHandshake more where the handshake fails, kChurn
  /// for a stream that comes to nothing, kCutOff for a session that is cut off. A connection that becomes proven earns kProven.
  CostAllowance source_costs{.amount = 2'000, .period = std::chrono::seconds(10)};
  /// So long a handshake is not given up for another one of the same source.
  Duration handshake_time = std::chrono::seconds(1);
  /// So long a connection may be unproven before it is given up for another one when all places are taken; a quarter of it if
  /// its source has a crowd of them.
  Duration unproven_time = std::chrono::seconds(60);
  Duration proof_time = std::chrono::minutes(10);
  Duration standing_time = std::chrono::hours(24);

  /// The same with the bounds per source that 0 stands for.
  [[nodiscard]] AdmissionLimits resolved() const;

  static constexpr std::int64_t kConnect = 1;
  static constexpr std::int64_t kFailedHandshake = 9;
  static constexpr std::int64_t kChurn = 1;
  static constexpr std::int64_t kCutOff = 20;
  static constexpr std::int64_t kProven = 10;
};

/// Descriptors that a process needs for everything but its clients: found blocks, nodes, monitor, log, libraries.
inline constexpr std::size_t kReservedDescriptors = 256;

/// `limits`, reduced to what a process can honour that may have `descriptors` descriptors open: all but kReservedDescriptors of
/// them, or half of them if that is more.
AdmissionLimits within_descriptors(AdmissionLimits limits, std::size_t descriptors);

/// What quotas count by, from "ip:port" or a relay's URL: an IPv4 address, the /64 of an IPv6 address (a home's smallest
/// share), the URL as it is. Text that is neither is one source of its own.
std::string source_key(std::string_view source);
/// The same of a connection: of its source, or of its peer where the source is unknown.
std::string source_key(const ConnectionMetadata& metadata);

/// One for all listeners of a role, over whatever carrier: copies share what they count. Any thread: each call holds a lock for
/// a few look-ups. Time is an argument.
///
/// When places are wanting, the one that is of least use goes: the oldest handshake of the source that has most of them,
/// sources with standing last; where there is none, the connection that has been unproven for longest (unproven_time at least),
/// of the source that has most of these. No source displaces another's to have more than that one has, unless it has standing
/// and the other has not. At a bound of its own, a source displaces its own.
class Admission {
  struct Source;
  struct Place;
  struct State;

 public:
  explicit Admission(const AdmissionLimits& limits);

  /// A place for one connection, given back on destruction; until established() it counts as a handshake. One thread at a time.
  class [[nodiscard]] Token {
   public:
    Token(Token&&) noexcept = default;
    Token& operator=(Token&&) = delete;
    ~Token();

    /// The handshake is done.
    void established(Instant now);

    /// To be called about once a second. `worked`: a share of the connection was accepted since the last call. Costs nothing as
    /// long as nothing changes.
    void look(bool worked, Instant now);

    /// The peer is one that the operator has named: the connection is proven from now on, as long as it lasts.
    void trust(Instant now);

    /// The peer has cost that much (AdmissionLimits). False: its source has used up what its peers may cost.
    bool charge(std::int64_t cost, Instant now);

    /// `close` is called once another connection has this place: at once if one has it already, else on whatever thread admits
    /// that one, under the lock: it may post, and nothing else. It replaces the one before, and is never called once the token
    /// is destroyed.
    void on_displaced(std::function<void()> close);

    /// The source that it counts to, by its key (source_key, or an id that a relay vouches for); empty once another connection
    /// has this place.
    [[nodiscard]] std::string source() const;

    /// Whether another connection has this place.
    [[nodiscard]] bool is_displaced() const;

   private:
    friend class Admission;
    using Position = std::list<Place>::iterator;
    Token(std::shared_ptr<State> state, Position place) : state_(std::move(state)), place_(place) {}

    std::shared_ptr<State> state_;  ///< Null once moved from.
    Position place_;
    std::optional<Instant> worked_at_;  ///< A share was accepted for the last time.
    bool handshaking_ = true;
    bool proven_ = false;
    bool trusted_ = false;
  };

  /// `vouched_id`: an identity that another vouches for (a relay, for an endpoint's id); one that has standing is a source of
  /// its own, others are free to make and count as `source`. Errors: kOverloaded, in a sentence that names the bound.
  Result<Token> admit(std::string_view source, Instant now, std::string_view vouched_id = {});

  /// A place beside `other`, of the same source: for one more session of its connection. Errors: as admit.
  Result<Token> admit_beside(const Token& other, Instant now);

  /// One was turned away for a reason that is not a bound here.
  void count_refused();

  struct Counts {
    std::size_t connections = 0;
    std::size_t handshakes = 0;
    std::size_t proven = 0;
    std::size_t sources = 0;      ///< That are remembered, with connections or without.
    std::uint64_t refused = 0;    ///< Since start.
    std::uint64_t displaced = 0;  ///< Since start.
  };
  [[nodiscard]] Counts counts() const;

  /// As they apply: resolved.
  [[nodiscard]] const AdmissionLimits& limits() const;

  /// Sources without a connection that are remembered: because their peers cost something lately, and because they have
  /// standing. Of more, those go first that had no connection for longest.
  static constexpr std::size_t kMaxIdle = 16'384;
  static constexpr std::size_t kMaxStanding = 65'536;

 private:
  Result<Token> take(Source& source, std::string_view vouched_id, Instant now);

  std::shared_ptr<State> state_;
};

}  // namespace adit::net
