# What lies outside the clone, in the cache ($ADIT_CACHE, else $XDG_CACHE_HOME/adit, else ~/.cache/adit).
if(DEFINED ENV{ADIT_CACHE})
  set(_adit_cache "$ENV{ADIT_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_adit_cache "$ENV{XDG_CACHE_HOME}/adit")
else()
  set(_adit_cache "$ENV{HOME}/.cache/adit")
endif()

# ADIT_PREFIX: where `./dev deps` unpacked the Debian packages that this system has too old (Boost headers, libsecp256k1).
# Taken from -DADIT_PREFIX=..., else the environment's ADIT_PREFIX, else the cache; empty: the system has them.
set(_adit_prefix "")
if(DEFINED ENV{ADIT_PREFIX})
  set(_adit_prefix "$ENV{ADIT_PREFIX}")
elseif(EXISTS "${_adit_cache}/prefix")
  # The keyed folder behind the link: a later ./dev deps must not change an existing build under its feet.
  file(REAL_PATH "${_adit_cache}/prefix" _adit_prefix)
endif()
set(ADIT_PREFIX "${_adit_prefix}" CACHE PATH "Prefix with Boost >= 1.88 headers and libsecp256k1 >= 0.4; empty: the system's")
if(ADIT_PREFIX)
  if(NOT EXISTS "${ADIT_PREFIX}/include")
    message(FATAL_ERROR "ADIT_PREFIX '${ADIT_PREFIX}' has no include folder: run ./dev deps")
  endif()
  list(PREPEND CMAKE_PREFIX_PATH "${ADIT_PREFIX}")
endif()
