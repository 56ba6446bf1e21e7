#include "template/source_list.h"

#include <algorithm>
#include <utility>

#include "log/log.h"

namespace adit::templates {
namespace {

bool is_not_here(const Error& error) { return error.is(Errc::kUnknownTemplate) || error.is(Errc::kStaleTemplate); }

/// Of two sources that lack a template, what the one says that had it once.
void note(std::optional<Error>& found, Error error) {
  if (!found || error.is(Errc::kStaleTemplate)) found = std::move(error);
}

std::string why(const SourceStatus& status) {
  return status.node + ": " + (status.state == SourceState::kReady ? "it is behind the others" : status.message);
}

}  // namespace

SourceList::SourceList(std::vector<std::unique_ptr<TemplateSource>> sources)
    : sources_(std::move(sources)), members_(sources_.size()) {}

SourceList::~SourceList() { SourceList::stop(); }

Result<> SourceList::start(SourceEvents events) {
  events_ = std::move(events);
  summary_.not_ready_since = now_from_system().instant;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    SourceEvents own;
    own.on_template = [this, i](TemplatePtr made, bool) { on_template(i, std::move(made)); };
    own.on_status = [this, i](const SourceStatus& status) { on_status(i, status); };
    own.on_block_kept = events_.on_block_kept;
    own.on_block_result = events_.on_block_result;
    own.next_template_id = events_.next_template_id ? events_.next_template_id : [this] { return ++last_id_; };
    if (auto started = sources_[i]->start(std::move(own)); !started) {
      stop();
      return started;
    }
  }
  return {};
}

void SourceList::stop() {
  for (const auto& source : sources_) source->stop();
}

void SourceList::on_template(std::size_t source, TemplatePtr made) {
  const std::lock_guard lock(choosing_);
  members_[source].ready = true;
  members_[source].newest = std::move(made);
  choose(source);
}

void SourceList::on_status(std::size_t source, const SourceStatus& status) {
  const std::lock_guard lock(choosing_);
  members_[source].ready = status.state == SourceState::kReady;
  // When it is back it begins with a new one, which comes at once.
  if (!members_[source].ready) members_[source].newest = nullptr;
  if (members_[source].ready && members_[source].newest == nullptr) return;
  choose(std::nullopt);
}

bool SourceList::is_behind(const Member& member) const {
  return std::ranges::any_of(members_, [&](const Member& other) {
    return other.ready && other.newest != nullptr && other.newest->height >= member.newest->height + kBehind;
  });
}

std::optional<std::size_t> SourceList::best() const {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    if (member.ready && member.newest != nullptr && !is_behind(member)) return i;
  }
  return std::nullopt;
}

/// `has_template`: the source that has just given one.
void SourceList::choose(std::optional<std::size_t> has_template) {
  const auto chosen = best();
  std::size_t before = 0;
  {
    const std::lock_guard lock(mutex_);
    before = summary_.in_use;
    if (!chosen && summary_.ready) summary_.not_ready_since = now_from_system().instant;
    if (chosen) summary_.not_ready_since.reset();
    summary_.ready = chosen.has_value();
    if (chosen) summary_.in_use = *chosen;
  }
  if (chosen && *chosen != before && published_ != nullptr) {
    log::warn("template.source_switched",
              {{"from", sources_[before]->status().node}, {"to", sources_[*chosen]->status().node}});
  }
  const bool fresh = chosen && (chosen == has_template || *chosen != before || published_ == nullptr);
  SourceStatus now = status();
  if (now.state != told_.state || now.message != told_.message || now.node != told_.node) {
    told_ = now;
    if (events_.on_status) events_.on_status(now);
  }
  if (fresh && members_[*chosen].newest != published_) publish(*chosen);
}

void SourceList::publish(std::size_t source) {
  const TemplatePtr made = members_[source].newest;
  const bool new_tip = published_ == nullptr || made->prev_hash != published_->prev_hash || made->nbits != published_->nbits;
  published_ = made;
  {
    const std::lock_guard lock(mutex_);
    summary_.height = made->height;
    summary_.nbits = made->nbits;
    summary_.coinbase_value_sat = made->coinbase_value_sat;
    summary_.template_at = now_from_system().instant;
    ++summary_.templates;
  }
  events_.on_template(made, new_tip);
}

Result<> SourceList::submit(TemplateId id, BlockSolution solution) {
  std::optional<Error> found;
  for (const auto& source : sources_) {
    auto submitted = source->submit(id, solution);
    if (submitted || !is_not_here(submitted.error())) return submitted;
    note(found, std::move(submitted.error()));
  }
  return fail(std::move(*found));
}

void SourceList::constrain(CoinbaseConstraints constraints) {
  for (const auto& source : sources_) source->constrain(constraints);
}

void SourceList::transactions(TemplateId id, std::function<void(Result<Transactions>)> done) {
  look_up(0, id, std::nullopt, std::move(done));
}

void SourceList::look_up(std::size_t source, TemplateId id, std::optional<Error> found,
                         std::function<void(Result<Transactions>)> done) {
  if (source == sources_.size()) return done(fail(std::move(*found)));
  sources_[source]->transactions(id, [this, source, id, found = std::move(found), done](Result<Transactions> answer) mutable {
    if (answer || !is_not_here(answer.error())) return done(std::move(answer));
    note(found, std::move(answer.error()));
    look_up(source + 1, id, std::move(found), std::move(done));
  });
}

SourceStatus SourceList::status() const {
  Summary summary;
  {
    const std::lock_guard lock(mutex_);
    summary = summary_;
  }
  std::vector<SourceStatus> all;
  all.reserve(sources_.size());
  for (const auto& source : sources_) all.push_back(source->status());
  SourceStatus made = all[summary.in_use];
  made.height = summary.height;
  made.nbits = summary.nbits;
  made.coinbase_value_sat = summary.coinbase_value_sat;
  made.templates = summary.templates;
  made.template_at = summary.template_at;
  made.not_ready_since = summary.not_ready_since;
  for (std::size_t i = 0; i < all.size(); ++i) {
    made.nodes.push_back({.name = all[i].node,
                          .state = all[i].state,
                          .message = all[i].message,
                          .in_use = summary.ready && i == summary.in_use,
                          .height = all[i].height,
                          .clock_ahead = all[i].clock_ahead});
  }
  if (summary.ready) {
    made.state = SourceState::kReady;
    if (summary.in_use != 0) made.message = "templates come from " + made.node + "; " + why(all[0]);
    return made;
  }
  const auto any = [&all](SourceState state) {
    return std::ranges::any_of(all, [state](const SourceStatus& one) { return one.state == state; });
  };
  made.state = any(SourceState::kWaiting) || any(SourceState::kReady) ? SourceState::kWaiting
               : any(SourceState::kStarting)                          ? SourceState::kStarting
                                                                      : SourceState::kMisconfigured;
  if (all.size() == 1) return made;
  made.message = "no node gives templates";
  for (const SourceStatus& one : all) made.message += "; " + why(one);
  return made;
}

}  // namespace adit::templates
