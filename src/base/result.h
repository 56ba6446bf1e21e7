// Result<T>: a value or an Error. Exceptions stay inside adapters of libraries that throw.
#pragma once

#include <expected>
#include <utility>

#include "base/error.h"

namespace adit {

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(Code::kX, "...")` from any function that returns a Result.
template <class Code>
std::unexpected<Error> fail(Code code, std::string message) {
  return std::unexpected<Error>(Error(code, std::move(message)));
}

/// Passes an error on: `return fail(std::move(result.error()))`.
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace adit

#define ADIT_CONCAT_(a, b) a##b
#define ADIT_CONCAT(a, b) ADIT_CONCAT_(a, b)

/// `ADIT_TRY(auto value, f());` declares `value`, or returns f's error from the enclosing function.
#define ADIT_TRY(declaration, expression) ADIT_TRY_(declaration, expression, return, ADIT_CONCAT(result_, __LINE__))
/// The same inside a coroutine.
#define ADIT_CO_TRY(declaration, expression) ADIT_TRY_(declaration, expression, co_return, ADIT_CONCAT(result_, __LINE__))
#define ADIT_TRY_(declaration, expression, give_back, name)                     \
  auto name = (expression);                                                     \
  if (!name) give_back std::unexpected<::adit::Error>(std::move(name.error())); \
  declaration = std::move(*name)

/// `ADIT_CHECK(f());` returns f's error from the enclosing function; for Result<void>.
#define ADIT_CHECK(expression) \
  if (auto checked = (expression); !checked) return std::unexpected<::adit::Error>(std::move(checked.error()))
#define ADIT_CO_CHECK(expression) \
  if (auto checked = (expression); !checked) co_return std::unexpected<::adit::Error>(std::move(checked.error()))
