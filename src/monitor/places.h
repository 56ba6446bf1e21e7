// Who holds the monitor's connections. An engine: no sockets, no time; who came first counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace adit::monitor {

/// A bounded number of connections, which no source can use up: a newcomer is always let in, if need be in the place of one
/// that is of least use: an idle one, else one that is sending its request, else one that is taking its answer; of these one of
/// the source that has the most connections; of these the one that has been so for longest. If the newcomer's own source has as
/// many as one may have, it is one of those. So connections that are held for nothing go first, and a client that asks and
/// reads without delay goes last.
class Places {
 public:
  struct Limits {
    std::size_t connections = 64;
    std::size_t per_source = 16;
    std::size_t reserve = 8;             ///< So many of them are for sources that have none yet.
    std::size_t streams = 16;            ///< So many may be answers without end, such as events,
    std::size_t streams_per_source = 8;  ///< and so many of one source.
  };

  enum class State : std::uint8_t {
    kIdle,       ///< Between two requests.
    kReading,    ///< It is expected to send a request, or is sending it.
    kAnswering,  ///< It is being answered.
    kStreaming,  ///< It is being answered without end: never displaced, but bounded in number.
  };
  using Id = std::uint64_t;

  explicit Places(const Limits& limits) : limits_(limits) {}

  struct Admitted {
    Id id = 0;
    std::optional<Id> displaced;  ///< To be closed; it has no place any more.
  };
  /// A new connection, which begins by reading. `source`: its address, or the network that is one customer's. Absent: there is
  /// no room, as everything that is there streams.
  std::optional<Admitted> admit(const std::string& source);

  /// `state` is not kStreaming. Of a connection that was displaced: no effect.
  void set(Id id, State state);
  /// False: there are as many streams as there may be, or the connection was displaced.
  bool begin_stream(Id id);
  void leave(Id id);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string source;
    State state = State::kReading;
    std::uint64_t since = 0;  ///< Orders the changes of state.
  };
  [[nodiscard]] std::size_t count(const std::string& source) const;
  /// `only`: among the connections of that source.
  [[nodiscard]] std::optional<Id> least_useful(const std::string* only) const;

  Limits limits_;
  std::map<Id, Entry> entries_;
  std::uint64_t last_ = 0;
};

}  // namespace adit::monitor
