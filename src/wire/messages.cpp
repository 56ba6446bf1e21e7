#include "wire/messages.h"

#include <charconv>

#include "base/hex.h"

namespace adit::wire {
namespace detail {

void print(std::string& out, std::uint64_t value) { out += std::to_string(value); }

void print(std::string& out, float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, end);
}

void print(std::string& out, Bytes bytes) {
  constexpr std::size_t kShown = 64;
  out += to_hex(bytes.first(std::min(bytes.size(), kShown)));
  if (bytes.size() > kShown) out += "...(" + std::to_string(bytes.size()) + " bytes)";
}

void print_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += to_hex(Bytes(&byte, 1));
    }
  }
  out += '"';
}

std::unexpected<Error> decode_error(Errc code, std::string_view message) {
  std::string text(message);
  switch (code) {
    case Errc::kTruncated:
      text += ": the payload ends before its fields do";
      break;
    case Errc::kTrailingBytes:
      text += ": bytes after the last field are no TLV fields";
      break;
    case Errc::kTooLong:
      text += ": a field is longer than its type allows";
      break;
    case Errc::kBadOption:
      text += ": an optional field has more than one element";
      break;
    default:
      text += ": does not decode";
      break;
  }
  return fail(code, std::move(text));
}

}  // namespace detail

std::string_view message_name(const FrameHeader& header) {
  std::string_view name = "unknown";
  with_message_type(header, [&]<class M>(std::type_identity<M>) { name = M::kName; });
  return name;
}

std::string to_string(const FrameView& frame) {
  std::string text;
  const bool known = with_message_type(frame.header, [&]<class M>(std::type_identity<M>) {
    Bytes rest;
    const auto message = decode<M>(frame.payload, &rest);
    if (!message) {
      text = message.error().message();
      return;
    }
    text = to_string(*message);
    if (!rest.empty()) {
      text += " + ";
      detail::print(text, rest);
    }
  });
  if (!known) {
    text = "unknown{extension=" + std::to_string(frame.header.extension_type) +
           ", type=" + std::to_string(frame.header.message_type) + ", payload=";
    detail::print(text, frame.payload);
    text += '}';
  }
  return text;
}

}  // namespace adit::wire
