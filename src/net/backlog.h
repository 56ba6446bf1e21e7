// What the peers of each source leave unread, in sum: however many connections a source has, a shard keeps no more for them
// than a bound. An engine: it neither sends nor closes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace adit::net {

/// Bytes that wait for peers to read them, on one shard.
struct BacklogBounds {
  std::size_t per_source = 16u << 20;  ///< For all connections of one source together.
  std::size_t in_all = 128u << 20;     ///< For all connections together.

  /// Bounds under which a connection alone is never cut off before its own bound of `max_queued_bytes`, nor are four.
  static BacklogBounds above(std::size_t max_queued_bytes);
};

/// One for all connections of a process's role on one shard, on whose thread everything is called. Takes no memory but when a
/// connection joins it.
///
/// Whenever a source's sum is above its bound, one of that source's connections is cut off: of those that keep at least the
/// source's average waiting, the one that has taken nothing for longest. Whenever the sum of all is, one of the largest source
/// (within a factor of two) is, by the same choice. So a peer that reads keeps its connection beside any number that do not,
/// also at one address with them.
class Backlog {
  struct Source;
  /// What is in a List has its neighbours.
  template <class T>
  struct Link {
    T* before = nullptr;
    T* behind = nullptr;

   private:
    friend T;
    Link() = default;
  };

 public:
  explicit Backlog(BacklogBounds bounds) : bounds_(bounds) {}
  ~Backlog();  ///< Every queue has left.
  Backlog(const Backlog&) = delete;
  Backlog& operator=(const Backlog&) = delete;

  /// The send queue of one connection. Counted nowhere until it joins. While something waits in it, it is in the list of its
  /// source, behind those that took a byte less lately.
  class Queue : private Link<Queue> {
   public:
    Queue() = default;
    virtual ~Queue() { leave(); }
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    /// Is counted to `source`, as Admission names it, from now on, with nothing in it. Once.
    void join(Backlog& backlog, std::string_view source);

    /// Is counted no more. Idempotent.
    void leave();

    /// `bytes` wait now; `moved`: the carrier took some since the last call. May cut off any connection, this one too: then it
    /// has left.
    void report(std::size_t bytes, bool moved = false) {
      if ((bytes | bytes_) != 0 && backlog_ != nullptr) change(bytes, moved);
    }

   protected:
    /// Ends the connection, `reason` being a whole sentence; it has left already. Called from inside report(), also another
    /// queue's: calls no report() of a queue that has not left.
    virtual void cut_off(std::string reason) = 0;

   private:
    friend class Backlog;
    void change(std::size_t bytes, bool moved);

    Backlog* backlog_ = nullptr;
    Source* source_ = nullptr;
    std::size_t bytes_ = 0;
  };

  struct Counts {
    std::size_t bytes = 0;    ///< That wait now.
    std::size_t sources = 0;  ///< With connections, now.
    std::uint64_t cut = 0;    ///< Connections, since the start.

    void add(const Counts& others) {
      bytes += others.bytes;
      sources += others.sources;
      cut += others.cut;
    }
  };
  [[nodiscard]] Counts counts() const { return {.bytes = bytes_, .sources = sources_.size(), .cut = cut_}; }
  [[nodiscard]] const BacklogBounds& bounds() const { return bounds_; }

 private:
  /// Of what has its Link.
  template <class T>
  struct List {
    T* front = nullptr;
    T* back = nullptr;
    void append(T& item);
    void remove(T& item);
  };
  struct Source : Link<Source> {
    std::string key;
    std::size_t queues = 0;   ///< That have joined.
    std::size_t bytes = 0;    ///< That wait.
    std::size_t waiting = 0;  ///< Queues in which something waits, which are listed:
    List<Queue> stalled;      ///< The one that took nothing for longest is the first.
  };
  /// Sources by the logarithm of their bytes: the largest is found without looking at all.
  static constexpr std::size_t kSizes = 65;

  void resize(Source& source, std::size_t bytes);
  void cut_one(Source& source, const std::string& whose, std::size_t bound);

  const BacklogBounds bounds_;
  std::size_t bytes_ = 0;
  std::uint64_t cut_ = 0;
  std::unordered_map<std::string, Source> sources_;
  std::array<List<Source>, kSizes> by_size_;
};

}  // namespace adit::net
