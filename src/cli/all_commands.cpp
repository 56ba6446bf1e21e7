#include <vector>

#include "cli/command.h"

namespace adit::cli {

std::vector<Command> add_all(CLI::App& app) {
  return {add_demo(app),      add_solo(app),       add_pool(app),       add_jd_server(app), add_template(app),
          add_jd_client(app), add_translator(app), add_miner(app),      add_load(app),      add_ping(app),
          add_relay(app),     add_keys(app),       add_check(app),      add_url(app),       add_init(app),
          add_doctor(app),    add_health(app),     add_completion(app), add_man(app)};
}

}  // namespace adit::cli
