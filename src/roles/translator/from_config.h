// What a configuration means to the translator's server.
#pragma once

#include "roles/translator/config.h"
#include "roles/translator/server.h"

namespace adit::translator {

/// Everything but the carrier, which the caller has.
ServerOptions server_options(const TranslatorConfig& config);

}  // namespace adit::translator
