// Writes SV1 messages, each with its line end, at the end of a string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sv1/message.h"

namespace adit::sv1 {

// ---- What pools send.
void append_notify(std::string& out, const Notify& job);
/// A whole number is written without a fraction: firmware that reads integers gets one.
void append_set_difficulty(std::string& out, double difficulty);
void append_set_version_mask(std::string& out, std::uint32_t mask);

/// `{"id":…,"result":…,"error":null}`; `result` is JSON.
void append_result(std::string& out, const Id& id, std::string_view result);
/// `{"id":…,"result":null,"error":[code,text,null]}`.
void append_error(std::string& out, const Id& id, Reject code, std::string_view text);
/// `session` names the subscriptions; letters and digits only.
void append_subscribe_result(std::string& out, const Id& id, std::string_view session, const Extranonce& extranonce1,
                             std::size_t extranonce2_size);
/// BIP310: each asked extension with true, false (not known here), or the reason why it cannot be had.
void append_configure_result(std::string& out, const Id& id, const Configure& asked, std::uint32_t granted_mask);

// ---- What miners send.
/// Asks for version rolling with `mask`, unless that is 0, and says that mining.set_extranonce is understood.
void append_configure(std::string& out, const Id& id, std::uint32_t mask);
void append_subscribe(std::string& out, const Id& id, std::string_view user_agent);
void append_authorize(std::string& out, const Id& id, std::string_view user, std::string_view password);
void append_suggest_difficulty(std::string& out, const Id& id, double difficulty);
void append_submit(std::string& out, const Id& id, const Submit& submit);

}  // namespace adit::sv1
