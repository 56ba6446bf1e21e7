#include "net/descriptors.h"

#include <sys/resource.h>

#include <cstdint>
#include <string>

#include "log/log.h"

namespace adit::net {

std::size_t descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return files.rlim_cur;
}

AdmissionLimits fit_to_process(const AdmissionLimits& configured, std::string_view role) {
  const std::size_t descriptors = descriptor_limit();
  const auto limits = within_descriptors(configured, descriptors).resolved();
  std::string message = "as configured";
  if (limits.max_connections < configured.max_connections) {
    message = "max_connections is " + std::to_string(configured.max_connections) + ", but this process may have " +
              std::to_string(descriptors) + " descriptors, of which " + std::to_string(descriptors - limits.max_connections) +
              " are kept for blocks, nodes, monitor and log: raise the limit of open files (ulimit -n, LimitNOFILE=) for more";
  }
  log::info(std::string(role) + ".places", {{"connections", limits.max_connections},
                                            {"unproven_per_source", limits.max_unproven_per_source},
                                            {"handshakes", limits.max_handshakes},
                                            {"handshakes_per_source", limits.max_handshakes_per_source},
                                            {"message", message}});
  return limits;
}

}  // namespace adit::net
