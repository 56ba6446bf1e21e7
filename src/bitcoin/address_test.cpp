#include "bitcoin/address.h"

#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "base/hex.h"
#include "base/text.h"
#include "bitcoin/bech32.h"
#include "bitcoin/ripemd160.h"
#include "bitcoin/test_data.h"

namespace adit::bitcoin {
namespace {

std::string script_hex(const Result<std::vector<std::uint8_t>>& script) {
  return script ? to_hex(*script) : std::string(script.error().name());
}

TEST(Bech32, AcceptsTheVectorsOfBip173AndBip350) {
  for (const char* text :
       {"A12UEL5L", "a12uel5l", "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        "?1ezyfcl"}) {
    const auto decoded = bech32_decode(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_FALSE(decoded->is_bech32m) << text;
    EXPECT_EQ(bech32_encode(*decoded), lower_case(text));
  }
  for (const char* text :
       {"A1LQFN3A", "a1lqfn3a", "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
        "?1v759aa"}) {
    const auto decoded = bech32_decode(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_TRUE(decoded->is_bech32m) << text;
    EXPECT_EQ(bech32_encode(*decoded), lower_case(text));
  }
}

TEST(Bech32, RefusesTheInvalidVectorsOfBip173AndBip350) {
  for (const char* text : {" 1nwldj5",
                           "\x7f"
                           "1axkwrx",
                           "\x80"
                           "1eym55h",
                           "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
                           "pzry9x0s0muk",
                           "1pzry9x0s0muk",
                           "x1b4n0q5v",
                           "li1dgmt3",
                           "de1lg7wt\xff",
                           "A1G7SGD8",
                           "10a06t8",
                           "1qzzfhee",
                           " 1xj0phk",
                           "y1b0jsk6g",
                           "lt1igcx5c0",
                           "in1muywd",
                           "mm1crxm3i",
                           "au1s5cgom",
                           "M1VUXWEZ",
                           "16plkw9",
                           "1p2gdwpf"}) {
    EXPECT_FALSE(bech32_decode(text)) << text;
  }
}

TEST(Address, SegwitVectorsOfBip173AndBip350) {
  struct Row {
    const char* address;
    Network network;
    const char* script;
  };
  for (const Row& row :
       {Row{"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", Network::kMainnet, "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
        Row{"tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", Network::kTestnet4,
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"},
        Row{"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", Network::kMainnet,
            "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"},
        Row{"BC1SW50QGDZ25J", Network::kMainnet, "6002751e"},
        Row{"bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", Network::kMainnet, "5210751e76e8199196d454941c45d1b3a323"},
        Row{"tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy", Network::kSignet,
            "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
        Row{"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", Network::kTestnet4,
            "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
        Row{"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", Network::kMainnet,
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
        Row{"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::kRegtest,
            "0014751e76e8199196d454941c45d1b3a323f1433bd6"}}) {
    EXPECT_EQ(script_hex(script_from_address(row.address, row.network)), row.script) << row.address;
    EXPECT_EQ(address_from_script(*from_hex(row.script), row.network), lower_case(row.address));
  }
}

TEST(Address, InvalidSegwitVectorsOfBip350AreRefused) {
  for (const char* address :
       {"tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "bc1gmk9yu"}) {
    EXPECT_FALSE(script_from_address(address, Network::kMainnet)) << address;
    EXPECT_FALSE(script_from_address(address, Network::kTestnet4)) << address;
  }
}

TEST(Address, LegacyAddressesPayHashOfKeyAndHashOfScript) {
  EXPECT_EQ(script_hex(script_from_address("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::kMainnet)),
            "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac");
  // BIP16's and Bitcoin Core's key_io_valid.json.
  EXPECT_EQ(script_hex(script_from_address("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", Network::kMainnet)),
            "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87");
  EXPECT_EQ(script_hex(script_from_address("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::kRegtest)),
            "76a914243f1394f44554f4ce3fd68649c19adc483ce92488ac");
}

TEST(Address, OfAScriptIsTheOneThatPaysIt) {
  for (const auto& [address, network] : {std::pair("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::kMainnet),
                                         std::pair("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", Network::kMainnet),
                                         std::pair("mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::kRegtest)})
    EXPECT_EQ(address_from_script(*script_from_address(address, network), network), address);
}

TEST(Address, AScriptThatNoAddressPaysHasNone) {
  for (const char* script : {"", "6a", "51", "6a24aa21a9ed0000000000000000000000000000000000000000000000000000000000000000",
                             "210279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798ac",
                             "76a914751e76e8199196d454941c45d1b3a323f1433bd688ad",  // Its last operation is another one.
                             "0015751e76e8199196d454941c45d1b3a323f1433bd6aa",      // No program of version 0 has 21 bytes.
                             "5101aa", "6102aabb", "5102aabbcc"})
    EXPECT_EQ(address_from_script(*from_hex(script), Network::kMainnet), std::nullopt) << script;
}

TEST(Address, OfAnotherNetworkIsRefusedAndBothNetworksAreNamed) {
  struct Row {
    const char* address;
    Network wanted;
    const char* its;
  };
  for (const Row& row : {Row{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Network::kRegtest, "mainnet"},
                         Row{"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::kMainnet, "regtest"},
                         Row{"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::kMainnet, "testnet4 or signet"},
                         Row{"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", Network::kRegtest, "testnet4 or signet"},
                         Row{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::kSignet, "mainnet"},
                         Row{"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", Network::kMainnet, "testnet4, signet or regtest"}}) {
    const auto script = script_from_address(row.address, row.wanted);
    ASSERT_FALSE(script) << row.address;
    EXPECT_TRUE(script.error().is(Errc::kWrongNetwork));
    EXPECT_NE(script.error().message().find(row.its), std::string::npos) << script.error().message();
    EXPECT_NE(script.error().message().find(network_name(row.wanted)), std::string::npos) << script.error().message();
  }
}

TEST(Address, AMistypedOneIsSaidToBeMistyped) {
  for (const char* address : {"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"}) {
    const auto script = script_from_address(address, Network::kRegtest);
    ASSERT_FALSE(script);
    EXPECT_TRUE(script.error().is(Errc::kBadChecksum)) << script.error().message();
  }
}

TEST(Descriptor, OfEveryKindThatWorks) {
  constexpr const char* kKey = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";  // The curve's generator.
  const std::string key = kKey;
  const auto script = [](const std::string& descriptor) {
    return script_hex(script_from_descriptor(descriptor, Network::kRegtest));
  };
  EXPECT_EQ(script("addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"), "0014751e76e8199196d454941c45d1b3a323f1433bd6");
  EXPECT_EQ(script("raw(deadbeef)"), "deadbeef");
  EXPECT_EQ(script("pk(" + key + ")"), "21" + key + "ac");
  EXPECT_EQ(script("pkh(" + key + ")"), "76a914751e76e8199196d454941c45d1b3a323f1433bd688ac");
  EXPECT_EQ(script("wpkh(" + key + ")"), "0014751e76e8199196d454941c45d1b3a323f1433bd6");
  EXPECT_EQ(script("sh(wpkh(" + key + "))"), "a914bcfeb728b584253d5f3f70bcb780e9ef218a68f487");
  // BIP386.
  EXPECT_EQ(script("tr(a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd)"),
            "512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11");
  EXPECT_EQ(script("pk("
                   "04a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd5b8dec5235a0fa8722476c7709c02559e3aa73aa0"
                   "3918ba2d492eea75abea235)"),
            "4104a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd5b8dec5235a0fa8722476c7709c02559e3aa73aa03918b"
            "a2d492eea75abea235ac");
}

TEST(Descriptor, ChecksumIsVerifiedWhereGiven) {
  EXPECT_EQ(descriptor_checksum("raw(deadbeef)"), "89f8spxm");  // BIP380.
  EXPECT_EQ(script_hex(script_from_descriptor("raw(deadbeef)#89f8spxm", Network::kRegtest)), "deadbeef");
  for (const char* bad : {"raw(deadbeef)#", "raw(deadbeef)#89f8spxmx", "raw(deadbeef)#89f8spx", "raw(deedbeef)#89f8spxm",
                          "raw(deedbeef)##9f8spxm", "raw(\xc3\x9c)#00000000"}) {
    const auto script = script_from_descriptor(bad, Network::kRegtest);
    ASSERT_FALSE(script) << bad;
    EXPECT_TRUE(script.error().is(Errc::kBadChecksum)) << bad;
  }
}

TEST(Descriptor, OthersAreRefusedWithWhatWorks) {
  for (const char* descriptor :
       {"", "wsh(pk(02))", "sh(multi(1,02))",
        "wpkh(xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8)",
        "pkh(04", "tr(00)", "combo(02)", "pk()", "addr"}) {
    const auto script = script_from_descriptor(descriptor, Network::kMainnet);
    ASSERT_FALSE(script) << descriptor;
    EXPECT_NE(script.error().message().find("addr(ADDRESS)"), std::string::npos) << script.error().message();
  }
}

TEST(Descriptor, KeysThatAreNotOnTheCurveAreRefused) {
  const std::string off_curve(64, 'f');
  for (const std::string& descriptor : {"pk(02" + off_curve + ")", "wpkh(02" + off_curve + ")", "tr(" + off_curve + ")",
                                        std::string("wpkh("
                                                    "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada77"
                                                    "26a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)")}) {
    const auto script = script_from_descriptor(descriptor, Network::kMainnet);
    ASSERT_FALSE(script) << descriptor;
    EXPECT_TRUE(script.error().is(Errc::kBadAddress));
  }
}

TEST(Descriptor, ABareAddressIsTakenAsAddr) {
  EXPECT_EQ(script_hex(script_from_descriptor("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::kRegtest)),
            "0014751e76e8199196d454941c45d1b3a323f1433bd6");
  EXPECT_EQ(script_hex(script_from_descriptor("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Network::kMainnet)),
            "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac");
  const auto mistyped = script_from_descriptor("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", Network::kRegtest);
  ASSERT_FALSE(mistyped);
  EXPECT_TRUE(mistyped.error().is(Errc::kBadChecksum)) << mistyped.error().message();
  const auto elsewhere = script_from_descriptor("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Network::kRegtest);
  ASSERT_FALSE(elsewhere);
  EXPECT_TRUE(elsewhere.error().is(Errc::kWrongNetwork)) << elsewhere.error().message();
}

// bitcoin/bitcoin#14150: what getaddressinfo and listdescriptors print.
TEST(Descriptor, TheOriginOfAKeyChangesNothing) {
  constexpr const char* kKey = "03efdee34c0009fd175f3b20b5e5a5517fd5d16746f2e635b44617adafeaebc388";
  const std::string key = kKey;
  const auto script = [](const std::string& descriptor) {
    return script_hex(script_from_descriptor(descriptor, Network::kRegtest));
  };
  EXPECT_EQ(script("pkh([d6043800/0'/0'/18']" + key + ")#4ahsl9pk"), script("pkh(" + key + ")"));
  EXPECT_EQ(script("wpkh([d34db33f/84h/1H/0h/0/5]" + key + ")"), script("wpkh(" + key + ")"));
  EXPECT_EQ(script("sh(wpkh([D34DB33F]" + key + "))"), script("sh(wpkh(" + key + "))"));
  EXPECT_EQ(script("pk([d34db33f/2147483647']" + key + ")"), script("pk(" + key + ")"));
  constexpr const char* kXOnly = "a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd";
  EXPECT_EQ(script(std::string("tr([d34db33f/86h/1h/0h/0/5]") + kXOnly + ")"), script(std::string("tr(") + kXOnly + ")"));
  for (const char* origin : {"[]", "[d34db33]", "[d34db33g/0]", "[d34db33f/]", "[d34db33f/x]", "[d34db33f/2147483648]",
                             "[d34db33f/0hh]", "[d34db33f/0", "[d34db33f0]", "[d34db33f//0]"}) {
    const auto refused = script_from_descriptor("wpkh(" + std::string(origin) + key + ")", Network::kRegtest);
    ASSERT_FALSE(refused) << origin;
    EXPECT_NE(refused.error().message().find("origin of a key"), std::string::npos) << refused.error().message();
  }
}

TEST(Descriptor, AnExtendedKeyNeedsAnIndexAndAPrivateOneIsNeverRepeated) {
  constexpr const char* kExtended =
      "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
  const auto error = [](const std::string& descriptor) {
    const auto script = script_from_descriptor(descriptor, Network::kMainnet);
    return script ? std::string() : script.error().message();
  };
  for (const char* path : {"/0/*", "/*", "/<0;1>/*", "/0/*h"}) {
    EXPECT_NE(error("wpkh([d34db33f/84h/0h/0h]" + std::string(kExtended) + path + ")").find("one for each index"),
              std::string::npos);
  }
  EXPECT_NE(error("tr(" + std::string(kExtended) + "/0/5)").find("give the address that it stands for"), std::string::npos);
  // BIP32's first vector; Bitcoin's wiki's WIF.
  for (const std::string secret :
       {"xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617"}) {
    for (const std::string& descriptor : {"wpkh(" + secret + ")", "wpkh(" + secret + ")#00000000", "wsh(pk(" + secret + "))",
                                          "tr([d34db33f/86h]" + secret + "/0/*)", secret}) {
      const std::string message = error(descriptor);
      EXPECT_NE(message.find("private key"), std::string::npos) << message;
      EXPECT_EQ(message.find(secret.substr(0, 12)), std::string::npos) << "in the message";
    }
  }
}

TEST(Address, OneThatIsMistypedIsToldFromAName) {
  for (const char* text : {"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T5",
                           "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzs", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081",
                           "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tt4", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kvof3t4",
                           "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfm",
                           "3P14159f73E4gFr7JterCCQh9QjiTjiZrF", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"}) {
    EXPECT_TRUE(looks_like_address(text)) << text;
  }
  for (const char* text :
       {"", "a", "alice", "bc1", "bc1q", "bc1miner", "tb1test.rig7", "miner_with_a_long_name_of_30", "1",
        "mininguserwithalongnameabcdefg", "123456789123456789123456789123", "NerdMinerInTheKitchen2026",
        "0f8fad5b-d9cb-469f-a165-70867728950e", "3f2504e04f8911d39a0c0305e82c3301", "sri/donate/alice", "Adit/0.1.0"}) {
    EXPECT_FALSE(looks_like_address(text)) << text;
  }
}

TEST(Ripemd160, AgreesWithItsAuthorsExamples) {
  EXPECT_EQ(to_hex(ripemd160({})), "9c1185a5c5e9fc54612808977ee8f548b2258d31");
  EXPECT_EQ(to_hex(ripemd160(as_bytes("abc"))), "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
  EXPECT_EQ(to_hex(ripemd160(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "12a053384a9c0c88e405a06c27dcf49ada62eb2b");
  EXPECT_EQ(to_hex(ripemd160(as_bytes("12345678901234567890123456789012345678901234567890123456789012345678901234567890"))),
            "9b752e45573d4b39f4dbd3323cab82bf63326bfb");
}

TEST(Network, IsKnownByOurNamesAndByBitcoinCores) {
  EXPECT_EQ(network_from_name("main"), Network::kMainnet);
  EXPECT_EQ(network_from_name("regtest"), Network::kRegtest);
  EXPECT_EQ(network_from_name("testnet4"), Network::kTestnet4);
  EXPECT_EQ(network_from_name("signet"), Network::kSignet);
  EXPECT_FALSE(network_from_name("Mainnet"));
}

}  // namespace
}  // namespace adit::bitcoin
