# Run by adit_embed: writes OUTPUT, a C++ file that holds FILES (of ROOT) as monitor::assets(). A name that ends in .gz is served without
# that ending; index.html is "/".
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${ROOT}" OUTPUT_VARIABLE path)
  if(path MATCHES "^\\.\\.")
    cmake_path(GET file FILENAME path)
  endif()
  set(gzip false)
  if(path MATCHES "\\.gz$")
    set(gzip true)
    string(REGEX REPLACE "\\.gz$" "" path "${path}")
  endif()
  string(REGEX REPLACE "^index\\.html$" "" path "${path}")
  file(READ "${file}" bytes HEX)
  file(SHA256 "${file}" hash)
  string(SUBSTRING "${hash}" 0 16 hash)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND table
    "    {.path = \"/${path}\", .content = view(kFile${number}), .etag = \"\\\"${hash}\\\"\", .gzip = ${gzip}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "// Made by cmake/EmbedFiles.cmake.
#include \"monitor/assets.h\"

#include <algorithm>
#include <array>
#include <cstddef>

namespace adit::monitor {
namespace {

${arrays}
template <std::size_t Size>
std::string_view view(const unsigned char (&bytes)[Size]) {
  return {reinterpret_cast<const char*>(bytes), Size};
}

}  // namespace

std::span<const Asset> assets() {
  static const std::array<Asset, ${number}> all = {{
${table}  }};
  return all;
}

const Asset* find_asset(std::string_view path) {
  const auto all = assets();
  const auto found = std::ranges::find(all, path, &Asset::path);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace adit::monitor
")
