// `adit keys`: makes secret key files and shows what belongs to them.
#include <CLI/Option.hpp>

#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "config/keys.h"

namespace adit::cli {
namespace {

struct Options {
  std::string out;
  bool force = false;
  std::string show_file;
};

int make_authority(const Options& options) {
  const auto pair = noise::AuthorityKeyPair::generate(noise::system_random());
  if (auto written = config::write_authority_key(options.out, pair.secret(), options.force); !written) {
    return give_up("keys authority", written.error(), kFailure);
  }
  std::printf("%s\n", noise::to_text(pair.public_key()).c_str());
  std::fflush(stdout);
  std::fprintf(stderr,
               "Above: the authority's public key, for the URLs and configurations of miners. Its secret is in %s: keep it, "
               "and keep it secret.\n",
               options.out.c_str());
  return kOk;
}

int make_node(const Options& options) {
  const auto key = config::generate_node_key();
  if (auto written = config::write_node_key(options.out, key, options.force); !written) {
    return give_up("keys node", written.error(), kFailure);
  }
  std::printf("%s\n", config::endpoint_id(key).c_str());
  std::fflush(stdout);
  std::fprintf(stderr, "Above: the iroh endpoint id that peers dial. Its secret is in %s: keep it, and keep it secret.\n",
               options.out.c_str());
  return kOk;
}

int make_token(const Options& options) {
  if (auto written = config::write_token(options.out, options.force); !written) {
    return give_up("keys token", written.error(), kFailure);
  }
  std::fprintf(stderr,
               "%s holds a token: name the file by `monitoring_token_file`, and give the token to those who may look.\n",
               options.out.c_str());
  return kOk;
}

int show(const Options& options) {
  auto authority = config::read_authority_key(options.show_file);
  if (authority) {
    std::printf("%s\n", noise::to_text(authority->public_key()).c_str());
    return kOk;
  }
  // Both kinds are told apart by their text; a file that cannot be read at all is neither.
  if (!authority.error().is(config::KeyErrc::kNoKey)) return give_up("keys show", authority.error(), kFailure);
  const auto node = config::read_node_key(options.show_file);
  if (!node) {
    std::fprintf(stderr,
                 "adit keys show: %s holds neither an authority key (base58check) nor a node key (64 hexadecimal digits)\n",
                 options.show_file.c_str());
    return kFailure;
  }
  std::printf("%s\n", config::endpoint_id(*node).c_str());
  return kOk;
}

}  // namespace

Command add_keys(CLI::App& app) {
  auto* keys = app.add_subcommand("keys", "Make secret key files (mode 0600), or show the public key of one");
  keys->require_subcommand(1);
  auto options = std::make_shared<Options>();
  const auto add_maker = [&](const char* name, const char* description) {
    auto* maker = keys->add_subcommand(name, description);
    maker->add_option("--out", options->out, "File to write; must not exist")->required();
    maker->add_flag("--force", options->force, "Replace the file if it exists");
    return maker;
  };
  auto* authority = add_maker("authority", "A pool's authority key, which signs its certificates; prints the public key");
  auto* node = add_maker("node", "An iroh node key; prints the endpoint id");
  auto* token = add_maker("token", "A token that a role's monitor asks for");
  auto* shown = keys->add_subcommand("show", "Print the public key, or the endpoint id, of a key file");
  shown->add_option("FILE", options->show_file)->required();
  return {keys, [=](const Global&) {
            if (authority->parsed()) return make_authority(*options);
            if (token->parsed()) return make_token(*options);
            return node->parsed() ? make_node(*options) : show(*options);
          }};
}

}  // namespace adit::cli
