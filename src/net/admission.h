// Who may connect: bounds on connections and on handshakes, in all and per source, held as tokens.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "net/error.h"

namespace adit::net {

struct AdmissionLimits {
  std::size_t max_connections = 50'000;
  std::size_t max_connections_per_source = 20'000;  ///< A farm behind one address is one source.
  std::size_t max_handshakes = 8'192;               ///< Connections whose handshake is not done; at most 10 s each.
  std::size_t max_handshakes_per_source = 4'096;
};

/// What quotas count by, from "ip:port" or a relay's URL: an IPv4 address, the /64 of an IPv6 address (a home's smallest
/// share), the URL as it is. Text that is neither is one source of its own.
std::string source_key(std::string_view source);

/// One for all listeners of a role, over whatever carrier: copies share what they count. Any thread: taking and giving back
/// hold a lock for a map's lookup, twice in a connection's life.
class Admission {
  struct Source {
    std::size_t connections = 0;
    std::size_t handshakes = 0;
  };
  using Sources = std::map<std::string, Source, std::less<>>;
  struct State;

 public:
  explicit Admission(AdmissionLimits limits);

  /// A place for one connection, given back on destruction; until established() it counts as a handshake too.
  class [[nodiscard]] Token {
   public:
    Token(Token&&) noexcept = default;
    Token& operator=(Token&&) = delete;
    ~Token();

    /// The handshake is done.
    void established();

   private:
    friend class Admission;
    Token(std::shared_ptr<State> state, Sources::iterator source) : state_(std::move(state)), source_(source) {}

    std::shared_ptr<State> state_;  ///< Null once moved from.
    Sources::iterator source_;
    bool handshaking_ = true;
  };

  /// Errors: kOverloaded, in a sentence that names the bound.
  Result<Token> admit(std::string_view source);

  /// A place beside `other`, of the same source: for one more session of its connection. Errors: as admit.
  Result<Token> admit_beside(const Token& other);

  /// One was turned away for a reason that is not a bound here.
  void count_refused();

  struct Counts {
    std::size_t connections = 0;
    std::size_t handshakes = 0;
    std::size_t refused = 0;  ///< Since start.
  };
  [[nodiscard]] Counts counts() const;

 private:
  Result<Token> take(std::string key);

  std::shared_ptr<State> state_;
};

}  // namespace adit::net
