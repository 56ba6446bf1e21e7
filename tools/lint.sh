# ./dev lint, fmt, loc: what is said about the source without running it. Sourced by ./dev.
# shellcheck shell=bash

# Every file of the repository that is not ignored, NUL-separated, by extension; new files count before they are added.
sources() {
  local patterns=() extension
  for extension in "$@"; do patterns+=("*.$extension"); done
  git -C "$ROOT" ls-files -z --cached --others --exclude-standard -- "${patterns[@]}" |
    while IFS= read -r -d '' file; do [ ! -f "$ROOT/$file" ] || printf '%s\0' "$file"; done
}

fmt() {
  deps no-iroh
  case ${1:-} in
    --check) sources h c cpp | xargs -0 -r clang-format-19 --dry-run --Werror ;;
    '') sources h c cpp | xargs -0 -r clang-format-19 -i ;;
    *) die "fmt takes --check or nothing" ;;
  esac
}

# The bridge carries bytes and knows nothing of what they mean (docs/design.md §4). Also refused as a part of a longer name.
BRIDGE_WORDS='shares?|channels?|jobs?|sv1|sv2|stratum|mining|miners?|extranonce'

check_bridge_words() {
  [ -d "$ROOT/bridge/src" ] || return 0
  if grep -rniE "(^|[^a-z])($BRIDGE_WORDS)([^a-z]|$)" "$ROOT/bridge/src" >&2; then
    say "lint: the bridge must not know Stratum; refused in bridge/src, as whole words: $BRIDGE_WORDS"
    return 1
  fi
  if grep -rniE '0rtt|early_?data' "$ROOT/bridge/src" >&2; then
    say 'lint: no 0-RTT: what is sent that way can be sent again by whoever saw it (docs/design.md §3)'
    return 1
  fi
}

# A layer includes only itself and those before it (docs/design.md §2).
LAYERS='base log bitcoin wire noise sv1 channels session mining declaration net ledger upstream ipc template monitor downstream config roles cli'

# Folders and files of engines: they do no I/O, so they include nothing of Asio.
ENGINE_FOLDERS='bitcoin wire noise sv1 channels session mining declaration'
ENGINE_FILES='src/roles/translator/translator src/roles/jd_client/engine src/roles/miner/session src/roles/load/session src/upstream/selection src/upstream/share_judge src/ledger/submissions src/template/constraint_classes src/template/sv2_template src/template/sv2_server src/template/sv2_client'

check_layers() {
  sources h cpp | xargs -0 -r awk -v layers="$LAYERS" '
    BEGIN { n = split(layers, names, " "); for (i = 1; i <= n; i++) rank[names[i]] = i }
    FNR == 1 { split(FILENAME, path, "/"); own = (path[1] == "src") ? rank[path[2]] : 0 }
    own && /^#include "/ {
      split($0, quoted, "\""); split(quoted[2], parts, "/")
      if (rank[parts[1]] > own) { printf "%s:%d: %s may not include %s\n", FILENAME, FNR, path[2], parts[1]; bad = 1 }
    }
    END { exit bad }' >&2
}

# The rules of the house that one include or one line would break (docs/design.md §2).
check_house() {
  local bad=0 folder file found
  for folder in $ENGINE_FOLDERS; do
    found=$(grep -rn '#include <boost/asio' "$ROOT/src/$folder" 2>/dev/null) && { say "lint: an engine includes Asio:"; echo "$found" >&2; bad=1; }
  done
  for file in $ENGINE_FILES; do
    found=$(grep -n '#include <boost/asio' "$ROOT/$file".*) && { say "lint: an engine includes Asio:"; echo "$found" >&2; bad=1; }
  done
  # Roles share by the layers below them, not with each other. Tests may run one role against another.
  sources h cpp | xargs -0 awk '
    FILENAME !~ /^src\/roles\// || FILENAME ~ /(_test\.cpp|_testing\.h|test_support\.h)$/ { next }
    /^#include "roles\// {
      split(FILENAME, own, "/"); split($0, quoted, "\""); split(quoted[2], other, "/")
      if (own[3] != other[2]) { printf "%s:%d: a role may not include another: %s\n", FILENAME, FNR, quoted[2]; bad = 1 }
    }
    /std::(promise|packaged_task|[a-z_]*mutex|scoped_lock|[a-z]+_lock|lock_guard|condition_variable[a-z_]*|latch|barrier)/ {
      printf "%s:%d: roles share by messages (net/service.h), not by locks or promises\n", FILENAME, FNR; bad = 1
    }
    END { exit bad }' >&2 || bad=1
  # What every protocol shares knows none of them.
  sources h cpp | xargs -0 awk '
    FILENAME !~ /^src\/(net|upstream)\// || FILENAME ~ /(_test\.cpp|_testing\.h)$/ || FILENAME ~ /^src\/upstream\/mining_role/ { next }
    /^#include "(mining|channels|declaration)\// || /^#include "wire\/(mining|job_declaration|template_distribution)_messages/ {
      printf "%s:%d: transport and upstream know no protocol: %s\n", FILENAME, FNR, $2; bad = 1
    }
    END { exit bad }' >&2 || bad=1
  # Cap'n Proto is src/ipc's alone, and none of the headers that others include shows it.
  found=$({ grep -rnE '#include <(capnp|kj)/' "$ROOT/src" --include=*.h --include=*.cpp | grep -v "^$ROOT/src/ipc/"
    grep -nE '#include <(capnp|kj)/|\.capnp\.h"' "$ROOT"/src/ipc/{node,error,socket,inbox,mock_node_testing,client_testing}.h; } || true)
  [ -z "$found" ] || { say "lint: Cap'n Proto outside src/ipc:"; echo "$found" >&2; bad=1; }
  # Text is shown by base/text.h's in_quotes: a call of `quoted` finds std::quoted too where a header includes <iomanip>.
  found=$(sources h cpp | xargs -0 grep -nE '(^|[^_a-zA-Z:])quoted\(' || true)
  [ -z "$found" ] || { say "lint: a function named quoted, which std::quoted makes ambiguous:"; echo "$found" >&2; bad=1; }
  # One place each.
  found=$(grep -rlE '(frame\.as|decode)<wire::RequestExtensions>' "$ROOT/src" --include=*.cpp | grep -v _test | wc -l)
  [ "$found" -eq 1 ] || { say "lint: RequestExtensions is handled in $found places"; bad=1; }
  found=$(grep -rlE '0x207fffff|0x1e0377ae' "$ROOT/src" --include=*.cpp --include=*.h | grep -vE '_test|/test_|src/template/|src/config/source' | wc -l)
  [ "$found" -eq 1 ] || { say "lint: a chain that is worth nothing is told by its nbits in $found places"; bad=1; }
  # A setting of iroh passes from its reader to IrohNodeConfig, from there to the bridge's struct, and from that to the endpoint. The two
  # lists of offsets that both compilers are held against (bridge/src/layout.rs has why) carry nothing and do not count.
  found=$(cd "$ROOT" && grep -rlw dns_server src bridge/src bridge/include | grep -vE '_test\.cpp$|_testing\.h$|/adit_bridge_layout\.h$|/layout\.rs$' | wc -l)
  [ "$found" -le 5 ] || { say "lint: dns_server, as any setting of iroh, is named in $found files, not 5"; bad=1; }
  # The command line parses, prints and returns exit codes: what a role shows of itself and what its configuration means to it are the
  # role's (roles/*/metrics, roles/*/from_config), so that whoever embeds it has both.
  sources h cpp | xargs -0 awk '
    FILENAME !~ /^src\/cli\// || FILENAME ~ /(_test\.cpp|_testing\.h)$/ { next }
    /^#include "monitor\// && !/"monitor\/server\.h"/ { printf "%s:%d: metrics are the role'"'"'s, not the command line'"'"'s: %s\n", FILENAME, FNR, $2; bad = 1 }
    /^ *options\.[a-z_.]+ = config\./ { printf "%s:%d: what a configuration means is the role'"'"'s (from_config), not the command line'"'"'s\n", FILENAME, FNR; bad = 1 }
    END { exit bad }' >&2 || bad=1
  # What a peer calls itself ends up in the monitor's JSON: Boost.JSON writes it.
  found=$(grep -rnE '\{\\"|\\"[a-z_]+\\":|R"\(\{' "$ROOT/src/monitor" --include=*.cpp --include=*.h | grep -vE '(_test\.cpp|_testing\.h):') && { say "lint: the monitor writes JSON by hand:"; echo "$found" >&2; bad=1; }
  return "$bad"
}

# The header that a package is there for.
PACKAGE_HEADERS='libsodium-dev=sodium.h libqrcodegencpp-dev=qrcodegen/ libsqlite3-dev=sqlite3.h libssl-dev=openssl/ libspdlog-dev=spdlog/ libcli11-dev=CLI/ libtomlplusplus-dev=toml\+\+/
libgtest-dev=gtest/ libgmock-dev=gmock/ libcapnp-dev=capnp/ libboost1.88-dev=boost/ libsecp256k1-dev=secp256k1'

# Nothing that is asked for goes unused: packages of libraries, what CMake looks for, crates.
check_dependencies() {
  local bad=0 name header manifest folder lists included linked
  # Whole texts, not pipes: who reads a pipe no further than to the first match ends its writer, which then counts as failed.
  included=$(sources h cpp | xargs -0 grep -hE '^#include')
  for name in "${BUILD_PACKAGES[@]}" "${PREFIX_PACKAGES[@]}"; do
    case $name in *-dev) ;; *) continue ;; esac
    # The compiler's own: sanitizers and libFuzzer. What the archive of Debian 13's libcrypto needs.
    case $name in libclang-rt-19-dev | zlib1g-dev | libzstd-dev) continue ;; esac
    header=$(tr ' ' '\n' <<<"$PACKAGE_HEADERS" | awk -F= -v name="$name" '$1 == name { print $2 }')
    if [ -z "$header" ]; then say "lint: tools/deps.sh installs $name, and PACKAGE_HEADERS does not say for which header"; bad=1
    elif ! grep -qE "^#include [<\"]$header" <<<"$included"; then say "lint: tools/deps.sh installs $name, and nothing includes $header"; bad=1; fi
  done
  mapfile -t lists < <(git -C "$ROOT" ls-files --cached --others --exclude-standard -- '*CMakeLists.txt' '*.cmake')
  linked=$(cat "${lists[@]}" | grep -vE '^ *(find_package|pkg_check_modules|add_library)\(|^ *target_[a-z_]+\(adit_(boost|secp256k1|spdlog|toml) INTERFACE "')
  # PkgConfig is what pkg_check_modules stands on.
  for name in $(sed -nE 's/^ *find_package\(([A-Za-z0-9]+).*/\1::/p; s/^ *pkg_check_modules\(([A-Z0-9_]+) .*/PkgConfig::\1/p; s/^add_library\((adit_[a-z0-9_]+) INTERFACE\)/\1/p' \
    "$ROOT/cmake/Dependencies.cmake"); do
    [ "$name" != PkgConfig:: ] || continue
    grep -qE "(^|[^A-Za-z0-9_:])$name" <<<"$linked" || { say "lint: cmake/Dependencies.cmake finds $name, and nothing links it"; bad=1; }
  done
  for manifest in $(git -C "$ROOT" ls-files -- '*Cargo.toml'); do
    folder=$(dirname "$ROOT/$manifest")
    for name in $(awk '/^\[/ { on = /^\[(dev-|build-)?dependencies\]/ } on && /^[a-z]/ { sub(/[ .=].*/, ""); gsub(/-/, "_"); print }' "$ROOT/$manifest"); do
      grep -rqE "(^|[^A-Za-z0-9_])$name(::|;| as )" "$folder" --include=*.rs || { say "lint: $manifest depends on $name, and nothing uses it"; bad=1; }
    done
  done
  return "$bad"
}

# docs/protocol.md: the last cell of each row of a table names its tests, and they are there. Python's tests are not named there.
check_protocol_page() {
  local page="$ROOT/docs/protocol.md"
  sources cpp h | xargs -0 -r cat | tr '\n' ' ' | grep -oE '(TYPED_)?TEST(_F|_P)?\( *[A-Za-z0-9_]+, *[A-Za-z0-9_]+ *\)' |
    sed -E 's/^(TYPED_)?TEST(_F|_P)?\( *([A-Za-z0-9_]+), *([A-Za-z0-9_]+) *\)$/\3.\4/' |
    awk -v page="$page" '
      NR == FNR { there[$0] = 1; next }
      !/^\|/ || /^\|-/ || /\| tests \|$/ { next }
      {
        cells = split($0, cell, "|"); names = split(cell[cells - 1], name, "`"); found = 0
        for (i = 2; i <= names; i += 2) {
          found = 1
          if (!(name[i] in there)) { printf "%s:%d: there is no test %s\n", page, FNR, name[i]; bad = 1 }
        }
        if (!found) { printf "%s:%d: a rule without a test\n", page, FNR; bad = 1 }
      }
      END { exit bad }' - "$page" >&2
}

# What the documents name exists: paths, links, pages and their sections.
check_documents() { python3 "$ROOT/tools/check_documents.py" >&2; }

# docs/sri-suite.md is made of the table of a run.
check_suite_page() { python3 "$ROOT/tests/sri_suite/run.py" --check >&2; }

# check_staged: what the pre-commit hook of `./dev hooks` runs; a second or two.
check_staged() {
  local file failed=()
  while IFS= read -r -d '' file; do
    case $file in
      *.h | *.c | *.cpp) git show ":$file" | clang-format-19 --dry-run --Werror --assume-filename="$file" || failed+=("$file: layout (./dev fmt)") ;;
      *.rs) git show ":$file" | rustfmt --check --edition 2024 --config-path "$ROOT" >/dev/null || failed+=("$file: layout (cargo fmt)") ;;
    esac
  done < <(git diff --cached --name-only --diff-filter=d -z)
  check_layers || failed+=(layers)
  check_documents || failed+=('the documents name what is not there')
  [ "${#failed[@]}" -eq 0 ] && return
  printf 'pre-commit: %s\n' "${failed[@]}" >&2
  return 1
}

# hooks: puts tools/hooks into this clone's git folder. A hook of the user's own stays.
hooks() {
  local hook to
  for hook in "$ROOT"/tools/hooks/*; do
    to=$(git -C "$ROOT" rev-parse --path-format=absolute --git-path hooks)/$(basename "$hook")
    if [ -e "$to" ] && ! grep -q 'dev hooks' "$to"; then die "hooks: $to is there and not ours; add to it: ./dev check-staged"; fi
    mkdir -p "$(dirname "$to")"
    cp "$hook" "$to"
    say "hooks: installed $to"
  done
}

# The files clang-tidy looks at, tests, fuzz targets and benchmarks left out: changed since BASE (default: where this branch left the main one, else the commit before), or all.
tidy_files() {
  local base=${1:-}
  if [ "$base" = all ]; then
    sources cpp | tr '\0' '\n'
    return
  fi
  if [ -z "$base" ]; then
    base=$(git merge-base HEAD origin/main 2>/dev/null || true)
    if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=$(git rev-parse -q --verify HEAD~1 || git rev-parse HEAD); fi
  fi
  { git diff --name-only --diff-filter=d "$base" -- '*.cpp'; git ls-files --others --exclude-standard -- '*.cpp'; } | sort -u
}

# tidy FILE: what clang-tidy finds in it. Not what its analyzer says of a place in Asio's own header: it takes the thread of a coroutine,
# which is set before the coroutine is resumed, for unset, and no NOLINT of ours can stand there.
tidy() {
  local found code=0
  found=$(clang-tidy-19 --quiet -p "$ROOT/build/release" "$1" 2>/dev/null) || code=$?
  # As it ends after findings it ends after its own failures, which print none.
  if [ "$code" -ne 0 ] && ! grep -q ': error: ' <<<"$found"; then echo "clang-tidy failed on $1 ($code)" >&2; return 1; fi
  awk '
    /^[^ ]*:[0-9]+:[0-9]+: (error|warning): / { ours = !(/\/boost\/asio\// && /\[clang-analyzer-core\.(CallAndMessage|NullDereference)/); bad = bad || ours }
    ours { print }
    END { exit bad }' <<<"$found"
}

lint() {
  local failed=() files
  say 'lint: layout'
  fmt --check || failed+=(layout)
  say "lint: the bridge's words"
  check_bridge_words || failed+=("the bridge's words")
  say 'lint: layers'
  check_layers || failed+=(layers)
  say 'lint: the rules of the house'
  check_house || failed+=('the rules of the house')
  say 'lint: the dependencies'
  check_dependencies || failed+=(dependencies)
  say 'lint: the tests that docs/protocol.md names'
  check_protocol_page || failed+=(docs/protocol.md)
  say 'lint: what the documents name'
  check_documents || failed+=(documents)
  check_suite_page || failed+=('the page of SRI'"'"'s suite')
  mapfile -t files < <(tidy_files "${1:-}" | grep -vE '^(fuzz|bench)/|_test\.cpp$' || true)
  if [ "${#files[@]}" -gt 0 ]; then
    # Whatever was built last has the compile commands; configuring is enough for clang-tidy.
    [ -f "$ROOT/build/release/compile_commands.json" ] || { deps && configure release; }
    say "lint: clang-tidy on ${#files[@]} files"
    export -f tidy
    export ROOT
    printf '%s\0' "${files[@]}" | xargs -0 -r -n 1 -P "$(jobs)" bash -c 'tidy "$1"' tidy || failed+=(clang-tidy)
  fi
  [ "${#failed[@]}" -eq 0 ] || die "lint: not clean: ${failed[*]}"
  say 'lint: clean'
}

# Lines that are neither blank nor only a comment, by part and language.
loc() {
  { sources h c cpp rs py sh cmake js ts html css toml | grep -zvE '^(config|examples)/'
    git ls-files -z dev .ci/run '*CMakeLists.txt'; } | xargs -0 awk '
    FNR == 1 {
      split(FILENAME, path, "/")
      part = path[1] == "src" ? "src/" path[2] : (path[2] == "" ? "." : path[1])
      name = FILENAME; sub(/.*\./, "", name); sub(/ci\//, "/", name)
      language = name ~ /^(h|cpp)$/ ? "C++" : name == "c" ? "C" : name == "rs" ? "Rust" : name == "py" ? "Python" : name ~ /^(sh|dev|\/run)$/ ? "Bash" : name ~ /^(cmake|txt)$/ ? "CMake" : name == "toml" ? "TOML" : name
      if (FILENAME ~ /^bridge\/include\//) language = "C"
      kind = (FILENAME ~ /_test\.(cpp|c)$/ || path[1] == "tests") ? "tests" : "code"
      files[part, language]++; parts[part, language] = 1
    }
    /^[ \t]*$/ || /^[ \t]*(\/\/|#[^a-z!]|#$|\*|\/\*)/ { comments[part, language]++; next }
    { lines[part, language, kind]++; total[language, kind]++; languages[language] = 1 }
    END {
      row = "%-16s %-8s %8s %8s %8s\n"
      printf row, "part", "language", "files", "code", "tests"
      for (key in parts) {
        split(key, k, SUBSEP)
        printf row, k[1], k[2], files[key], lines[key, "code"] + 0, lines[key, "tests"] + 0 | "sort"
      }
      close("sort")
      for (language in languages) printf row, "all", language, "", total[language, "code"] + 0, total[language, "tests"] + 0 | "sort"
    }'
}
