// The table of what the monitor serves.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "monitor/http.h"
#include "monitor/snapshot.h"

namespace adit::monitor {

/// What a handler is given. Valid during the call.
struct Call {
  const Request& request;
  const std::vector<std::string_view>& arguments;  ///< What the path has in place of each {...} of the pattern.
  const Snapshot* snapshot = nullptr;              ///< Of a route that needs one; never null there.
  Now now;
};

struct Route {
  std::string_view method;         ///< "GET"; a GET answers HEAD as well.
  std::string_view pattern;        ///< "/api/v1/clients/{id}": a part in braces stands for one part of a path, whatever it is.
  std::string_view description{};  ///< For people, in the list of all routes.
  bool listed = true;              ///< False: a part of a page, of no interest by itself.
  bool needs_snapshot = false;
  /// Asked for by any name of this machine. Else by its addresses, localhost and names that are configured: a page of somebody
  /// else's, whose own name is made to point here (DNS rebinding), is not to read what this serves.
  bool any_host = false;
  std::function<Response(const Call&)> answer;
};

class Router {
 public:
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  struct Match {
    const Route* route = nullptr;
    std::vector<std::string_view> arguments;  ///< Parts of the path that was asked for.
  };
  /// The route, or the refusal: 404 if nothing has that path, 405 if something has it by another method.
  [[nodiscard]] std::variant<Match, Response> find(const Request& request) const;

  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace adit::monitor
