// Files that are part of the program: the dashboard, and the description of the API.
#pragma once

#include <span>
#include <string_view>

namespace adit::monitor {

struct Asset {
  std::string_view path;     ///< "/assets/app-1a2b.js"; "/" for the page itself.
  std::string_view content;  ///< Lives as long as the program does.
  std::string_view etag;     ///< With its quotes.
  bool gzip = false;         ///< `content` is compressed.
};

/// What was built in, made by cmake/EmbedFiles.cmake out of dashboard/dist and openapi.json.
std::span<const Asset> assets();

/// nullptr: there is none with that path.
const Asset* find_asset(std::string_view path);

}  // namespace adit::monitor
