// Reading and writing key files leaves no copy of the secret in memory that was given back. An executable of its own, as it
// replaces the process's allocator.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "base/hex.h"
#include "base/temporary_folder_testing.h"
#include "config/keys.h"
#include "noise/keys.h"

namespace {

constexpr std::size_t kHeader = 16;         // Where the size of a block stands, before it.
const std::vector<std::string>* g_needles;  // What no block may hold when it is given back; null: nothing is looked for.
int g_copies = 0;

void* allocate(std::size_t size) {
  // Nothing is left in it of a block that was given back before, such as one of the test itself.
  auto* const memory = static_cast<unsigned char*>(std::calloc(1, size + kHeader));
  if (memory == nullptr) throw std::bad_alloc();
  *reinterpret_cast<std::size_t*>(memory) = size;
  return memory + kHeader;
}

void release(void* at) noexcept {
  if (at == nullptr) return;
  auto* const memory = static_cast<unsigned char*>(at) - kHeader;
  const std::size_t size = *reinterpret_cast<std::size_t*>(memory);
  if (g_needles != nullptr) {
    for (const std::string& needle : *g_needles) {
      const auto* const end = static_cast<unsigned char*>(at) + size;
      if (std::search(static_cast<unsigned char*>(at), const_cast<unsigned char*>(end), needle.begin(), needle.end(),
                      [](unsigned char a, char b) { return a == static_cast<unsigned char>(b); }) != end) {
        ++g_copies;
      }
    }
  }
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

namespace adit::config {
namespace {

class SecretCopies : public testing::Test {
 protected:
  SecretCopies() : secret_(generate_node_key()) {
    // A third of each form of the key, so that a copy counts though its end was erased.
    const std::string hex = to_hex(secret_.bytes());
    const std::string base58 = noise::to_text(secret_);
    for (const std::string& form : {std::string(as_text(secret_.bytes())), hex, base58}) {
      for (std::size_t at = 0; at + form.size() / 3 <= form.size(); at += form.size() / 3)
        needles_.push_back(form.substr(at, form.size() / 3));
    }
  }
  void SetUp() override { g_needles = &needles_, g_copies = 0; }
  void TearDown() override { g_needles = nullptr; }

  TemporaryFolder folder_;
  noise::Secret secret_;
  std::vector<std::string> needles_;
};

TEST_F(SecretCopies, ACopyThatIsGivenBackIsSeen) {
  {
    const std::string copy = to_hex(secret_.bytes());
  }
  EXPECT_GT(g_copies, 0);
}

TEST_F(SecretCopies, WritingANodeKeyAndReadingItLeavesNone) {
  const std::string path = folder_.path() / "node.key";
  ASSERT_TRUE(write_node_key(path, secret_, false));
  {
    ASSERT_TRUE(read_node_key(path));
  }
  EXPECT_EQ(g_copies, 0);
}

TEST_F(SecretCopies, WritingAnAuthorityKeyAndReadingItLeavesNone) {
  const std::string path = folder_.path() / "authority.key";
  ASSERT_TRUE(write_authority_key(path, secret_, false));
  {
    ASSERT_TRUE(read_authority_key(path));
  }
  EXPECT_EQ(g_copies, 0);
}

TEST_F(SecretCopies, ReadingATokenLeavesNone) {
  const std::string path = folder_.path() / "monitoring.token";
  ASSERT_TRUE(write_node_key(path, secret_, false)) << "a node's key has the characters of a token";
  ASSERT_TRUE(take_token(path, true));
  EXPECT_EQ(g_copies, 0);
}

TEST_F(SecretCopies, AKeyWithASlipLeavesNone) {
  const std::string path = folder_.path() / "authority.key";
  ASSERT_TRUE(write_authority_key(path, secret_, false));
  g_needles = nullptr;
  std::string text = noise::to_text(secret_);
  text.back() = text.back() == 'x' ? 'y' : 'x';
  g_needles = &needles_;
  ASSERT_FALSE(noise::parse_secret_key(text));
  EXPECT_EQ(g_copies, 0);
  std::fill(text.begin(), text.end(), '\0');
}

}  // namespace
}  // namespace adit::config
