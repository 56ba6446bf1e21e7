// The facts that `adit doctor` judges, found on this machine and asked of others.
#pragma once

#include "base/time.h"
#include "cli/any_config.h"
#include "cli/doctor/facts.h"
#include "config/document.h"

namespace adit::cli::doctor {

/// `loaded`: what there is of a configuration; null: there is none. `environment`: of this process. `deadline`: for each step
/// of each question to another machine.
Facts gather(AnyLoaded* loaded, const config::Environment& environment, Duration deadline);

}  // namespace adit::cli::doctor
