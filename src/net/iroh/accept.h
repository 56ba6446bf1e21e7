// Who is worth a handshake: decided of a connection attempt by its first packet alone, before it costs anything.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "net/admission.h"

namespace adit::net {

struct AcceptLimits {
  /// Handshakes under way with addresses that nobody has proved. Whoever comes beyond that must first prove its own (QUIC's
  /// Retry, one more round trip), so that a flood of made-up addresses holds these places and no others.
  std::size_t max_unproved = 64;
  /// Endpoint ids (64 lower-case hex digits) that may connect; empty: any.
  std::vector<std::string> allowed;
  /// Endpoint ids that keep a place among strangers, who may connect too. Those that are allow-listed do so anyhow.
  std::vector<std::string> reserved;
};

/// The policy of one listener, without I/O. Any thread.
///
/// Places are the listener's Admission's, which TCP's come from as well. Sources are an IPv4 address, an IPv6 /64, a relay
/// (whose share of all is thereby bounded). An endpoint id for which a relay vouches is a source of its own only when it is
/// named by the operator, or has had shares accepted: ids are free to make.
class AcceptPolicy {
 public:
  AcceptPolicy(const AcceptLimits& limits, Admission admission);

  struct Attempt {
    std::string_view source;      ///< "ip:port" or the relay's URL.
    std::string_view vouched_id;  ///< The endpoint id that a relay vouches for; empty: it comes directly.
    bool validated = false;       ///< It has proved its address.
  };

  /// A connection's place; given back on destruction. Must not outlive the policy.
  class [[nodiscard]] Place {
   public:
    Place(Admission::Token token, std::atomic<std::size_t>* unproved) : token_(std::move(token)), unproved_(unproved) {}
    Place(Place&& other) noexcept : token_(std::move(other.token_)), unproved_(std::exchange(other.unproved_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() { proved(); }

    /// The handshake is done, which proves an address too.
    void proved() {
      if (auto* const count = std::exchange(unproved_, nullptr)) --*count;
    }
    /// As Admission::Token.
    void trust(Instant now) { token_.trust(now); }
    bool charge(std::int64_t cost, Instant now) { return token_.charge(cost, now); }
    void on_displaced(std::function<void()> close) { token_.on_displaced(std::move(close)); }
    /// For the connection's life from now on: it may outlive the policy.
    Admission::Token take() {
      proved();
      return std::move(token_);
    }

   private:
    Admission::Token token_;
    std::atomic<std::size_t>* unproved_;
  };

  enum class Verdict : std::uint8_t {
    kAccept,    ///< Begin its handshake.
    kValidate,  ///< It has to prove its address first.
    kRefuse,    ///< Not now, or not this id.
  };
  struct Decision {
    Verdict verdict;
    std::optional<Place> place;  ///< With kAccept.
  };
  Decision decide(const Attempt& attempt, Instant now);

  /// Whether `endpoint_id`, now proved by TLS, may connect.
  [[nodiscard]] bool allows(std::string_view endpoint_id) const;
  /// The operator has named it, so that its connections count as proven ones.
  [[nodiscard]] bool is_named(std::string_view endpoint_id) const;

  struct Counts {
    std::uint64_t refused = 0;    ///< For want of a place, or not on the allow-list; the Admission counts them as well.
    std::uint64_t validated = 0;  ///< Sent to prove their address.
  };
  [[nodiscard]] Counts counts() const;

  /// Somebody who is not on the list came so far as to prove it.
  void count_refused();

 private:
  const std::set<std::string, std::less<>> allowed_;
  const std::set<std::string, std::less<>> reserved_;
  const std::size_t max_unproved_;
  Admission admission_;
  std::atomic<std::size_t> unproved_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> validated_{0};
};

}  // namespace adit::net
