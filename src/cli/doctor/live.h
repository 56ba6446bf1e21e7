// The checks that a running role makes of itself: by what it knows already and what this machine tells at once. Nobody is asked
// and nothing is written, so that they may be made every half a minute.
#pragma once

#include <functional>
#include <utility>

#include <boost/json/object.hpp>

#include "cli/doctor/checks.h"
#include "cli/doctor/facts.h"
#include "cli/doctor/setup.h"
#include "monitor/server.h"
#include "net/carrier.h"

namespace adit::cli::doctor {

/// `iroh`: the role's endpoint; null: it has none.
Facts facts_of_role(const Setup& setup, const net::IrohCarrier* iroh, const monitor::Snapshot& snapshot);

/// monitor::Server::Options::checks. `config` and `iroh` outlive it.
template <class Config>
std::function<boost::json::object(const monitor::Snapshot&)> checks_of_role(const Config& config,
                                                                            const net::IrohCarrier* iroh) {
  return [setup = setup_of(config), iroh](const monitor::Snapshot& snapshot) {
    return to_json(examine_role(facts_of_role(setup, iroh, snapshot)));
  };
}

}  // namespace adit::cli::doctor
