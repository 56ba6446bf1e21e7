// What the monitor shows of a role's source of templates.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "bitcoin/address.h"
#include "monitor/families.h"
#include "monitor/health.h"
#include "monitor/snapshot.h"
#include "template/source.h"

namespace adit::monitor {

/// Adds a source's nodes, by the names that the configuration gives them, its templates and its blocks.
void add_source(Families& out, const templates::SourceStatus& source);

/// The same as a sample. `network`: whose subsidy is taken from the reward; absent: the fees are not known.
WorkSample work_sample(const templates::SourceStatus& source, std::optional<bitcoin::Network> network);

/// The difficulty that a header's nbits stands for; 0 for 0 and what is no target.
double difficulty_of(std::uint32_t nbits);

/// The verdict, at `now`, on a role whose source of templates is in that state.
Health health_of_source(const templates::SourceStatus& source, Instant now);

}  // namespace adit::monitor
