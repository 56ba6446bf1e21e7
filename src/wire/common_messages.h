// Messages common to all SV2 protocols (03 §3.6) and extensions negotiation (ext 0x0001).
#pragma once

#include "wire/message.h"

namespace adit::wire {

/// The protocols of Stratum V2, by their number in SetupConnection.protocol (03 §3.6.1).
enum class Protocol : std::uint8_t { kMining = 0, kJobDeclaration = 1, kTemplateDistribution = 2 };

/// The only version in use.
inline constexpr std::uint16_t kProtocolVersion = 2;

/// SetupConnection.flags of the mining protocol (05 §5.3.1).
inline constexpr std::uint32_t kRequiresStandardJobs = 1U << 0;
inline constexpr std::uint32_t kRequiresWorkSelection = 1U << 1;
inline constexpr std::uint32_t kRequiresVersionRolling = 1U << 2;
/// SetupConnectionSuccess.flags of the mining protocol.
inline constexpr std::uint32_t kRequiresFixedVersion = 1U << 0;
inline constexpr std::uint32_t kRequiresExtendedChannels = 1U << 1;
/// SetupConnection.flags of job declaration (06 §6.4.1).
inline constexpr std::uint32_t kDeclareTxData = 1U << 0;

/// 03 §3.6.1, client to server: the first message on a connection.
struct SetupConnection {
  std::uint8_t protocol = 0;  ///< The number of a Protocol.
  std::uint16_t min_version = 0;
  std::uint16_t max_version = 0;
  std::uint32_t flags = 0;   ///< Per protocol.
  Str0_255 endpoint_host{};  ///< What the client dialled.
  std::uint16_t endpoint_port = 0;
  Str0_255 vendor{};
  Str0_255 hardware_version{};
  Str0_255 firmware{};
  Str0_255 device_id{};  ///< Empty where the client gives no telemetry.

  ADIT_MESSAGE(SetupConnection, "SetupConnection", kCore, 0x00, kForConnection, protocol, min_version, max_version, flags,
               endpoint_host, endpoint_port, vendor, hardware_version, firmware, device_id);
};

/// 03 §3.6.2, server to client.
struct SetupConnectionSuccess {
  std::uint16_t used_version = 0;
  std::uint32_t flags = 0;  ///< Per protocol.

  ADIT_MESSAGE(SetupConnectionSuccess, "SetupConnection.Success", kCore, 0x01, kForConnection, used_version, flags);
};

/// 03 §3.6.3, server to client, before it closes the connection.
struct SetupConnectionError {
  std::uint32_t flags = 0;  ///< All flags that the server does not support; 0 if the reason is another.
  Str0_255 error_code{};

  ADIT_MESSAGE(SetupConnectionError, "SetupConnection.Error", kCore, 0x02, kForConnection, flags, error_code);
};

/// 03 §3.6.4, server to client: the state of extensions on this channel is void.
struct ChannelEndpointChanged {
  std::uint32_t channel_id = 0;

  ADIT_MESSAGE(ChannelEndpointChanged, "ChannelEndpointChanged", kCore, 0x03, kForChannel, channel_id);
};

/// 03 §3.6.5, server to client.
struct Reconnect {
  Str0_255 new_host{};         ///< Empty: the present host.
  std::uint16_t new_port = 0;  ///< 0: the present port.

  ADIT_MESSAGE(Reconnect, "Reconnect", kCore, 0x04, kForConnection, new_host, new_port);
};

/// ext 0x0001 §2, client to server, right after SetupConnection.Success.
struct RequestExtensions {
  std::uint16_t request_id = 0;
  Seq0_64K<std::uint16_t> requested_extensions{};

  ADIT_MESSAGE(RequestExtensions, "RequestExtensions", kExtensionsNegotiation, 0x00, kForConnection, request_id,
               requested_extensions);
};

struct RequestExtensionsSuccess {
  std::uint16_t request_id = 0;
  Seq0_64K<std::uint16_t> supported_extensions{};

  ADIT_MESSAGE(RequestExtensionsSuccess, "RequestExtensions.Success", kExtensionsNegotiation, 0x01, kForConnection, request_id,
               supported_extensions);
};

struct RequestExtensionsError {
  std::uint16_t request_id = 0;
  Seq0_64K<std::uint16_t> unsupported_extensions{};
  Seq0_64K<std::uint16_t> required_extensions{};  ///< Those the server insists on and the client did not request.

  ADIT_MESSAGE(RequestExtensionsError, "RequestExtensions.Error", kExtensionsNegotiation, 0x02, kForConnection, request_id,
               unsupported_extensions, required_extensions);
};

}  // namespace adit::wire
