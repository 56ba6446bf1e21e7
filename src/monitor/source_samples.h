// What the monitor shows of a role's source of templates.
#pragma once

#include "base/time.h"
#include "monitor/families.h"
#include "monitor/health.h"
#include "template/source.h"

namespace adit::monitor {

/// Adds a source's nodes, by the names that the configuration gives them, its templates and its blocks.
void add_source(Families& out, const templates::SourceStatus& source);

/// The verdict, at `now`, on a role whose source of templates is in that state.
Health health_of_source(const templates::SourceStatus& source, Instant now);

}  // namespace adit::monitor
