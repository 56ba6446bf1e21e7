// What /metrics makes of a snapshot, read back.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "monitor/exposition.h"
#include "monitor/prometheus_testing.h"

namespace adit::monitor::test {

/// Expects families without a defect and a text that every scraper takes.
inline PrometheusText text_of(const Snapshot& snapshot) {
  EXPECT_THAT(snapshot.families.defects(), testing::IsEmpty());
  Exposition exposition;
  exposition.update(snapshot, Instant{});
  PrometheusText text(exposition.text(0, {}));
  EXPECT_EQ(text.problem(), "");
  return text;
}

}  // namespace adit::monitor::test
