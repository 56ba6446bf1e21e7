#include "cli/demo/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <boost/asio/buffer.hpp>

namespace adit::cli {
namespace {

constexpr std::size_t kLongestLine = 16 * 1024;

std::unexpected<Error> start_failed(const std::string& program) {
  return fail(ChildErrc::kStart, "cannot start " + program + ": " + std::strerror(errno));
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(boost::asio::io_context& context, const std::vector<std::string>& argv,
                                            OnLine on_line, OnExit on_exit) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return start_failed(argv[0]);
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) {
    auto failure = start_failed(argv[0]);
    close(output[0]);
    close(output[1]);
    return failure;
  }
  if (pid == 0) {
    // Between fork and exec: only async-signal-safe calls. A group of its own keeps the terminal's Ctrl-C from it: the parent
    // asks.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(output[1], STDOUT_FILENO);
    dup2(output[1], STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(output[1]);
  std::unique_ptr<Child> child(new Child(context, pid, output[0], std::move(on_line), std::move(on_exit)));
  child->read_output();
  return child;
}

Child::Child(boost::asio::io_context& context, int pid, int output, OnLine on_line, OnExit on_exit)
    : pid_(pid), output_(context, output), on_line_(std::move(on_line)), on_exit_(std::move(on_exit)), buffer_(4096) {}

Child::~Child() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Child::interrupt() {
  if (pid_ > 0) kill(pid_, SIGINT);
}

void Child::read_output() {
  output_.async_read_some(boost::asio::buffer(buffer_), [this](boost::system::error_code error, std::size_t size) {
    if (error == boost::asio::error::operation_aborted) return;
    if (error) return reap();
    take(size);
    read_output();
  });
}

void Child::take(std::size_t size) {
  for (char c : std::string_view(buffer_.data(), size)) {
    if (c != '\n') line_.push_back(c);
    if (c == '\n' || line_.size() == kLongestLine) {
      on_line_(line_);
      line_.clear();
    }
  }
}

// The output ends when the child does; what is left to wait for is microseconds.
void Child::reap() {
  if (!line_.empty()) on_line_(line_);
  line_.clear();
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  // The callback may destroy this object.
  const OnExit on_exit = std::move(on_exit_);
  on_exit(status);
}

}  // namespace adit::cli
