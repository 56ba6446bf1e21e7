// Several sources of templates as one: the first that is ready gives the work.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "template/source.h"

namespace adit::templates {

/// Sources in order of preference. All run all the time; the templates of the first that is ready are published, and those of a
/// better one again as soon as it is ready again. One whose tip is two blocks or more below another's counts as not ready: it
/// hears no news of the chain. A solution goes to the source that made its template; what becomes of the block is not this
/// list's to tell unless its sources do.
class SourceList final : public TemplateSource {
 public:
  /// Sources at least two blocks lower than another are behind.
  static constexpr std::uint32_t kBehind = 2;

  /// At least one.
  explicit SourceList(std::vector<std::unique_ptr<TemplateSource>> sources);
  ~SourceList() override;

  /// Errors: those of the first source that does not start.
  Result<> start(SourceEvents events) override;
  Result<> submit(TemplateId id, BlockSolution solution) override;
  void constrain(CoinbaseConstraints constraints) override;
  void transactions(TemplateId id, std::function<void(Result<Transactions>)> done) override;
  [[nodiscard]] SourceStatus status() const override;
  void stop() override;

 private:
  /// What a source told last.
  struct Member {
    bool ready = false;
    TemplatePtr newest;  ///< Since it was ready last.
  };
  /// What status() says of the list itself.
  struct Summary {
    bool ready = false;
    std::size_t in_use = 0;  ///< The source that the newest template came from.
    std::optional<Instant> not_ready_since;
    std::optional<Instant> template_at;
    std::uint32_t height = 0;
    std::uint32_t nbits = 0;
    std::uint64_t coinbase_value_sat = 0;
    std::uint64_t templates = 0;
  };

  void on_template(std::size_t source, TemplatePtr made);
  void on_status(std::size_t source, const SourceStatus& status);
  [[nodiscard]] bool is_behind(const Member& member) const;
  [[nodiscard]] std::optional<std::size_t> best() const;
  void choose(std::optional<std::size_t> has_template);
  void publish(std::size_t source);
  void look_up(std::size_t source, TemplateId id, std::optional<Error> found, std::function<void(Result<Transactions>)> done);

  const std::vector<std::unique_ptr<TemplateSource>> sources_;
  SourceEvents events_;
  std::atomic<TemplateId> last_id_{0};

  std::mutex choosing_;  ///< Held while something is told, so that the owner hears one thing after the other. Over these:
  std::vector<Member> members_;
  TemplatePtr published_;
  SourceStatus told_;  ///< What on_status said last.

  mutable std::mutex mutex_;  ///< Over the summary alone.
  Summary summary_;
};

}  // namespace adit::templates
