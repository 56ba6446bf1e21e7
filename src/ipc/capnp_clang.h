// Lets clang read the headers of Cap'n Proto before 1.0 as C++20 or later. Included before all else (-include) where they are.
//
// There capnp/blob.h compares `const char*` with kj::StringPtr, for which kj/string.h has only a member of StringPtr: C++20
// finds it turned around for both sides and calls that ambiguous, which g++ lets pass. One more operator that fits exactly
// decides it.
#pragma once

#if defined(__cplusplus) && __cplusplus >= 202002L && defined(__clang__)
#include <capnp/common.h>
#if CAPNP_VERSION < 1000000
namespace kj {
inline bool operator==(const char* left, const StringPtr& right) { return right == StringPtr(left); }
}  // namespace kj
#endif
#endif
