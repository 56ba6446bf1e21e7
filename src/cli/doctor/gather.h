// The facts that `adit doctor` judges, found on this machine and asked of others.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "cli/any_config.h"
#include "cli/doctor/facts.h"
#include "cli/ping_peer.h"
#include "config/document.h"
#include "net/iroh/node_config.h"

namespace adit::cli::doctor {

/// `loaded`: what there is of a configuration; null: there is none. `environment`: of this process. `deadline`: for each step
/// of each question to another machine.
Facts gather(AnyLoaded* loaded, const config::Environment& environment, Duration deadline);

/// An endpoint of doctor's own in place of the configured one: it only dials, and asks the router for no port, so that what
/// relays see is the NAT's doing.
net::IrohNodeConfig probing(net::IrohNodeConfig node);

/// How far a question to an upstream went, by its result and its report. The user is refused only where the pool refused it.
UpstreamStage stage_of(const Result<>& asked, const PeerReport& report, bool is_declarator);

}  // namespace adit::cli::doctor
