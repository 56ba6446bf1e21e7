// From a configured source of templates to one that can be started.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "config/source.h"
#include "net/carrier.h"
#include "net/health.h"
#include "net/shards.h"
#include "template/embedded.h"
#include "template/source.h"

namespace adit::config {

/// Where found blocks are kept below a role's `data_dir` until a node has answered.
std::string journal_folder(const std::string& data_dir);

/// What a configuration means to the chain in this process.
templates::EmbeddedSource::Options options_of(const EmbeddedSource& source);

/// What a source takes from its role.
struct SourcePlace {
  std::string data_dir;              ///< The journal of found blocks lies there.
  net::Shard& shard;                 ///< Sessions with template providers live there. Started; outlives the source.
  net::IrohCarrier* iroh = nullptr;  ///< For providers over iroh; outlives the source. Null: they cannot be reached.
  net::HealthPolicy health{};        ///< Of sessions with template providers.
};

struct MadeSource {
  std::unique_ptr<templates::TemplateSource> source;  ///< Not started.
  /// Makes another source of the same chain, for templates with other constraints (BitcoinNodes::further). Empty where the
  /// source has one kind of templates alone.
  std::function<std::unique_ptr<templates::TemplateSource>()> further;
};

/// The source that the settings name: an EmbeddedSource or BitcoinNodes. The settings have no error. Errors: those
/// of read_secret_file, of `password_file`.
Result<MadeSource> make_source(const SourceSettings& settings, const SourcePlace& place);

}  // namespace adit::config
