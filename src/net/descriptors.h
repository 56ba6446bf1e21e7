// How many connections a process has descriptors for.
#pragma once

#include <cstddef>
#include <string_view>

#include "net/admission.h"

namespace adit::net {

/// Descriptors that this process may have open (RLIMIT_NOFILE as it is now); SIZE_MAX: there is no bound.
std::size_t descriptor_limit();

/// within_descriptors() of this process, with the bounds per source that apply. Logs them as `ROLE.places`.
AdmissionLimits fit_to_process(const AdmissionLimits& configured, std::string_view role);

}  // namespace adit::net
