// For tests in which the process has no descriptor left.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

/// Skips the test in builds with UBSan: its check of virtual calls opens a pipe, and takes its failure for a broken object.
/// It runs in the release build and under TSan.
#define ADIT_TAKES_EVERY_DESCRIPTOR() static_cast<void>(0)
#ifdef __has_feature
#if __has_feature(undefined_behavior_sanitizer)
#undef ADIT_TAKES_EVERY_DESCRIPTOR
#define ADIT_TAKES_EVERY_DESCRIPTOR() \
  GTEST_SKIP() << "UBSan's check of virtual calls opens a pipe, and takes its failure for a broken object"
#endif
#endif

namespace adit {

/// While it lives the process can open so many descriptors in all, those it has included; 0: none but those it has now, as long
/// as they have no gaps.
class FewDescriptors {
 public:
  explicit FewDescriptors(::rlim_t most = 0) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    if (most == 0) {
      const int next_free = ::dup(0);
      EXPECT_GE(next_free, 0);
      ::close(next_free);
      most = static_cast<::rlim_t>(next_free);
    }
    rlimit few = before_;
    few.rlim_cur = most;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_{};
};

}  // namespace adit
