#include "monitor/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "base/fair_share.h"
#include "base/text.h"
#include "log/format.h"

namespace adit::monitor {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::MetricFamily family(std::string name, std::string help) {
  return {.name = std::move(name), .help = std::move(help), .type = prometheus::MetricType::Gauge, .metric = {}};
}

void add(prometheus::MetricFamily& to, double value, Labels labels = {}) {
  prometheus::ClientMetric& metric = to.metric.emplace_back();
  metric.label = std::move(labels);
  metric.gauge.value = value;
}

prometheus::MetricFamily single(std::string name, std::string help, double value) {
  auto out = family(std::move(name), std::move(help));
  add(out, value);
  return out;
}

void add_workers(std::vector<prometheus::MetricFamily>& out, const SideSample& sample) {
  if (sample.workers == 0) return;
  std::map<std::uint32_t, std::size_t> listed;
  for (const WorkerSample& worker : sample.worker_list) ++listed[worker.client_id];
  std::vector<std::size_t> counts(listed.size());
  std::ranges::transform(listed, counts.begin(), [](const auto& of_client) { return of_client.second; });
  const std::size_t each = fair_share(counts, kMaxWorkersInMetrics);
  auto hashrate = family("adit_worker_hashrate", "Hashes per second that a worker's shares prove");
  auto accepted = family("adit_worker_shares_accepted_total", "Accepted shares of a worker");
  auto rejected = family("adit_worker_shares_rejected_total", "Rejected shares of a worker");
  auto work = family("adit_worker_share_work_total", "Sum of the difficulties of a worker's accepted shares");
  std::map<std::uint32_t, std::size_t> told;
  for (const WorkerSample& worker : sample.worker_list) {
    if (told[worker.client_id]++ >= each) continue;
    const Labels labels = {{"client_id", std::to_string(worker.client_id)}, {"worker", label_value(worker.worker)}};
    add(hashrate, worker.hashrate_hps, labels);
    add(accepted, static_cast<double>(worker.shares_accepted), labels);
    add(rejected, static_cast<double>(worker.shares_rejected), labels);
    add(work, worker.share_work, labels);
  }
  out.push_back(single("adit_workers", "Workers that clients name, here or not", static_cast<double>(sample.workers)));
  for (auto* one : {&hashrate, &accepted, &rejected, &work}) {
    if (!one->metric.empty()) out.push_back(std::move(*one));
  }
}

// `side` is "server" or "client". Only channels with clients say which client.
void add_side(std::vector<prometheus::MetricFamily>& out, const SideSample& sample, const std::string& side) {
  const bool clients = side == "client";
  const std::string of = clients ? " of channels with clients" : " of channels with the server";
  auto hashrate = family("sv2_" + side + "_channel_hashrate", "Nominal hashes per second" + of);
  auto accepted = family("sv2_" + side + "_shares_accepted_total", "Accepted shares" + of);
  auto work = family("sv2_" + side + "_channel_share_work_total", "Sum of the difficulties of accepted shares" + of);
  auto rejected = family("sv2_" + side + "_shares_rejected_total", "Rejected shares" + of + " by error code");
  for (const ChannelSample& channel : sample.channels) {
    Labels labels;
    if (clients) labels.push_back({"client_id", std::to_string(channel.client_id)});
    labels.push_back({"channel_id", std::to_string(channel.channel_id)});
    labels.push_back({"user_identity", label_value(channel.user_identity)});
    add(hashrate, channel.hashrate_hps, labels);
    add(accepted, static_cast<double>(channel.shares_accepted), labels);
    if (clients) add(work, channel.share_work, labels);
    for (const auto& [code, count] : channel.shares_rejected) {
      Labels with_code = labels;
      with_code.push_back({"error_code", label_value(code)});
      add(rejected, static_cast<double>(count), std::move(with_code));
    }
  }
  auto types = family("sv2_" + side + "_channels", "Number" + of + " by type");
  add(types, static_cast<double>(sample.standard_channels), {{"channel_type", "standard"}});
  add(types, static_cast<double>(sample.extended_channels), {{"channel_type", "extended"}});

  if (clients) out.push_back(single("sv2_clients_total", "Connected clients", static_cast<double>(sample.connections)));
  out.push_back(std::move(types));
  out.push_back(single("sv2_" + side + "_hashrate_total", "Nominal hashes per second" + of + ", in sum", sample.hashrate_hps));
  out.push_back(
      single("sv2_" + side + "_blocks_found_total", "Blocks found since the start", static_cast<double>(sample.blocks_found)));
  for (auto* each : {&hashrate, &accepted, &work, &rejected}) {
    if (!each->metric.empty()) out.push_back(std::move(*each));
  }
  if (clients) add_workers(out, sample);
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot, double uptime_seconds) {
  std::vector<prometheus::MetricFamily> families;
  families.push_back(single("sv2_uptime_seconds", "Seconds since the start", uptime_seconds));
  if (snapshot.server) add_side(families, *snapshot.server, "server");
  if (snapshot.clients) add_side(families, *snapshot.clients, "client");
  if (snapshot.sv1) {
    families.push_back(single("sv1_clients_total", "Connected Stratum V1 miners", static_cast<double>(snapshot.sv1->clients)));
    families.push_back(
        single("sv1_hashrate_total", "Hashes per second of Stratum V1 miners, in sum", snapshot.sv1->hashrate_hps));
  }
  for (const GaugeSample& gauge : snapshot.gauges) {
    if (families.back().name != gauge.name) families.push_back(family(gauge.name, gauge.help));
    std::vector<prometheus::ClientMetric::Label> labels;
    for (const auto& [name, value] : gauge.labels) labels.push_back({name, label_value(value)});
    add(families.back(), gauge.value, std::move(labels));
  }
  for (const HistogramSample& sample : snapshot.histograms) {
    if (families.back().name != sample.name) {
      families.push_back({.name = sample.name, .help = sample.help, .type = prometheus::MetricType::Histogram, .metric = {}});
    }
    prometheus::ClientMetric& metric = families.back().metric.emplace_back();
    for (const auto& [name, value] : sample.labels) metric.label.push_back({name, label_value(value)});
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < sample.counts.size(); ++i) {
      below += sample.counts[i];
      const double bound = i < sample.bounds.size() ? sample.bounds[i] : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({.cumulative_count = below, .upper_bound = bound});
    }
    metric.histogram.sample_count = below;
    metric.histogram.sample_sum = sample.sum;
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::string workers_json(const Snapshot& snapshot) {
  const SideSample none;
  const SideSample& side = snapshot.clients ? *snapshot.clients : none;
  std::string out = "{\"total\":" + std::to_string(side.workers) + ",\"workers\":[";
  for (const WorkerSample& sample : side.worker_list) {
    if (out.back() == '}') out += ',';
    out += "{\"client_id\":" + std::to_string(sample.client_id) + ",\"worker\":";
    append_json_string(out, sample.worker);
    out += ",\"hashrate_hps\":" + std::to_string(sample.hashrate_hps) +
           ",\"shares_accepted\":" + std::to_string(sample.shares_accepted) +
           ",\"shares_rejected\":" + std::to_string(sample.shares_rejected) +
           ",\"share_work\":" + std::to_string(sample.share_work) + "}";
  }
  return out + "]}";
}

std::string connections_json(const Snapshot& snapshot) {
  std::string out = "{\"connections\":[";
  for (const ConnectionSample& sample : snapshot.connections) {
    if (out.back() == '}') out += ',';
    const auto text = [&out](std::string_view name, std::string_view value) {
      (out += ",\"").append(name) += "\":";
      append_json_string(out, value);
    };
    const auto number = [&out](std::string_view name, const auto& value) {
      (out += ",\"").append(name).append("\":").append(std::to_string(value));
    };
    out += "{\"client_id\":" + std::to_string(sample.client_id);
    text("transport", sample.transport);
    text("peer", sample.peer);
    text("source", sample.source);
    text("path", sample.path);
    number("lanes", sample.lanes);
    number("sessions", sample.sessions);
    text("authority", sample.authority);
    text("health", sample.health);
    text("health_reason", sample.health_reason);
    if (sample.rtt_seconds) number("rtt_seconds", *sample.rtt_seconds);
    number("bytes_sent", sample.bytes_sent);
    number("bytes_received", sample.bytes_received);
    number("packets_sent", sample.packets_sent);
    number("packets_lost", sample.packets_lost);
    number("path_changes", sample.path_changes);
    number("age_seconds", sample.age_seconds);
    number("channels", sample.channels);
    out += '}';
  }
  return out + "]}";
}

}  // namespace adit::monitor
