#include "config/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace adit::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Document parse(std::string_view toml, const Environment& environment = {}) {
  return Document::parse(toml, "pool.toml", "POOL", environment);
}

std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> out;
  for (const Finding& finding : findings) out.push_back(finding.text());
  return out;
}

TEST(Values, AreReadByType) {
  auto document = parse(R"(
    name = "a"
    on = true
    count = 0x10
    rate = 6
    ports = [1, 2]
    hosts = ["x", "y"]
    [inner]
    key = 1.5
    [[list]]
    n = 1
    [[list]]
    n = 2
  )");
  Table root = document.root();
  EXPECT_EQ(root.text("name"), "a");
  EXPECT_EQ(root.boolean("on"), true);
  EXPECT_EQ(root.integer<std::uint8_t>("count"), 16);
  EXPECT_EQ(root.number("rate", 0, 10), 6.0);
  EXPECT_THAT(*root.integers<std::uint16_t>("ports"), ElementsAre(1, 2));
  EXPECT_THAT(*root.texts("hosts"), ElementsAre("x", "y"));
  EXPECT_EQ(root.table("inner")->number("key", 0, 10), 1.5);
  auto list = root.tables("list");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].integer<int>("n"), 1);
  EXPECT_EQ(list[1].integer<int>("n"), 2);
  EXPECT_EQ(root.text("absent"), std::nullopt);
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Syntax, ATablesNameThatBeginsOddlyIsAFaultOfItsLine) {
  for (const char* const text : {"a = 1\n[\x01]\n", "a = 1\n[*]\n", "a = 1\n[[=]]\n", "a = 1\n[a.*]\n"}) {
    auto document = parse(text);
    EXPECT_FALSE(document.readable());
    EXPECT_THAT(texts(document.finish()), ElementsAre(testing::StartsWith("pool.toml:2: "))) << text;
  }
}

TEST(UnknownKey, NamesFileLineAndNearestKey) {
  auto document = parse("server_id = 1\nlistn_address = \"x\"\n");
  document.root().text("listen_address");
  document.root().integer<int>("server_id");
  EXPECT_THAT(texts(document.finish()),
              ElementsAre("pool.toml:2: unknown key `listn_address`; did you mean `listen_address`?"));
}

TEST(UnknownKey, WithoutANearOneNamesItsTable) {
  auto document = parse("[iroh]\ncolour = 1\n");
  document.root().table("iroh")->text("relay");
  EXPECT_THAT(texts(document.finish()), ElementsAre("pool.toml:2: unknown key `colour` in [iroh]"));
}

TEST(UnknownKey, BelowTheWrongHeaderIsToldWhereItBelongs) {
  auto document = parse("[iroh]\nserver_id = 1\n");
  document.root().integer<int>("server_id");
  document.root().table("iroh")->text("relay");
  EXPECT_THAT(
      texts(document.finish()),
      ElementsAre("pool.toml:2: unknown key `server_id` in [iroh]; it belongs to the top level, above the first [table]"));
}

TEST(UnknownKey, OfATableThatNobodyKnowsIsReportedOnce) {
  auto document = parse("[jsd]\nlisten_address = \"x\"\nother = 1\n");
  document.root().table("jds");
  EXPECT_THAT(texts(document.finish()), ElementsAre("pool.toml:1: unknown key `jsd`; did you mean `jds`?"));
}

TEST(UnknownKey, InAListOfTablesNamesTheEntrysLine) {
  auto document = parse("[[upstreams]]\nport = 1\n[[upstreams]]\nprot = 2\n");
  for (Table& upstream : document.root().tables("upstreams")) upstream.integer<int>("port");
  EXPECT_THAT(texts(document.finish()), ElementsAre("pool.toml:4: unknown key `prot`; did you mean `port`?"));
}

TEST(WrongValue, NamesKeyLineAndWhatIsExpected) {
  auto document = parse(R"(text = 1
truth = "yes"
small = 300
whole = 1.5
rate = inf
list = "a"
numbers = [1, 70000]
table = 3
tables = 4
when = 2026-01-01
mixed = ["a", 1]
)");
  Table root = document.root();
  EXPECT_EQ(root.text("text"), std::nullopt);
  root.boolean("truth");
  EXPECT_EQ(root.integer<std::uint8_t>("small"), std::nullopt);
  root.integer<int>("whole", 1, 9);
  root.number("rate", 0, 1e30);
  root.texts("list");
  root.integers<std::uint16_t>("numbers");
  root.table("table");
  root.tables("tables");
  root.text("when");
  root.texts("mixed");
  EXPECT_THAT(
      texts(document.finish()),
      ElementsAre(
          "pool.toml:1: `text` must be a string, not 1", "pool.toml:2: `truth` must be true or false, not the string \"yes\"",
          "pool.toml:3: `small` must be a whole number from 0 to 255, not 300",
          "pool.toml:4: `whole` must be a whole number from 1 to 9, not 1.5",
          "pool.toml:5: `rate` must be a number from 0 to 1e+30, not inf",
          "pool.toml:6: `list` must be a list of strings, not the string \"a\"",
          "pool.toml:7: `numbers` must be a list; each item must be a whole number from 0 to 65535, not 70000",
          "pool.toml:8: `table` must be a table, not 3", "pool.toml:9: `tables` must be a list of tables ([[tables]]), not 4",
          "pool.toml:10: `when` must be a string, not a date", "pool.toml:11: `mixed` must be a list of strings; it holds 1"));
}

TEST(WrongValue, OfASecretIsNotShown) {
  auto document = parse("key = 123456\n");
  document.root().secret("key");
  EXPECT_THAT(texts(document.finish()), ElementsAre("pool.toml:1: `key` must be a string"));
}

TEST(MissingKey, IsReportedWithItsPurposeAndTable) {
  auto document = parse("a = 1\n[jds]\n");
  document.root().integer<int>("a");
  EXPECT_FALSE(document.root().require("b", "what b is for"));
  EXPECT_FALSE(document.root().table("jds")->require("c", "what c is for"));
  EXPECT_THAT(texts(document.finish()), ElementsAre("pool.toml: missing key `b` at the top level: what b is for",
                                                    "pool.toml:2: missing key `c` in [jds]: what c is for"));
}

TEST(Syntax, ErrorNamesTheLine) {
  auto document = parse("a = 1\nb = = 2\n");
  EXPECT_FALSE(document.readable());
  const auto findings = document.finish();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].text(), testing::StartsWith("pool.toml:2: this is not TOML: "));
}

TEST(Syntax, AKeyGivenTwiceIsAnError) {
  auto document = parse("a = 1\na = 2\n");
  EXPECT_FALSE(document.readable());
  EXPECT_THAT(document.finish()[0].text(), testing::StartsWith("pool.toml:2: this is not TOML: "));
}

TEST(Variant, IsTheOneTableThatIsThere) {
  auto document = parse("[source.Embedded]\ninterval = 5\n");
  auto source = document.root().variant("source", {"Embedded", "Rpc"});
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(source->first, "Embedded");
  EXPECT_EQ(source->second.integer<int>("interval"), 5);
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Variant, TwoAtOnceAreRefused) {
  auto document = parse("[source.Embedded]\n[source.Rpc]\n");
  EXPECT_FALSE(document.root().variant("source", {"Embedded", "Rpc"}).has_value());
  EXPECT_THAT(texts(document.finish()),
              ElementsAre("pool.toml:1: `source` must hold exactly one of [source.Embedded], [source.Rpc]"));
}

TEST(Variant, AnUnknownOneListsTheChoices) {
  auto document = parse("[source.Embeded]\n");
  EXPECT_FALSE(document.root().variant("source", {"Embedded", "Rpc"}).has_value());
  EXPECT_THAT(texts(document.finish()),
              ElementsAre("pool.toml:1: `source` must hold exactly one of [source.Embedded], [source.Rpc]",
                          "pool.toml:1: unknown key `Embeded`; did you mean `Embedded`?"));
}

TEST(Environment, OverridesTheFileByTypeOfTheKey) {
  auto document = parse(
      "a = \"file\"\nn = 1\nkept = 2\n[t]\nx = 1\n",
      {{"POOL__A", "7"}, {"POOL__N", "7"}, {"POOL__T__X", "2.5"}, {"POOL__ON", "True"}, {"OTHER__N", "9"}, {"POOL_N", "9"}});
  Table root = document.root();
  EXPECT_EQ(root.text("a"), "7");
  EXPECT_EQ(root.integer<int>("n"), 7);
  EXPECT_EQ(root.integer<int>("kept"), 2);
  EXPECT_EQ(root.table("t")->number("x", 0, 10), 2.5);
  EXPECT_EQ(root.boolean("on"), true);
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Environment, SplitsListsAtCommas) {
  auto document = parse("", {{"POOL__EXT", "1, 2 ,3"}, {"POOL__HOSTS", "a"}, {"POOL__NONE", ""}});
  EXPECT_THAT(*document.root().integers<std::uint16_t>("ext"), ElementsAre(1, 2, 3));
  EXPECT_THAT(*document.root().texts("hosts"), ElementsAre("a"));
  EXPECT_THAT(*document.root().texts("none"), IsEmpty());
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Environment, WrongAndUnknownVariablesAreNamed) {
  auto document = parse("a = 1\n", {{"POOL__SERVER_ID", "one"}, {"POOL__LISTN", "x"}});
  document.root().integer<int>("a");
  document.root().integer<std::uint8_t>("server_id");
  document.root().text("listen");
  EXPECT_THAT(texts(document.finish()),
              ElementsAre("environment variable POOL__SERVER_ID: `server_id` must be a whole number from 0 to 255, not \"one\"",
                          "environment variable POOL__LISTN: unknown key `listn`; did you mean `listen`?"));
}

TEST(Environment, UpstreamsReplaceTheWholeListInAlphabeticOrder) {
  auto document =
      parse("[[upstreams]]\naddress = \"file\"\n",
            {{"POOL__UPSTREAM_B__ADDRESS", "b"}, {"POOL__UPSTREAM_B__PORT", "2"}, {"POOL__UPSTREAM_A__ADDRESS", "a"}});
  auto upstreams = document.root().tables("upstreams");
  ASSERT_EQ(upstreams.size(), 2u);
  EXPECT_EQ(upstreams[0].text("address"), "a");
  EXPECT_EQ(upstreams[0].integer<int>("port"), std::nullopt);
  EXPECT_EQ(upstreams[1].text("address"), "b");
  EXPECT_EQ(upstreams[1].integer<int>("port"), 2);
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Environment, AVariantTakesThePlaceOfTheFiles) {
  auto document = parse("[source.Embedded]\ninterval = 5\n", {{"POOL__SOURCE__RPC__URL", "http://x"}});
  auto source = document.root().variant("source", {"Embedded", "Rpc"});
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(source->first, "Rpc");
  EXPECT_EQ(source->second.text("url"), "http://x");
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST(Environment, CompletesAVariantOfTheFile) {
  auto document = parse("[source.Rpc]\nuser = \"u\"\n", {{"POOL__SOURCE__RPC__URL", "http://x"}});
  auto source = document.root().variant("source", {"Embedded", "Rpc"});
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(source->second.text("user"), "u");
  EXPECT_EQ(source->second.text("url"), "http://x");
}

class File : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "adit-config-" + std::to_string(::getpid());
    std::filesystem::create_directory(path_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string path_;
};

TEST_F(File, MayBeAbsentIfTheEnvironmentSpeaks) {
  auto document = Document::open(path_ + "/none.toml", "POOL", {{"POOL__A", "1"}});
  EXPECT_TRUE(document.readable());
  EXPECT_EQ(document.root().integer<int>("a"), 1);
}

TEST_F(File, AbsentWithoutEnvironmentIsAnError) {
  auto document = Document::open(path_ + "/none.toml", "POOL", {});
  EXPECT_FALSE(document.readable());
  EXPECT_THAT(texts(document.finish()),
              ElementsAre(path_ + "/none.toml: there is no such file, and no environment variable begins with POOL__"));
}

TEST_F(File, AFolderIsAnErrorAndNoEmptyConfiguration) {
  auto document = Document::open(path_, "POOL", {{"POOL__A", "1"}});
  EXPECT_FALSE(document.readable());
  EXPECT_THAT(texts(document.finish()), ElementsAre(path_ + ": cannot be read: Is a directory"));
}

TEST_F(File, AnEmptyFileIsAnEmptyTable) {
  std::ofstream(path_ + "/empty.toml");
  auto document = Document::open(path_ + "/empty.toml", "POOL", {});
  EXPECT_TRUE(document.readable());
  EXPECT_THAT(document.finish(), IsEmpty());
}

TEST_F(File, OfMoreThanAMebibyteIsNotRead) {
  std::ofstream(path_ + "/big.toml") << std::string((1 << 20) + 1, '#');
  auto document = Document::open(path_ + "/big.toml", "POOL", {});
  EXPECT_FALSE(document.readable());
}

TEST(Findings, ShowControlCharactersInsteadOfSendingThemToATerminal) {
  auto document = parse("\"a\\u001b[2J\" = 1\n");
  EXPECT_THAT(texts(document.finish()), ElementsAre(testing::HasSubstr("`a\\x1b[2J`")));
}

TEST(EditDistance, CountsInsertionsDeletionsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("listn", "listen"), 1u);
  EXPECT_EQ(edit_distance("prot", "port"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace adit::config
