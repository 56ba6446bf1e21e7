// For tests that take every descriptor of the process.
#pragma once

#include <gtest/gtest.h>

/// Skips the test in builds with UBSan: its check of virtual calls opens a pipe, and takes its failure for a broken object.
#define ADIT_NEEDS_NO_DESCRIPTORS() static_cast<void>(0)
#ifdef __has_feature
#if __has_feature(undefined_behavior_sanitizer)
#undef ADIT_NEEDS_NO_DESCRIPTORS
#define ADIT_NEEDS_NO_DESCRIPTORS() GTEST_SKIP() << "UBSan needs descriptors of its own"
#endif
#endif
