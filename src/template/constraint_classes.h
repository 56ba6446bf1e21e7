// Which clients of a template provider share templates. An engine: no I/O, no clock, one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "template/source.h"

namespace adit::templates {

/// The room that is left in a block where nothing but the coinbase's fixed part is reserved (SV2 07 §7.1): no client may ask
/// for more.
inline constexpr CoinbaseConstraints kMostConstraints{.max_additional_size = 999'708, .max_additional_sigops = 20'000};

/// A class of clients whose coinbases leave templates the same room. Numbers are not used twice.
using ClassId = std::uint32_t;

/// Clients with equal constraints are one class, and a template is built once for each class. Those that ask for no more than
/// the least room belong to class 0, which is always there: a node reserves as much as that anyhow, so most pools in the world
/// are in it. The number of classes is bounded, because the node builds templates for each: when there is no room for another,
/// a client joins the smallest class whose room is enough for it.
class ConstraintClasses {
 public:
  struct Options {
    /// Of class 0: what fits into Bitcoin Core's least reserve of 2000 weight units, and its default of sigops.
    CoinbaseConstraints least{.max_additional_size = 208, .max_additional_sigops = 100};
    std::size_t max_classes = 8;  ///< Class 0 included; at least 1.
  };

  struct Joined {
    ClassId id = 0;
    CoinbaseConstraints constraints;  ///< That its templates leave room for.
    bool is_new = false;              ///< This client is its first.
  };

  explicit ConstraintClasses(Options options);

  /// A client with these constraints is here. Errors: session's kRefused if no block has room for them; session's kOverloaded
  /// if there is no room for another class, and none is large enough.
  Result<Joined> join(CoinbaseConstraints asked);

  /// A client of the class has left. True if it was the last: the class is gone.
  bool leave(ClassId id);

  [[nodiscard]] std::size_t size() const { return classes_.size(); }

 private:
  struct Class {
    ClassId id = 0;
    CoinbaseConstraints constraints;
    std::size_t clients = 0;
  };

  Options options_;
  std::vector<Class> classes_;
  ClassId last_id_ = 0;
};

}  // namespace adit::templates
