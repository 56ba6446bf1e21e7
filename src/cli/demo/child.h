// A child process whose output is read line by line on an event loop; `adit demo` runs the other roles this way.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/result.h"

namespace adit::cli {

enum class ChildErrc { kStart };
constexpr std::string_view error_layer(ChildErrc) { return "child"; }
constexpr std::string_view error_name(ChildErrc) { return "start"; }

/// One running program. The parent must have one thread only (it forks) and run `context`. The child gets SIGKILL when its
/// parent dies, so that nothing outlives a killed demo.
class Child {
 public:
  /// A whole line of the child's standard output or standard error, without its end; longer than 16 KiB comes in pieces.
  using OnLine = std::function<void(std::string_view)>;
  /// The child has ended and its output was read. `status` as waitpid(2) gives it.
  using OnExit = std::function<void(int status)>;

  /// Starts `argv[0]` (a path) with `argv`. Errors: kStart, with the operating system's words.
  static Result<std::unique_ptr<Child>> start(boost::asio::io_context& context, const std::vector<std::string>& argv,
                                              OnLine on_line, OnExit on_exit);
  ~Child();  ///< Kills the child if it still runs.
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Asks it to end (SIGINT).
  void interrupt();

 private:
  Child(boost::asio::io_context& context, int pid, int output, OnLine on_line, OnExit on_exit);
  void read_output();
  void take(std::size_t size);
  void reap();

  int pid_;
  boost::asio::posix::stream_descriptor output_;
  OnLine on_line_;
  OnExit on_exit_;
  std::string line_;
  std::vector<char> buffer_;
};

}  // namespace adit::cli
