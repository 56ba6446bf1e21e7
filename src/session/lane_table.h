// Which lane carries a message, and whether it must wait for the data sent before it: the one place that says so.
#pragma once

#include <cstdint>
#include <string_view>

#include "wire/frame.h"

namespace adit::session {

/// The numbers of the preface (docs/lanes.md §2).
enum class Lane : std::uint8_t {
  kControl = 1,
  kData = 2,  ///< Of a mining session: shares and their answers.
  kBulk = 3,  ///< Of a job declaration or template session: transactions.
};
std::string_view to_string(Lane lane);

struct LaneRule {
  Lane lane = Lane::kControl;
  /// A control frame that may not overtake what was sent before it on the second lane: a DataMark goes before it.
  bool after_data = false;
  std::string_view reason;
};

/// The rule of a message. What the wire layer does not know is control and waits for data: its meaning may depend on the order,
/// and it is rare.
const LaneRule& lane_rule(const wire::FrameHeader& header);

}  // namespace adit::session
