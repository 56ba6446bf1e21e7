# Every library that is not ours, found once. cmake/Prefix.cmake says where newer Debian packages were unpacked.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
# Everything but glibc and libgcc_s from its archive: one package for every Debian and Ubuntu with that glibc or a newer one.
if(ADIT_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  set(OPENSSL_USE_STATIC_LIBS ON)
  add_link_options($<$<LINK_LANGUAGE:CXX>:-static-libstdc++>)
endif()
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(QRCODEGEN REQUIRED IMPORTED_TARGET qrcodegencpp)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
# What Debian 13's libcrypto compresses with, which its archive does not hold.
if(ADIT_STATIC)
  pkg_search_module(LIBCRYPTO REQUIRED libcrypto)
  foreach(name z zstd)
    if(name IN_LIST LIBCRYPTO_STATIC_LIBRARIES)
      find_library(ADIT_LIBRARY_${name} ${name} REQUIRED)
      set_property(TARGET OpenSSL::Crypto APPEND PROPERTY INTERFACE_LINK_LIBRARIES "${ADIT_LIBRARY_${name}}")
    endif()
  endforeach()
endif()

# Used as headers, each by one file alone: Debian has no archives of them.
find_path(ADIT_SPDLOG_INCLUDE spdlog/spdlog.h REQUIRED)
find_path(ADIT_FMT_INCLUDE fmt/format.h REQUIRED)
find_path(ADIT_TOML_INCLUDE toml++/toml.h REQUIRED)
add_library(adit_spdlog INTERFACE)
target_include_directories(adit_spdlog SYSTEM INTERFACE "${ADIT_SPDLOG_INCLUDE}" "${ADIT_FMT_INCLUDE}")
target_compile_definitions(adit_spdlog INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)
add_library(adit_toml INTERFACE)
target_include_directories(adit_toml SYSTEM INTERFACE "${ADIT_TOML_INCLUDE}")
target_compile_definitions(adit_toml INTERFACE TOML_HEADER_ONLY=1)
if(ADIT_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# Boost is used for its headers alone: Asio (compiled once, in adit_asio), Beast and JSON.
find_path(ADIT_BOOST_INCLUDE boost/asio/cancel_after.hpp REQUIRED)
add_library(adit_boost INTERFACE)
target_include_directories(adit_boost SYSTEM INTERFACE "${ADIT_BOOST_INCLUDE}")
target_compile_definitions(adit_boost INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_COROUTINE)
target_link_libraries(adit_boost INTERFACE Threads::Threads)

# libsecp256k1 >= 0.4 (ellswift, schnorrsig).
find_path(ADIT_SECP256K1_INCLUDE secp256k1_ellswift.h REQUIRED)
find_library(ADIT_SECP256K1_LIBRARY NAMES libsecp256k1.a secp256k1 REQUIRED)
add_library(adit_secp256k1 INTERFACE)
target_include_directories(adit_secp256k1 SYSTEM INTERFACE "${ADIT_SECP256K1_INCLUDE}")
target_link_libraries(adit_secp256k1 INTERFACE "${ADIT_SECP256K1_LIBRARY}")
adit_export(spdlog toml boost secp256k1)

# Cap'n Proto, its compiler included. 0.9.0 and 0.9.1 have CVE-2022-46149.
if(ADIT_IPC)
  pkg_check_modules(CAPNP REQUIRED IMPORTED_TARGET capnp-rpc>=0.9.2)
  pkg_get_variable(ADIT_CAPNP_IMPORTS capnp includedir)
  find_program(ADIT_CAPNP capnp REQUIRED)
  find_program(ADIT_CAPNPC_CXX capnpc-c++ REQUIRED)
endif()
