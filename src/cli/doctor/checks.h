// The fifteen checks of `adit doctor`. Engines: they judge facts, and look at nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "cli/doctor/facts.h"

namespace adit::cli::doctor {

enum class Status { kOk, kWarning, kFailure };
std::string_view to_string(Status status);

/// One sentence of a check.
struct Outcome {
  Status status = Status::kOk;
  std::string message;  ///< Without a full stop; never a secret.
  std::string cure{};   ///< What to do; empty where the message says it, or nothing is wrong.
};

struct Check {
  std::string_view name;
  std::vector<Outcome> (*look)(const Facts& facts);  ///< At least one outcome.
  bool by_role = true;                               ///< A running role knows the facts without asking anybody.
};

/// In the order of their numbers, from 1.
extern const std::array<Check, 15> kChecks;

struct Report {
  struct Entry {
    std::size_t number = 0;
    std::string_view name;
    std::vector<Outcome> outcomes;
    [[nodiscard]] Status status() const;  ///< The worst of them.
  };
  std::vector<Entry> entries;           ///< Of kChecks, in their order.
  [[nodiscard]] Status status() const;  ///< The worst of all.
};

Report examine(const Facts& facts);
/// The same by those checks alone that a running role makes of itself.
Report examine_role(const Facts& facts);

/// For people: a line for each outcome.
std::string to_text(const Report& report);
/// {"status", "checks": [{"number", "name", "status", "findings": [{"status", "message", "cure"}]}]}
boost::json::object to_json(const Report& report);

}  // namespace adit::cli::doctor
