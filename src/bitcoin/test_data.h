// Real blocks and transactions that several tests check against.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "base/hex.h"
#include "bitcoin/hash.h"

namespace adit::bitcoin::test {

inline std::vector<std::uint8_t> bytes_of(std::string_view hex) {
  auto bytes = from_hex(hex);
  if (!bytes) throw std::invalid_argument("a test's constant is not hexadecimal");
  return *bytes;
}

/// From the order in which hashes are printed.
inline Hash256 hash_of(std::string_view printed) {
  Hash256 hash;
  if (!from_hex(printed, hash)) throw std::invalid_argument("a test's constant is not a hash");
  std::reverse(hash.begin(), hash.end());
  return hash;
}

inline constexpr std::string_view kGenesisHeader =
    "01000000"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
inline constexpr std::string_view kGenesisHash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
inline constexpr std::string_view kGenesisCoinbase =
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030"
    "33"
    "2f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff"
    "01"
    "00f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c38"
    "4d"
    "f7ba0b8d578a4c702b6bf11d5fac00000000";
inline constexpr std::string_view kGenesisMerkleRoot = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

inline constexpr std::string_view kHeader125552 =
    "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc"
    "88"
    "92b0f1fc122bc7f5d74df2b9441a42a14695";
inline constexpr std::string_view kHash125552 = "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d";

/// BIP143's example of two inputs, one of them with a witness; its ids were computed with Python's hashlib.
inline constexpr std::string_view kSegwitTransaction =
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b"
    "02"
    "742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51"
    "e1"
    "b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f"
    "85"
    "c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c"
    "80"
    "bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476"
    "c2"
    "e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";
inline constexpr std::string_view kSegwitTxid = "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609";
inline constexpr std::string_view kSegwitWtxid = "c36c38370907df2324d9ce9d149d191192f338b37665a82e78e76a12c909b762";

}  // namespace adit::bitcoin::test
