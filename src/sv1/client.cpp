#include "sv1/client.h"

#include <algorithm>

#include "base/text.h"
#include "sv1/build.h"

namespace adit::sv1 {

namespace {
constexpr std::size_t kMaxSubmitsWaiting = 1024;

std::string words_of(const Response& response) {
  return response.error ? "code " + std::to_string(response.error->code) + ", " + response.error->message : "no reason given";
}
}  // namespace

Client::Client(Options options, ClientHandler& handler)
    : options_(std::move(options)), handler_(handler), reader_(kMaxServerLine) {}

void Client::start() {
  configure_id_ = next_id_++;
  append_configure(output_, Id(*configure_id_), options_.version_rolling ? kVersionRollingMask : 0);
  subscribe_id_ = next_id_++;
  append_subscribe(output_, Id(*subscribe_id_), options_.user_agent);
  if (options_.suggest_difficulty) append_suggest_difficulty(output_, Id(next_id_++), *options_.suggest_difficulty);
  authorize_id_ = next_id_++;
  append_authorize(output_, Id(*authorize_id_), options_.user, options_.password);
}

Result<void> Client::receive(Bytes bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(reader_.feed(bytes));
    while (true) {
      ADIT_TRY(const auto line, reader_.next());
      if (!line) break;
      ADIT_TRY(auto message, parser_.from_server(*line));
      ADIT_CHECK(handle(std::move(message)));
    }
  }
  return {};
}

Result<void> Client::handle(FromServer message) {
  if (const auto* response = std::get_if<Response>(&message)) return handle(*response);
  if (auto* job = std::get_if<Notify>(&message)) {
    if (subscribed_) {
      notify(std::move(*job));
    } else {
      early_job_ = std::move(*job);
    }
  } else if (const auto* set_difficulty = std::get_if<SetDifficulty>(&message)) {
    difficulty_ = set_difficulty->difficulty;
  } else if (const auto* set_mask = std::get_if<SetVersionMask>(&message)) {
    version_mask_ = set_mask->mask & kVersionRollingMask;
  } else if (const auto* set_extranonce = std::get_if<SetExtranonce>(&message)) {
    extranonce1_ = set_extranonce->extranonce1;
    extranonce2_size_ = set_extranonce->extranonce2_size;
  } else if (const auto* request = std::get_if<Request>(&message)) {
    // client.get_version, client.show_message and whatever else: an id wants an answer.
    const auto* unknown = std::get_if<UnknownMethod>(&request->call);
    if (request->id && unknown != nullptr) {
      if (unknown->name == "client.get_version") {
        std::string agent;
        append_json_string(agent, options_.user_agent);
        append_result(output_, *request->id, agent);
      } else if (unknown->name == "mining.ping") {
        append_result(output_, *request->id, R"("pong")");
      } else {
        append_error(output_, *request->id, Reject::kOther, "unknown method");
      }
    }
  }
  // client.reconnect is not followed: it has been used to hijack miners (threats: BGP hijack of 2014).
  return {};
}

Result<void> Client::handle(const Response& response) {
  const auto is = [&](const std::optional<std::uint64_t>& id) { return id && response.id == Id(*id); };
  const auto* truth = std::get_if<bool>(&response.result);

  if (is(configure_id_)) {
    configure_id_.reset();
    // A pool without mining.configure answers with an error: no rolling then.
    if (const auto* configured = std::get_if<ConfigureResult>(&response.result)) {
      version_mask_ = configured->version_mask.value_or(0) & kVersionRollingMask;
    }
    return {};
  }
  if (is(subscribe_id_)) {
    subscribe_id_.reset();
    const auto* subscription = std::get_if<SubscribeResult>(&response.result);
    if (subscription == nullptr) return fail(Errc::kRefused, "mining.subscribe was refused: " + words_of(response));
    extranonce1_ = subscription->extranonce1;
    extranonce2_size_ = subscription->extranonce2_size;
    subscribed_ = true;
    if (ready()) handler_.on_ready();
    if (early_job_) {
      notify(std::move(*early_job_));
      early_job_.reset();
    }
    return {};
  }
  if (is(authorize_id_)) {
    authorize_id_.reset();
    if (truth == nullptr || !*truth) {
      return fail(Errc::kRefused, "mining.authorize refused worker '" + options_.user + "': " + words_of(response));
    }
    authorized_ = true;
    if (ready()) handler_.on_ready();
    return {};
  }
  const auto waiting = std::ranges::find_if(submits_, [&](std::uint64_t id) { return response.id == Id(id); });
  if (waiting == submits_.end()) return {};
  const std::uint64_t id = *waiting;
  submits_.erase(waiting);
  if (truth != nullptr && *truth && !response.error) {
    handler_.on_submit_answer(id, nullptr);
  } else {
    const RpcError error = response.error.value_or(RpcError{});
    handler_.on_submit_answer(id, &error);
  }
  return {};
}

void Client::notify(Notify job) {
  auto work = std::make_shared<Work>();
  work->job = std::move(job);
  work->extranonce1 = extranonce1_;
  work->extranonce2_size = extranonce2_size_;
  work->difficulty = difficulty_;
  work->target = bitcoin::target_from_difficulty(difficulty_);
  work->version_mask = version_mask_;
  handler_.on_work(std::move(work));
}

std::optional<std::uint64_t> Client::submit(const Work& work, const Extranonce& extranonce2, std::uint32_t ntime,
                                            std::uint32_t nonce, std::uint32_t version_bits) {
  if (submits_.size() >= kMaxSubmitsWaiting) return std::nullopt;
  const std::uint64_t id = next_id_++;
  Submit submit{options_.user, work.job.job_id, extranonce2, ntime, nonce, std::nullopt};
  if (work.version_mask != 0) submit.version_bits = version_bits & work.version_mask;
  append_submit(output_, Id(id), submit);
  submits_.push_back(id);
  return id;
}

}  // namespace adit::sv1
