# What every script of ./dev shares: messages, folders, versions. Sourced, never run.
# shellcheck shell=bash

: "${ROOT:?sourced by ./dev, which sets ROOT to the clone}"

# Everything slow that outlives a clone is kept here, keyed by what it was made from.
CACHE=${ADIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/adit}
case $CACHE in /*) ;; *) CACHE=$PWD/$CACHE ;; esac

if [ -t 2 ]; then BOLD=$'\e[1m' PLAIN=$'\e[0m'; else BOLD='' PLAIN=''; fi

# Messages go to stderr: stdout belongs to what a command was asked for (adit demo --json).
say() { printf '%s==>%s %s\n' "$BOLD" "$PLAIN" "$*" >&2; }
die() { printf 'dev: %s\n' "$*" >&2; exit 1; }

# A short name for the bytes on stdin.
key_of() { sha256sum | cut -c1-12; }

jobs() { nproc 2>/dev/null || echo 2; }

# quietly LABEL LOG COMMAND...: runs a long command with its output in LOG and one line about it every half minute.
quietly() {
  local label=$1 log=$2 pid begun=$SECONDS shown=0 rc=0
  shift 2
  mkdir -p "$(dirname "$log")"
  say "$label (log: $log)"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # Background commands of a script ignore Ctrl-C: hand it on.
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if [ $((SECONDS - begun - shown)) -ge 30 ]; then
      shown=$((SECONDS - begun))
      say "$label: $shown s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  wait "$pid" || rc=$?
  trap - INT TERM
  if [ "$rc" -ne 0 ]; then
    tail -n 30 "$log" >&2
    die "$label failed (exit $rc); the whole log: $log"
  fi
  say "$label: done in $((SECONDS - begun)) s"
}
