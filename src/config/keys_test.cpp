#include "config/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hex.h"

namespace adit::config {
namespace {

using testing::HasSubstr;

class Keys : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "adit-keys-" + std::to_string(::getpid());
    std::filesystem::create_directory(folder_);
    path_ = folder_ + "/key";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(std::string_view text, ::mode_t mode = 0600) const {
    std::ofstream(path_) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(Keys, AnAuthorityKeyComesBackFromItsFileOfMode0600) {
  const auto pair = noise::AuthorityKeyPair::generate(noise::system_random());
  ASSERT_TRUE(write_authority_key(path_, pair.secret(), false).has_value());
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  const auto read = read_authority_key(path_);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->public_key(), pair.public_key());
}

TEST_F(Keys, ANodeKeyComesBack) {
  const auto key = generate_node_key();
  ASSERT_TRUE(write_node_key(path_, key, false).has_value());
  const auto read = read_node_key(path_);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(to_hex(read->bytes()), to_hex(key.bytes()));
}

TEST_F(Keys, AKeyInUseIsTakenByNobodyElse) {
  ASSERT_TRUE(write_node_key(path_, generate_node_key(), false).has_value());
  auto first = std::make_optional(take_node_key(path_));
  ASSERT_TRUE(first->has_value()) << first->error().message();
  const auto second = take_node_key(path_);
  ASSERT_FALSE(second.has_value());
  EXPECT_TRUE(second.error().is(KeyErrc::kInUse));
  EXPECT_THAT(second.error().message(), HasSubstr("another process runs with the key in " + path_));
  EXPECT_TRUE(read_node_key(path_).has_value()) << "looking at it is no use";
  first.reset();
  EXPECT_TRUE(take_node_key(path_).has_value());
}

TEST_F(Keys, AKeyThatCannotBeReadIsNotTaken) {
  EXPECT_TRUE(take_node_key(path_).error().is(KeyErrc::kUnreadable));
  write("no key");
  EXPECT_TRUE(take_node_key(path_).error().is(KeyErrc::kNoKey));
}

TEST_F(Keys, ATokenIsMadeOnceAndReadAsItsDigest) {
  const std::string path = folder_ + "/state/translator/monitoring.token";
  EXPECT_TRUE(take_token(path, false).error().is(KeyErrc::kUnreadable)) << "one that is named must be there";
  const auto made = take_token(path, true);
  ASSERT_TRUE(made.has_value()) << made.error().message();
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  const std::string token = *read_secret_file(path);
  EXPECT_THAT(token, testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(*made, sha256(as_bytes(token)));
  EXPECT_EQ(*take_token(path, true), *made) << "the next start has the same";
  ASSERT_TRUE(write_token(path_, false));
  EXPECT_NE(*read_token(path_), *made);
}

TEST_F(Keys, AFileThatHoldsNoTokenIsRefusedWithTheCure) {
  EXPECT_THAT(read_token(path_).error().message(), HasSubstr("`adit keys token --out " + path_ + "` makes one"));
  for (const std::string& text : {std::string(15, 'x'), std::string(257, 'x'), std::string("two words of a phrase"),
                                  std::string("0123456789abcdef\n0123456789abcdef"), std::string("0123456789abcdef\xc3\xbc")}) {
    write(text);
    const auto read = read_token(path_);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_TRUE(read.error().is(KeyErrc::kNoKey));
    EXPECT_THAT(read.error().message(), HasSubstr(path_ + " holds no token: "));
    EXPECT_THAT(read.error().message(), testing::Not(HasSubstr(text)));
  }
  for (const std::string& text : {std::string(16, 'x'), std::string(256, '~'), std::string("0123456789:abcdef\r\n")}) {
    write(text);
    EXPECT_TRUE(read_token(path_).has_value()) << text;
  }
  write("0123456789abcdef", 0644);
  EXPECT_TRUE(read_token(path_).error().is(KeyErrc::kTooOpen));
}

TEST_F(Keys, TheEndpointIdIsTheEd25519PublicKey) {
  // RFC 8032 §7.1, test 1.
  write("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n");
  const auto key = read_node_key(path_);
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(endpoint_id(*key), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

TEST_F(Keys, SrisSecretKeyIsRead) {
  write("mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n");
  const auto read = read_authority_key(path_);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(noise::to_text(read->public_key()), "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72");
}

TEST_F(Keys, AnExistingFileIsKeptUnlessToldOtherwise) {
  write("precious");
  const auto key = generate_node_key();
  const auto refused = write_node_key(path_, key, false);
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().is(KeyErrc::kExists));
  EXPECT_THAT(refused.error().message(), HasSubstr("--force"));
  EXPECT_EQ(*read_secret_file(path_), "precious");

  ASSERT_TRUE(write_node_key(path_, key, true).has_value());
  EXPECT_EQ(*read_secret_file(path_), to_hex(key.bytes()));
  EXPECT_EQ(files(), 1u) << "no temporary file stays behind";
}

TEST_F(Keys, AFolderThatIsNotThereIsNamed) {
  const auto result = write_node_key(folder_ + "/none/key", generate_node_key(), false);
  ASSERT_FALSE(result.has_value());
  EXPECT_TRUE(result.error().is(KeyErrc::kUnwritable));
  EXPECT_THAT(result.error().message(), HasSubstr(folder_ + "/none/key"));
}

TEST_F(Keys, AFileOpenToOthersIsRefusedWithTheCure) {
  write("secret", 0640);
  const auto result = read_node_key(path_);
  ASSERT_FALSE(result.has_value());
  EXPECT_TRUE(result.error().is(KeyErrc::kTooOpen));
  EXPECT_THAT(result.error().message(), HasSubstr("mode 0640"));
  EXPECT_THAT(result.error().message(), HasSubstr("chmod 600 " + path_));
  EXPECT_THAT(result.error().message(), testing::Not(HasSubstr("secret")));
}

TEST_F(Keys, ASystemdCredentialOfTheSameNameIsReadInPlaceOfTheFile) {
  write("the file's", 0600);
  const std::string name = path_.substr(path_.rfind('/') + 1);
  ::setenv("CREDENTIALS_DIRECTORY", folder_.c_str(), 1);
  EXPECT_EQ(*read_secret_file(path_), "the file's") << "there is none of that name";
  // As systemd makes it where it has access lists.
  std::ofstream(folder_ + "/adit_" + name) << "the credential's";
  ASSERT_EQ(::chmod((folder_ + "/adit_" + name).c_str(), 0440), 0);
  EXPECT_EQ(*read_secret_file(path_), "the credential's");
  EXPECT_EQ(*read_secret_file(name), "the credential's") << "whatever folder is named";
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_EQ(*read_secret_file(path_), "the file's");
}

TEST_F(Keys, AnAbsentFileIsNamedWithTheCommandThatMakesIt) {
  const auto authority = read_authority_key(path_);
  ASSERT_FALSE(authority.has_value());
  EXPECT_TRUE(authority.error().is(KeyErrc::kUnreadable));
  EXPECT_THAT(authority.error().message(), HasSubstr(path_ + " does not exist"));
  EXPECT_THAT(authority.error().message(), HasSubstr("adit keys authority --out " + path_));
  EXPECT_THAT(read_node_key(path_).error().message(), HasSubstr("adit keys node --out " + path_));
}

TEST_F(Keys, AFileThatIsThereAndCannotBeReadIsNotCalledMissing) {
  std::filesystem::create_symlink(path_, path_);  // Leads to itself.
  const auto authority = read_authority_key(path_);
  EXPECT_TRUE(authority.error().is(KeyErrc::kUnreadable));
  EXPECT_THAT(authority.error().message(), HasSubstr(path_ + " cannot be read: Too many levels of symbolic links"));
  EXPECT_THAT(authority.error().message(), testing::Not(HasSubstr("makes one")));
}

TEST_F(Keys, AFolderIsNoKeyFile) {
  const auto result = read_authority_key(folder_);
  ASSERT_FALSE(result.has_value());
  EXPECT_TRUE(result.error().is(KeyErrc::kUnreadable));
}

TEST_F(Keys, WhatIsNoKeyIsRefusedWithoutBeingShown) {
  for (const std::string text : {"", "hunter2", "zz61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"}) {
    write(text);
    for (const Error& error : {read_authority_key(path_).error(), read_node_key(path_).error()}) {
      EXPECT_TRUE(error.is(KeyErrc::kNoKey)) << error.message();
      if (!text.empty()) {
        EXPECT_THAT(error.message(), testing::Not(HasSubstr(text)));
      }
    }
  }
  write(std::string(5000, 'a'));
  EXPECT_TRUE(read_node_key(path_).error().is(KeyErrc::kNoKey));
}

}  // namespace
}  // namespace adit::config
