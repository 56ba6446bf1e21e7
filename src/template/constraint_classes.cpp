#include "template/constraint_classes.h"

#include <algorithm>
#include <string>

#include "session/error.h"
#include "template/sv2_template.h"

namespace adit::templates {
namespace {

bool covers(CoinbaseConstraints room, CoinbaseConstraints asked) {
  return room.max_additional_size >= asked.max_additional_size && room.max_additional_sigops >= asked.max_additional_sigops;
}

}  // namespace

ConstraintClasses::ConstraintClasses(Options options) : options_(options) {
  classes_.push_back({.id = 0, .constraints = options_.least, .clients = 0});
}

Result<ConstraintClasses::Joined> ConstraintClasses::join(CoinbaseConstraints asked) {
  if (!fits_a_block(asked)) {
    return fail(session::Errc::kRefused, "CoinbaseOutputConstraints: no block has room for a coinbase with outputs of " +
                                             std::to_string(asked.max_additional_size) + " bytes and " +
                                             std::to_string(asked.max_additional_sigops) +
                                             " signature operations; ask for less");
  }
  const CoinbaseConstraints room{std::max(asked.max_additional_size, options_.least.max_additional_size),
                                 std::max(asked.max_additional_sigops, options_.least.max_additional_sigops)};
  Class* chosen = nullptr;
  for (Class& one : classes_) {
    if (one.constraints == room) {
      ++one.clients;
      return Joined{one.id, one.constraints, false};
    }
    // Room costs fees: bytes first, for sigops are seldom what fills a block.
    if (covers(one.constraints, room) &&
        (chosen == nullptr || one.constraints.max_additional_size < chosen->constraints.max_additional_size)) {
      chosen = &one;
    }
  }
  if (classes_.size() < options_.max_classes) {
    classes_.push_back({.id = ++last_id_, .constraints = room, .clients = 1});
    return Joined{last_id_, room, true};
  }
  if (chosen == nullptr) {
    return fail(session::Errc::kOverloaded,
                "CoinbaseOutputConstraints: templates are built for as many different constraints "
                "as this provider allows; none of them has room for " +
                    std::to_string(asked.max_additional_size) + " bytes of outputs");
  }
  ++chosen->clients;
  return Joined{chosen->id, chosen->constraints, false};
}

bool ConstraintClasses::leave(ClassId id) {
  const auto found = std::ranges::find(classes_, id, &Class::id);
  if (found == classes_.end() || found->clients == 0) return false;
  if (--found->clients != 0 || id == 0) return false;
  classes_.erase(found);
  return true;
}

}  // namespace adit::templates
