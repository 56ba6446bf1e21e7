#include "cli/demo/view.h"

#include <cstdio>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace adit::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kReset = "\x1b[0m";

/// Seconds.
constexpr double kBetweenSummaries = 5;

std::string_view name_of(Part part) {
  switch (part) {
    case Part::kPool:
      return "pool";
    case Part::kTranslator:
      return "translator";
    case Part::kMiner:
      return "miner";
  }
  return "";
}

// A field as text; what came from a peer keeps no control character.
std::string text(const json::object& event, std::string_view key) {
  const json::value* value = event.if_contains(key);
  if (value == nullptr) return "";
  std::string text = value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::uint64_t number(const json::object& event, std::string_view key) {
  const json::value* value = event.if_contains(key);
  if (value == nullptr) return 0;
  const auto whole = value->try_to_number<std::uint64_t>();
  return whole ? *whole : 0;
}

std::string milliseconds(std::uint64_t microseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f ms", static_cast<double>(microseconds) / 1000);
  return text;
}

std::string lanes(const DemoSummary& summary) {
  if (summary.lanes < 2) return {};
  return " on " + std::to_string(summary.lanes) + " lanes (" + summary.alpn + ")";
}

}  // namespace

std::string DemoSummary::json() const {
  return json::serialize(json::object{
      {"shares_accepted", shares_accepted},
      {"shares_rejected", shares_rejected},
      {"blocks_found", blocks_found},
      {"height", height},
      {"upstream",
       json::object{{"transport", transport}, {"alpn", alpn}, {"lanes", lanes}, {"path", path}, {"rtt_us", rtt_us}}},
  });
}

std::string DemoView::row(Part part, double elapsed_s, std::string_view text, std::string_view colour) const {
  char front[64];
  const std::string_view name = name_of(part);
  std::snprintf(front, sizeof front, "%6.1fs  %-10.*s  ", elapsed_s, static_cast<int>(name.size()), name.data());
  std::string row = colour_ ? std::string(kDim) + front + std::string(kReset) : front;
  if (colour_) row += colour;
  row += text;
  if (colour_ && !colour.empty()) row += kReset;
  return row;
}

std::optional<std::string> DemoView::on_log(Part part, double elapsed_s, std::string_view line) {
  boost::system::error_code error;
  const json::value parsed = json::parse(line, error);
  if (error || !parsed.is_object()) return row(part, elapsed_s, line, kYellow);
  const json::object& event = parsed.as_object();
  const std::string name = text(event, "event");
  const auto show = [&](const std::string& words, std::string_view colour = "") { return row(part, elapsed_s, words, colour); };

  if (name == "pool.listening") {
    const std::string url = text(event, "url");
    if (text(event, "transport") == transport_) pool_url_ = url;
    return show("listening: " + url);
  }
  if (name == "monitor.listening") return show("open in a browser: " + text(event, "url"), kGreen);
  if (name == "pool.tip") {
    summary_.height = number(event, "height") - 1;
    if (std::exchange(tip_shown_, true)) return std::nullopt;
    return show("work for block " + text(event, "height") + " of an empty chain");
  }
  if (name == "pool.stats") {
    summary_.shares_accepted = number(event, "shares_accepted");
    summary_.shares_rejected = number(event, "shares_rejected");
    summary_.blocks_found = number(event, "blocks_found");
    if (summary_.shares_accepted == shown_accepted_ || elapsed_s - shown_at_ < kBetweenSummaries) return std::nullopt;
    shown_accepted_ = summary_.shares_accepted;
    shown_at_ = elapsed_s;
    return show("shares accepted " + text(event, "shares_accepted") + ", rejected " + text(event, "shares_rejected") +
                ", blocks " + text(event, "blocks_found"));
  }
  if (name == "pool.block_found") {
    if (std::exchange(block_shown_, true)) return std::nullopt;
    return show("BLOCK " + text(event, "height") + "  " + text(event, "hash") + ": the next ones are counted", kGreen);
  }

  if (name == "translator.listening") {
    translator_address_ = text(event, "address");
    return show("listening for Stratum V1 miners: " + translator_address_);
  }
  if (name == "translator.upstream_connected") {
    summary_.transport = text(event, "transport");
    summary_.alpn = text(event, "alpn");
    summary_.lanes = number(event, "lanes");
    return show("reached the pool over " + summary_.transport + lanes(summary_) + ", endpoint " + text(event, "peer"));
  }
  if (name == "translator.path") {
    const std::string path = text(event, "path");
    const bool changed = path != summary_.path;
    summary_.path = path;
    summary_.rtt_us = number(event, "rtt_us");
    if (!changed) return std::nullopt;
    return show("path to the pool: " + path + ", round trip " + milliseconds(summary_.rtt_us), kGreen);
  }
  if (name == "translator.share_rejected") return show("the pool refused a share: " + text(event, "message"), kYellow);

  if (name == "miner.connected") return show("connected to " + text(event, "peer") + ", hashing");
  if (name == "miner.share_rejected") return show("share refused: " + text(event, "code"), kYellow);

  const std::string level = text(event, "level");
  if (level == "error" || level == "warn") {
    std::string words = name;
    for (const auto& [key, value] : event) {
      if (key != "event" && key != "level" && key != "ts") words.append("  ").append(key).append("=").append(text(event, key));
    }
    return show(words, level == "error" ? kRed : kYellow);
  }
  return std::nullopt;
}

std::string DemoView::closing() const {
  std::string words = "shares accepted " + std::to_string(summary_.shares_accepted) + ", rejected " +
                      std::to_string(summary_.shares_rejected) + "; blocks found " + std::to_string(summary_.blocks_found) +
                      "; height " + std::to_string(summary_.height);
  if (!summary_.transport.empty()) {
    words += "; translator to pool: " + summary_.transport + lanes(summary_) + ", " +
             (summary_.path.empty() ? "unknown" : summary_.path) + " path, round trip " + milliseconds(summary_.rtt_us);
  }
  return words;
}

}  // namespace adit::cli
