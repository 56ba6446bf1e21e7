#include "template/solution_journal.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/hex.h"
#include "ledger/error.h"

namespace adit::templates {
namespace {

namespace json = boost::json;

constexpr std::string_view kSolution = ".solution";
constexpr std::string_view kUnfinished = ".new";
// Two digits for each byte of a coinbase of 64 KiB, and the rest.
constexpr std::size_t kMaxFileSize = 2 * 65'535 + 4096;

std::string name_of(const Hash256& hash, std::uint32_t height) {
  return std::to_string(height) + "-" + to_hex_reversed(hash) + std::string(kSolution);
}

/// A whole number that fits into T.
template <class T>
std::optional<T> number_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const T number = value->to_number<T>(error);
  return error ? std::nullopt : std::optional(number);
}

std::optional<std::string_view> text_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string());
}

}  // namespace

std::string solution_text(const Sv2Solution& solution) {
  return json::serialize(json::object{{"provider", solution.provider},
                                      {"template_id", solution.template_id},
                                      {"hash", to_hex_reversed(solution.hash)},
                                      {"height", solution.height},
                                      {"version", solution.solved.version},
                                      {"time", solution.solved.ntime},
                                      {"nonce", solution.solved.nonce},
                                      {"coinbase", to_hex(solution.solved.coinbase)},
                                      {"found", to_u32(solution.found)}}) +
         "\n";
}

std::optional<Sv2Solution> parse_solution(std::string_view text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* object = error ? nullptr : parsed.if_object();
  if (object == nullptr) return std::nullopt;
  Sv2Solution solution;
  const auto provider = text_in(*object, "provider");
  const auto hash = text_in(*object, "hash");
  const auto coinbase = text_in(*object, "coinbase");
  const auto template_id = number_in<std::uint64_t>(*object, "template_id");
  const auto height = number_in<std::uint32_t>(*object, "height");
  const auto version = number_in<std::uint32_t>(*object, "version");
  const auto time = number_in<std::uint32_t>(*object, "time");
  const auto nonce = number_in<std::uint32_t>(*object, "nonce");
  const auto found = number_in<std::uint32_t>(*object, "found");
  if (!provider || !hash || !coinbase || !template_id || !height || !version || !time || !nonce || !found) return std::nullopt;
  auto bytes = from_hex(*coinbase);
  if (!bytes || !from_hex(*hash, solution.hash)) return std::nullopt;
  std::ranges::reverse(solution.hash);
  solution.provider = *provider;
  solution.template_id = *template_id;
  solution.height = *height;
  solution.solved = {.version = *version, .ntime = *time, .nonce = *nonce, .coinbase = std::move(*bytes)};
  solution.found = UnixTime(std::chrono::seconds(*found));
  return solution;
}

Result<> SolutionJournal::add(const Sv2Solution& solution) {
  const std::string path = folder_ + "/" + name_of(solution.hash, solution.height);
  auto written = make_folders(files_, folder_);
  if (written) written = write_atomically(files_, path, solution_text(solution), AtomicFile::Replace::kYes);
  if (!written)
    return fail(ledger::Errc::kJournal, "the solution is not kept: " + describe_file_error(path, "written", written.error()));
  return {};
}

void SolutionJournal::settled(const Hash256& hash, std::uint32_t height) {
  files_.discard(folder_ + "/" + name_of(hash, height));
}

std::vector<Sv2Solution> SolutionJournal::read(std::string_view provider, UnixTime oldest) {
  std::vector<Sv2Solution> found;
  const auto names = files_.list(folder_);
  if (!names) return found;
  std::size_t looked_at = 0;
  for (const std::string& name : *names) {
    const std::string path = folder_ + "/" + name;
    if (name.ends_with(kUnfinished)) files_.discard(path);
    if (!name.ends_with(kSolution) || ++looked_at > kMaxKept) continue;
    const auto text = files_.read(path, kMaxFileSize);
    auto solution = text ? parse_solution(*text) : std::nullopt;
    if (!solution) continue;
    if (solution->found < oldest) {
      files_.discard(path);
    } else if (solution->provider == provider) {
      found.push_back(std::move(*solution));
    }
  }
  std::ranges::sort(found, [](const Sv2Solution& a, const Sv2Solution& b) {
    return std::tie(a.height, a.hash) < std::tie(b.height, b.hash);
  });
  return found;
}

}  // namespace adit::templates
