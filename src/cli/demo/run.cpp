#include "cli/demo/run.h"

#include <sys/wait.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cli/demo/child.h"
#include "cli/demo/view.h"
#include "config/keys.h"

namespace adit::cli {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

// How long children may take to say goodbye before they are killed.
constexpr Duration kGoodbye = 8s;

// Blocks of about 2 million hashes and shares of about 1 million: some of each a second on any CPU, and shares that are no
// blocks.
constexpr const char* kPoolConfig = R"toml(listen_address = "127.0.0.1:0"
authority_secret_key_file = "authority.key"
coinbase_reward_script = "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)"
pool_signature = "adit demo"
shares_per_minute = 60.0
share_batch_size = 1
server_id = 1
data_dir = "pool"
threads = 1
monitoring_address = "127.0.0.1:0"
monitoring_cache_refresh_secs = 1

[template_provider_type.Embedded]
nbits = "1e07ffff"
)toml";

constexpr const char* kTranslatorConfig = R"toml(downstream_address = "127.0.0.1"
downstream_port = 0
downstream_extranonce2_size = 4
data_dir = "translator"
threads = 1
monitoring_address = "127.0.0.1:0"
monitoring_cache_refresh_secs = 1

[downstream_difficulty_config]
min_individual_miner_hashrate = 1_000_000.0
shares_per_minute = 60.0
enable_vardiff = true

[[upstreams]]
url = "@URL@"
user_identity = "demo"
)toml";

#ifdef ADIT_HAS_IROH
constexpr const char* kTransport = "iroh";
constexpr const char* kTransportConfig = R"toml(
[iroh]
bind_addresses = ["127.0.0.1:0"]
relay = "none"
)toml";
#else
constexpr const char* kTransport = "tcp";
constexpr const char* kTransportConfig = "";
#endif

// A folder that is gone when the demo is.
class Workspace {
 public:
  Workspace() {
    std::string name = (fs::temp_directory_path() / "adit-demo-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Workspace() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  [[nodiscard]] bool exists() const { return !path_.empty(); }
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }
  [[nodiscard]] bool write(std::string_view name, std::string_view text) const {
    std::ofstream stream(path_ / name);
    stream << text;
    return static_cast<bool>(stream.flush());
  }

 private:
  fs::path path_;
};

class Demo {
 public:
  Demo(std::string program, const DemoOptions& options)
      : program_(std::move(program)),
        options_(options),
        view_(options.colour, kTransport),
        out_(options.json ? stderr : stdout) {}

  int run() {
    std::fprintf(
        out_,
        "adit demo: a pool on an embedded regtest chain; a translator that knows the pool by its stratum2+%s:// URL alone;\n"
        "a CPU miner that speaks Stratum V1 to the translator. All on loopback. Ctrl-C ends it.\n\n",
        kTransport);
    if (!workspace_.exists()) return failed("cannot make a folder in " + fs::temp_directory_path().string());
    const auto authority = noise::AuthorityKeyPair::generate(noise::system_random());
    if (auto written = config::write_authority_key(workspace_.file("authority.key"), authority.secret(), false); !written) {
      return failed(written.error().message());
    }
    std::string pool_config = std::string(kPoolConfig) + kTransportConfig;
    replace(pool_config, "\"authority.key\"", "\"" + workspace_.file("authority.key") + "\"");
    replace(pool_config, "\"pool\"", "\"" + workspace_.file("pool") + "\"");
    if (!workspace_.write("pool.toml", pool_config)) return failed("cannot write into " + workspace_.file(""));

    begun_ = now_from_system().instant;
    signals_.async_wait([this](boost::system::error_code error, int) {
      if (!error) end();
    });
    if (options_.run_for) {
      timer_.expires_after(*options_.run_for);
      timer_.async_wait([this](boost::system::error_code error) {
        if (!error) end();
      });
    }
    start(Part::kPool, {"pool", "-c", workspace_.file("pool.toml")});
    context_.run();

    std::fprintf(out_, "\n%s\n", view_.closing().c_str());
    if (options_.json) std::printf("%s\n", view_.summary().json().c_str());
    if (!failure_.empty()) return failed(failure_);
    if (!view_.summary().succeeded()) return failed("no share was accepted, or no block found, in the time given");
    return 0;
  }

 private:
  static void replace(std::string& text, std::string_view from, std::string_view to) {
    text.replace(text.find(from), from.size(), to);
  }

  int failed(const std::string& reason) {
    std::fprintf(stderr, "adit demo: %s\n", reason.c_str());
    return 1;
  }

  std::unique_ptr<Child>& child(Part part) { return children_[static_cast<std::size_t>(part)]; }

  void start(Part part, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {program_, "--log-format", "json", "--log-level", "debug"});
    auto started = Child::start(
        context_, arguments, [this, part](std::string_view line) { on_line(part, line); },
        [this, part](int status) { on_exit(part, status); });
    if (started) {
      child(part) = std::move(*started);
    } else {
      fail_with(started.error().message());
    }
  }

  void on_line(Part part, std::string_view line) {
    const std::chrono::duration<double> elapsed = now_from_system().instant - begun_;
    if (const auto row = view_.on_log(part, elapsed.count(), line)) {
      std::fprintf(out_, "%s\n", row->c_str());
      std::fflush(out_);
    }
    if (ending_) return;
    if (!child(Part::kTranslator) && !view_.pool_url().empty()) {
      std::string text = std::string(kTranslatorConfig) + kTransportConfig;
      replace(text, "@URL@", view_.pool_url());
      replace(text, "\"translator\"", "\"" + workspace_.file("translator") + "\"");
      if (!workspace_.write("translator.toml", text)) return fail_with("cannot write into " + workspace_.file(""));
      start(Part::kTranslator, {"translator", "-c", workspace_.file("translator.toml")});
    }
    if (!child(Part::kMiner) && !view_.translator_address().empty()) {
      start(Part::kMiner, {"miner", "stratum+tcp://" + view_.translator_address(), "--user", "demo", "--threads",
                           std::to_string(options_.threads)});
    }
  }

  void on_exit(Part part, int status) {
    child(part).reset();
    if (!ending_) {
      static constexpr const char* kNames[] = {"pool", "translator", "miner"};
      const std::string how =
          WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status)) : "signal " + std::to_string(WTERMSIG(status));
      fail_with(std::string("the ") + kNames[static_cast<std::size_t>(part)] + " ended by itself (" + how + ")");
      return;
    }
    end_next();
  }

  void fail_with(std::string reason) {
    if (failure_.empty()) failure_ = std::move(reason);
    end();
  }

  // Upstream last, so that each closes what it has with a living peer.
  void end() {
    if (std::exchange(ending_, true)) return;
    signals_.cancel();
    timer_.expires_after(kGoodbye);
    timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      failure_ = "a part did not end when asked to";
      for (auto& child : children_) child.reset();
    });
    end_next();
  }

  void end_next() {
    for (const Part part : {Part::kMiner, Part::kTranslator, Part::kPool}) {
      if (child(part)) return child(part)->interrupt();
    }
    timer_.cancel();
  }

  std::string program_;
  DemoOptions options_;
  DemoView view_;
  std::FILE* out_;
  Workspace workspace_;
  Instant begun_{};
  asio::io_context context_{1};
  asio::signal_set signals_{context_, SIGINT, SIGTERM};
  asio::steady_timer timer_{context_};
  std::unique_ptr<Child> children_[3];
  bool ending_ = false;
  std::string failure_;
};

}  // namespace

int run_demo(const std::string& program, const DemoOptions& options) { return Demo(program, options).run(); }

}  // namespace adit::cli
