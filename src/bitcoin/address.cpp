#include "bitcoin/address.h"

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/base58.h"
#include "base/hex.h"
#include "base/number.h"
#include "base/sha256.h"
#include "base/text.h"
#include "bitcoin/bech32.h"
#include "bitcoin/ripemd160.h"

namespace adit::bitcoin {
namespace {

using Script = std::vector<std::uint8_t>;

constexpr std::uint8_t kOp1 = 0x51;
constexpr std::uint8_t kOp16 = 0x60;
constexpr std::uint8_t kOpDup = 0x76;
constexpr std::uint8_t kOpEqual = 0x87;
constexpr std::uint8_t kOpEqualVerify = 0x88;
constexpr std::uint8_t kOpHash160 = 0xa9;
constexpr std::uint8_t kOpCheckSig = 0xac;
constexpr std::size_t kHash160Size = 20;

constexpr std::string_view kDescriptorsThatWork =
    "addr(ADDRESS), raw(HEX), pk(KEY), pkh(KEY), wpkh(KEY), sh(wpkh(KEY)) and tr(KEY), each KEY a public key in hexadecimal";

// BIP380.
constexpr std::string_view kDescriptorCharset =
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
constexpr std::string_view kChecksumCharset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::array<std::uint64_t, 5> kChecksumGenerator = {0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a,
                                                             0x644d626ffd};

struct AddressFormat {
  std::string_view hrp;
  std::uint8_t p2pkh;
  std::uint8_t p2sh;
  std::string_view networks;  ///< All that share it.
};

constexpr AddressFormat kMainnetFormat{"bc", 0, 5, "mainnet"};
constexpr AddressFormat kTestFormat{"tb", 111, 196, "testnet4 or signet"};
constexpr AddressFormat kRegtestFormat{"bcrt", 111, 196, "regtest"};
constexpr std::string_view kTestBase58Networks = "testnet4, signet or regtest";

const AddressFormat& format_of(Network network) {
  switch (network) {
    case Network::kMainnet:
      return kMainnetFormat;
    case Network::kTestnet4:
    case Network::kSignet:
      return kTestFormat;
    case Network::kRegtest:
      return kRegtestFormat;
  }
  return kRegtestFormat;
}

std::unexpected<Error> wrong_network(std::string_view address, std::string_view its, Network wanted) {
  return fail(Errc::kWrongNetwork, "the address " + in_quotes(address) + " is for " + std::string(its) +
                                       ", but the network is " + std::string(network_name(wanted)));
}

Script pay_to_pubkey_hash(Bytes hash) {
  Script script{kOpDup, kOpHash160, kHash160Size};
  script.insert(script.end(), hash.begin(), hash.end());
  script.insert(script.end(), {kOpEqualVerify, kOpCheckSig});
  return script;
}

Script pay_to_script_hash(Bytes hash) {
  Script script{kOpHash160, kHash160Size};
  script.insert(script.end(), hash.begin(), hash.end());
  script.push_back(kOpEqual);
  return script;
}

Script pay_to_witness(std::uint8_t version, Bytes program) {
  Script script{static_cast<std::uint8_t>(version == 0 ? 0 : 0x50 + version), static_cast<std::uint8_t>(program.size())};
  script.insert(script.end(), program.begin(), program.end());
  return script;
}

std::array<std::uint8_t, kHash160Size> hash160(Bytes bytes) { return ripemd160(sha256(bytes)); }

Result<Script> script_from_bech32(std::string_view address, const Bech32& decoded, Network network) {
  if (decoded.hrp != format_of(network).hrp) {
    for (const AddressFormat& other : {kMainnetFormat, kTestFormat, kRegtestFormat}) {
      if (decoded.hrp == other.hrp) return wrong_network(address, other.networks, network);
    }
    return fail(Errc::kBadAddress,
                "the address " + in_quotes(address) + " is not of Bitcoin: those begin with bc1, tb1 or bcrt1");
  }
  const auto program = bytes_from_groups_of_five(decoded.data, 1);
  if (decoded.data.empty() || decoded.data[0] > 16 || !program || program->size() < 2 || program->size() > 40 ||
      (decoded.data[0] == 0 && program->size() != 20 && program->size() != 32)) {
    return fail(Errc::kBadAddress, "the address " + in_quotes(address) + " has no valid witness program");
  }
  const std::uint8_t version = decoded.data[0];
  if (decoded.is_bech32m != (version != 0)) {
    return fail(Errc::kBadChecksum,
                "the address " + in_quotes(address) +
                    " has the checksum of another witness version: it is mistyped, or from a wallet that lacks BIP350");
  }
  return pay_to_witness(version, *program);
}

Result<Script> script_from_base58(std::string_view address, Bytes payload, Network network) {
  const AddressFormat& format = format_of(network);
  if (payload.size() == 1 + kHash160Size) {
    const Bytes hash = payload.subspan(1);
    if (payload[0] == format.p2pkh) return pay_to_pubkey_hash(hash);
    if (payload[0] == format.p2sh) return pay_to_script_hash(hash);
    if (payload[0] == kMainnetFormat.p2pkh || payload[0] == kMainnetFormat.p2sh)
      return wrong_network(address, "mainnet", network);
    if (payload[0] == kTestFormat.p2pkh || payload[0] == kTestFormat.p2sh)
      return wrong_network(address, kTestBase58Networks, network);
  }
  return fail(Errc::kBadAddress, in_quotes(address) + " is base58 text, but not an address of Bitcoin");
}

/// "[FINGERPRINT/STEP/...]" (BIP380); `text` begins with '['.
bool is_key_origin(std::string_view text) {
  constexpr std::size_t kFingerprint = 8;
  std::string_view rest = text.substr(1, text.size() - 2);
  if (!from_hex(rest.substr(0, kFingerprint)) || rest.size() < kFingerprint) return false;
  rest.remove_prefix(kFingerprint);
  while (!rest.empty()) {
    if (rest[0] != '/') return false;
    rest.remove_prefix(1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (const auto step = number_from<std::uint32_t>(rest.substr(0, digits)); !step || *step > 0x7fffffff) return false;
    rest.remove_prefix(digits);
    if (!rest.empty() && (rest[0] == 'h' || rest[0] == 'H' || rest[0] == '\'')) rest.remove_prefix(1);
  }
  return true;
}

/// By BIP32's form or by that of wallets (WIF).
bool is_private_key(std::string_view text) {
  constexpr std::uint8_t kMainnetKey = 128;
  constexpr std::uint8_t kTestKey = 239;
  constexpr std::size_t kExtendedKey = 100;
  if (text.size() > kExtendedKey && text.substr(1).starts_with("prv")) return true;
  const auto payload = base58check_decode(text, 34);
  return payload && payload->size() >= 33 && ((*payload)[0] == kMainnetKey || (*payload)[0] == kTestKey);
}

bool has_private_key(std::string_view descriptor) {
  constexpr std::string_view kOfKeys = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  while (!descriptor.empty()) {
    const std::size_t length = std::min(descriptor.find_first_not_of(kOfKeys), descriptor.size());
    if (is_private_key(descriptor.substr(0, length))) return true;
    descriptor.remove_prefix(std::min(length + 1, descriptor.size()));
  }
  return false;
}

/// A key expression without its origin. Errors: kBadAddress for what is no plain public key.
Result<std::string_view> without_origin(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !is_key_origin(text.substr(0, end + 1))) {
      return fail(Errc::kBadAddress, in_quotes(text) +
                                         " begins with a bracket, but not with the origin of a key, such as "
                                         "[d34db33f/84h/0h/0h/0/5]");
    }
    text.remove_prefix(end + 1);
  }
  if (!text.empty() && text.substr(1).starts_with("pub")) {
    const bool many = text.find('*') != std::string_view::npos;
    return fail(Errc::kBadAddress,
                in_quotes(text) +
                    (many ? " stands for many addresses, one for each index in place of `*`: choose one and give that, as "
                            "addr(ADDRESS); `bitcoin-cli deriveaddresses DESCRIPTOR '[0,0]'` prints that of index 0"
                          : " is an extended key, from which none is derived here: give the address that it stands for, as "
                            "addr(ADDRESS); `bitcoin-cli deriveaddresses DESCRIPTOR` prints it"));
  }
  return text;
}

/// A public key of 33 bytes, or 65 where `uncompressed` allows, that lies on the curve.
Result<std::vector<std::uint8_t>> public_key(std::string_view text, bool uncompressed) {
  ADIT_TRY(text, without_origin(text));
  auto key = from_hex(text);
  if (!key || (key->size() != 33 && !(uncompressed && key->size() == 65))) {
    return fail(Errc::kBadAddress, in_quotes(text) + " is not a public key of " + (uncompressed ? "33 or 65" : "33") +
                                       " bytes in hexadecimal; what works is " + std::string(kDescriptorsThatWork));
  }
  secp256k1_pubkey parsed;
  if (secp256k1_ec_pubkey_parse(secp256k1_context_static, &parsed, key->data(), key->size()) != 1) {
    return fail(Errc::kBadAddress, in_quotes(text) + " is not a point of the curve: the public key is mistyped");
  }
  return std::move(*key);
}

/// Output key of a key-path-only taproot output (BIP341, BIP386): the internal key tweaked by its own tagged hash.
Result<Script> pay_to_taproot(std::string_view text) {
  ADIT_TRY(text, without_origin(text));
  auto key = from_hex(text);
  if (key && key->size() == 33 && ((*key)[0] == 2 || (*key)[0] == 3)) key->erase(key->begin());
  if (!key || key->size() != 32) {
    return fail(Errc::kBadAddress, in_quotes(text) + " is not a public key of 32 bytes in hexadecimal; what works is " +
                                       std::string(kDescriptorsThatWork));
  }
  const Sha256Digest tag = sha256(as_bytes("TapTweak"));
  const Sha256Digest tweak = Sha256().update(tag).update(tag).update(*key).finish();
  secp256k1_xonly_pubkey internal;
  secp256k1_pubkey output;
  secp256k1_xonly_pubkey output_xonly;
  std::array<std::uint8_t, 32> program;
  if (secp256k1_xonly_pubkey_parse(secp256k1_context_static, &internal, key->data()) != 1 ||
      secp256k1_xonly_pubkey_tweak_add(secp256k1_context_static, &output, &internal, tweak.data()) != 1 ||
      secp256k1_xonly_pubkey_from_pubkey(secp256k1_context_static, &output_xonly, nullptr, &output) != 1 ||
      secp256k1_xonly_pubkey_serialize(secp256k1_context_static, program.data(), &output_xonly) != 1) {
    return fail(Errc::kBadAddress, in_quotes(text) + " is not a point of the curve: the public key is mistyped");
  }
  return pay_to_witness(1, program);
}

/// What stands between `name` + "(" and the closing parenthesis.
std::optional<std::string_view> argument_of(std::string_view descriptor, std::string_view name) {
  if (descriptor.size() < name.size() + 2 || !descriptor.starts_with(name) || descriptor[name.size()] != '(' ||
      !descriptor.ends_with(')')) {
    return std::nullopt;
  }
  return descriptor.substr(name.size() + 1, descriptor.size() - name.size() - 2);
}

}  // namespace

std::string_view network_name(Network network) {
  switch (network) {
    case Network::kMainnet:
      return "mainnet";
    case Network::kTestnet4:
      return "testnet4";
    case Network::kSignet:
      return "signet";
    case Network::kRegtest:
      return "regtest";
  }
  return "unknown";
}

std::optional<Network> network_from_name(std::string_view name) {
  if (name == "mainnet" || name == "main") return Network::kMainnet;
  if (name == "testnet4" || name == "test" || name == "testnet") return Network::kTestnet4;
  if (name == "signet") return Network::kSignet;
  if (name == "regtest") return Network::kRegtest;
  return std::nullopt;
}

Result<Script> script_from_address(std::string_view address, Network network) {
  if (const auto decoded = bech32_decode(address)) return script_from_bech32(address, *decoded, network);
  if (const auto payload = base58check_decode(address, 1 + kHash160Size)) return script_from_base58(address, *payload, network);
  const bool looks_right = !address.empty() && address.size() <= 90 &&
                           std::all_of(address.begin(), address.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
  if (looks_right)
    return fail(Errc::kBadChecksum, "the address " + in_quotes(address) + " is mistyped: its checksum does not fit");
  return fail(Errc::kBadAddress, in_quotes(address) + " is not an address");
}

std::optional<std::string> address_from_script(Bytes script, Network network) {
  const AddressFormat& format = format_of(network);
  const auto is = [&](const Script& other) { return std::ranges::equal(script, other); };
  const auto base58 = [](std::uint8_t version, Bytes hash) {
    Script payload{version};
    payload.insert(payload.end(), hash.begin(), hash.end());
    return base58check_encode(payload);
  };
  constexpr std::size_t kHashOfKeyAt = 3;
  constexpr std::size_t kHashOfScriptAt = 2;
  if (script.size() == kHashOfKeyAt + kHash160Size + 2) {
    const Bytes hash = script.subspan(kHashOfKeyAt, kHash160Size);
    if (is(pay_to_pubkey_hash(hash))) return base58(format.p2pkh, hash);
  }
  if (script.size() == kHashOfScriptAt + kHash160Size + 1) {
    const Bytes hash = script.subspan(kHashOfScriptAt, kHash160Size);
    if (is(pay_to_script_hash(hash))) return base58(format.p2sh, hash);
  }
  // A witness program (BIP141).
  if (script.size() < 4 || script.size() > 42 || script[1] != script.size() - 2) return std::nullopt;
  if (script[0] != 0 && (script[0] < kOp1 || script[0] > kOp16)) return std::nullopt;
  const std::uint8_t version = script[0] == 0 ? 0 : static_cast<std::uint8_t>(script[0] - kOp1 + 1);
  const Bytes program = script.subspan(2);
  if (version == 0 && program.size() != 20 && program.size() != 32) return std::nullopt;
  Bech32 decoded{.hrp = std::string(format.hrp), .data = {version}, .is_bech32m = version != 0};
  append_groups_of_five(decoded.data, program);
  return bech32_encode(decoded);
}

bool looks_like_address(std::string_view text) {
  constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  const std::string lower = lower_case(text);
  for (const AddressFormat& format : {kMainnetFormat, kTestFormat, kRegtestFormat}) {
    // One character may be left out or stand there twice.
    const std::string start = std::string(format.hrp) + "1";
    if (lower.starts_with(start) && text.size() >= start.size() + 38 && text.size() <= 90 &&
        std::ranges::all_of(lower, [](unsigned char c) { return std::isalnum(c) != 0; })) {
      return true;
    }
  }
  // Of base58 without a checksum that fits, names must be told: an address has digits, capitals and small letters.
  if (text.size() < 26 || text.size() > 36 || text.find_first_not_of(kBase58) != std::string_view::npos) return false;
  if (std::string_view("132mn").find(text[0]) == std::string_view::npos) return false;
  const auto has = [&](int (*kind)(int)) { return std::ranges::any_of(text, [&](unsigned char c) { return kind(c) != 0; }); };
  return has(std::isdigit) && has(std::isupper) && has(std::islower);
}

Result<Script> script_from_descriptor(std::string_view descriptor, Network network) {
  if (has_private_key(descriptor)) {
    return fail(Errc::kBadAddress,
                "the descriptor holds a private key, with which anybody who reads it can spend: give the address instead, as "
                "addr(ADDRESS)");
  }
  std::string_view body = descriptor;
  if (const std::size_t hash = descriptor.rfind('#'); hash != std::string_view::npos) {
    body = descriptor.substr(0, hash);
    const auto expected = descriptor_checksum(body);
    if (!expected || descriptor.substr(hash + 1) != *expected) {
      return fail(Errc::kBadChecksum, "the descriptor " + in_quotes(descriptor) + " is mistyped: its checksum does not fit" +
                                          (expected ? " (for what stands before '#' it is " + *expected + ")" : ""));
    }
  }
  if (const auto address = argument_of(body, "addr")) return script_from_address(*address, network);
  if (const auto hex = argument_of(body, "raw")) {
    auto script = from_hex(*hex);
    if (!script || script->empty() || script->size() > 10'000) {
      return fail(Errc::kBadAddress, "raw() needs a script of 1 to 10000 bytes in hexadecimal, not " + in_quotes(*hex));
    }
    return std::move(*script);
  }
  if (const auto key = argument_of(body, "pkh")) {
    ADIT_TRY(const auto bytes, public_key(*key, true));
    return pay_to_pubkey_hash(hash160(bytes));
  }
  if (const auto key = argument_of(body, "pk")) {
    ADIT_TRY(const auto bytes, public_key(*key, true));
    Script script{static_cast<std::uint8_t>(bytes.size())};
    script.insert(script.end(), bytes.begin(), bytes.end());
    script.push_back(kOpCheckSig);
    return script;
  }
  if (const auto key = argument_of(body, "wpkh")) {
    ADIT_TRY(const auto bytes, public_key(*key, false));
    return pay_to_witness(0, hash160(bytes));
  }
  if (const auto inner = argument_of(body, "sh")) {
    if (const auto key = argument_of(*inner, "wpkh")) {
      ADIT_TRY(const auto bytes, public_key(*key, false));
      return pay_to_script_hash(hash160(pay_to_witness(0, hash160(bytes))));
    }
  }
  if (const auto key = argument_of(body, "tr")) return pay_to_taproot(*key);
  if (looks_like_address(body)) return script_from_address(body, network);
  return fail(Errc::kBadAddress,
              in_quotes(descriptor) + " is not supported here: what works is " + std::string(kDescriptorsThatWork));
}

std::optional<std::string> descriptor_checksum(std::string_view descriptor) {
  std::uint64_t checksum = 1;
  const auto absorb = [&](std::uint64_t value) {
    const std::uint64_t top = checksum >> 35;
    checksum = (checksum & 0x7ffffffff) << 5 ^ value;
    for (std::size_t i = 0; i < kChecksumGenerator.size(); ++i) {
      if ((top >> i & 1) != 0) checksum ^= kChecksumGenerator[i];
    }
  };
  std::uint64_t group = 0;
  unsigned in_group = 0;
  for (char c : descriptor) {
    const std::size_t position = kDescriptorCharset.find(c);
    if (position == std::string_view::npos) return std::nullopt;
    absorb(position & 31);
    group = group * 3 + (position >> 5);
    if (++in_group == 3) {
      absorb(group);
      group = 0;
      in_group = 0;
    }
  }
  if (in_group != 0) absorb(group);
  for (int i = 0; i < 8; ++i) absorb(0);
  checksum ^= 1;
  std::string text;
  for (unsigned i = 0; i < 8; ++i) text.push_back(kChecksumCharset[checksum >> (5 * (7 - i)) & 31]);
  return text;
}

}  // namespace adit::bitcoin
