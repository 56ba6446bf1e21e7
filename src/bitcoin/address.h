// Where a payout goes: addresses and descriptors to scripts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "bitcoin/error.h"

namespace adit::bitcoin {

/// Testnet3 and testnet4 share their address formats; signet has testnet's too.
enum class Network : std::uint8_t { kMainnet, kTestnet4, kSignet, kRegtest };

std::string_view network_name(Network network);  ///< "mainnet", "testnet4", "signet", "regtest".

/// By network_name, and by Bitcoin Core's names for `-chain`: main, test, testnet4, signet, regtest.
std::optional<Network> network_from_name(std::string_view name);

/// The script that pays `address`: base58 P2PKH and P2SH, bech32 (BIP173) for witness version 0, bech32m (BIP350) for later
/// ones. Errors: kBadChecksum (mistyped), kBadAddress, kWrongNetwork (the message names the network the address is for and the
/// one asked for).
Result<std::vector<std::uint8_t>> script_from_address(std::string_view address, Network network);

/// The address that `script` pays on that network: the other way round of script_from_address. nullopt: it pays no address,
/// as OP_RETURN and a bare public key.
std::optional<std::string> address_from_script(Bytes script, Network network);

/// Whether its writer meant a text as an address of Bitcoin, whatever its checksum says: it has the form of one, and is no name
/// that somebody would choose.
bool looks_like_address(std::string_view text);

/// The script of a descriptor, as SRI's coinbase_reward_script takes it: addr(ADDRESS), raw(HEX), pk(KEY), pkh(KEY), wpkh(KEY),
/// sh(wpkh(KEY)), tr(KEY) with hexadecimal public keys, each with or without its `#checksum` (BIP380); a bare address is taken
/// as addr(ADDRESS). A key may have its origin before it, as wallets print it ("[d34db33f/84h/0h/0h/0/5]KEY"), which changes
/// nothing. Errors: as script_from_address; kBadAddress for other descriptors, for keys that are not on the curve, for an
/// origin that is not one, for extended keys, which stand for many scripts, and for private keys, which no message repeats.
Result<std::vector<std::uint8_t>> script_from_descriptor(std::string_view descriptor, Network network);

/// The eight characters that follow '#' (BIP380); nullopt for characters outside its set.
std::optional<std::string> descriptor_checksum(std::string_view descriptor);

}  // namespace adit::bitcoin
