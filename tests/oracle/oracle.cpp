#include "oracle/oracle.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

extern char** environ;

namespace adit::oracle {
namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "oracle: %s\n", what.c_str());
  std::exit(1);
}

}  // namespace

Bytes Body::take(std::size_t count) {
  if (count > bytes_.size() - at_) die("an answer ends too early");
  at_ += count;
  return Bytes(bytes_).subspan(at_ - count, count);
}

Oracle::Oracle(const char* command) {
  const char* program = std::getenv("ADIT_ORACLE");
  if (program == nullptr)
    die("ADIT_ORACLE does not name the oracle's program; ./dev interop and ./dev bench build it and run this");
  std::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> in{}, out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) die("no pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::string first(program), second(command);
  std::array<char*, 3> arguments{first.data(), second.data(), nullptr};
  if (::posix_spawn(&pid_, program, &actions, nullptr, arguments.data(), environ) != 0) die("cannot run " + first);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  input_ = in[1];
  output_ = out[0];
}

Oracle::~Oracle() {
  ::close(input_);  // Its input ends, and so does it.
  ::close(output_);
  ::waitpid(pid_, nullptr, 0);
}

void Oracle::write(Bytes bytes) const {
  while (!bytes.empty()) {
    const auto written = ::write(input_, bytes.data(), bytes.size());
    if (written <= 0) die("the program takes nothing any more");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void Oracle::read(MutableBytes bytes) const {
  while (!bytes.empty()) {
    const auto got = ::read(output_, bytes.data(), bytes.size());
    if (got <= 0) die("the program answers nothing any more");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::expected<Body, std::string> Oracle::ask(Request request, const Body& body) {
  Body whole;
  whole.put(static_cast<std::uint32_t>(1 + body.bytes().size())).put(static_cast<std::uint8_t>(request)).raw(body.bytes());
  write(whole.bytes());
  std::array<std::uint8_t, 5> head{};
  read(head);
  std::vector<std::uint8_t> answer(load_le<std::uint32_t>(head.data()) - 1);
  read(answer);
  if (head[4] != 0) return std::unexpected(std::string(as_text(answer)));
  return Body(std::move(answer));
}

double Oracle::time(const std::string& key) {
  write(as_bytes(key + "\n"));
  std::string line;
  for (std::uint8_t letter = 0;; line += static_cast<char>(letter)) {
    read(MutableBytes(&letter, 1));
    if (letter == '\n') return std::strtod(line.c_str(), nullptr);
  }
}

}  // namespace adit::oracle
