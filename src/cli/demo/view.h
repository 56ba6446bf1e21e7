// What `adit demo` shows: the log lines of its children, turned into words for a person and into a summary. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace adit::cli {

enum class Part { kPool, kTranslator, kMiner };

/// What `adit demo --json` prints.
struct DemoSummary {
  std::uint64_t shares_accepted = 0;  ///< By the pool.
  std::uint64_t shares_rejected = 0;
  std::uint64_t blocks_found = 0;
  std::uint64_t height = 0;  ///< Of the embedded chain.
  std::string transport;     ///< Of the translator's upstream: "iroh". Empty: it never connected.
  std::string alpn;          ///< The protocol agreed on there; empty over TCP.
  std::uint64_t lanes = 0;   ///< Streams that carry it.
  std::string path;          ///< "direct", "relayed", "unknown".
  std::uint64_t rtt_us = 0;

  [[nodiscard]] bool succeeded() const { return shares_accepted > 0 && blocks_found > 0; }
  [[nodiscard]] std::string json() const;
};

/// Takes the children's JSON log lines. Values that peers chose are shown without control characters.
class DemoView {
 public:
  /// `colour`: with ANSI colours. `transport`: "iroh" or "tcp", by which the translator is to reach the pool.
  DemoView(bool colour, std::string transport) : colour_(colour), transport_(std::move(transport)) {}

  /// A line to show for a line of `part`'s log, `elapsed_s` seconds after the start; nullopt for what is only counted.
  std::optional<std::string> on_log(Part part, double elapsed_s, std::string_view line);

  /// The pool's URL for that transport, once it listens.
  [[nodiscard]] const std::string& pool_url() const { return pool_url_; }
  /// "host:port" of the translator's SV1 listener, once the translator listens.
  [[nodiscard]] const std::string& translator_address() const { return translator_address_; }

  [[nodiscard]] const DemoSummary& summary() const { return summary_; }

  /// The summary in words.
  [[nodiscard]] std::string closing() const;

 private:
  [[nodiscard]] std::string row(Part part, double elapsed_s, std::string_view text, std::string_view colour) const;

  bool colour_;
  std::string transport_;
  std::string pool_url_;
  std::string translator_address_;
  DemoSummary summary_;
  std::uint64_t shown_accepted_ = 0;
  double shown_at_ = -1e9;    ///< When the counts were shown last, in seconds after the start.
  bool tip_shown_ = false;    ///< The first work was shown: what comes after it is counted.
  bool block_shown_ = false;  ///< Likewise the first block.
};

}  // namespace adit::cli
