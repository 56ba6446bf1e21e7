# The library for other projects (docs/library.md), component "development": archives, headers, and what find_package(adit) reads.
# The layers' archives are installed where they are made (adit_export).
include(CMakePackageConfigHelpers)

# adit::adit, what a miner or any other peer of a pool needs: the engines, TCP and iroh, URLs and keys, the CPU miner. Templates,
# monitor and the other roles are linked by the names of their layers: adit::template, adit::pool.
add_library(adit_library INTERFACE)
target_link_libraries(adit_library INTERFACE adit_config adit_config_iroh adit_declaration adit_mining adit_miner adit_net adit_upstream)
adit_export(library)
set_target_properties(adit_library PROPERTIES EXPORT_NAME adit)

# All but what is of tests, of the program, or of Cap'n Proto.
install(DIRECTORY src/ DESTINATION "${ADIT_INSTALL_INCLUDEDIR}" COMPONENT development FILES_MATCHING PATTERN "*.h"
  PATTERN "*_testing.h" EXCLUDE PATTERN "test_*.h" EXCLUDE PATTERN random_messages.h EXCLUDE
  PATTERN cli EXCLUDE PATTERN testdata EXCLUDE PATTERN capnp_clang.h EXCLUDE PATTERN template_reader.h EXCLUDE)

set(folder "${CMAKE_INSTALL_LIBDIR}/cmake/adit")
install(EXPORT adit NAMESPACE adit:: FILE adit-targets.cmake DESTINATION "${folder}" COMPONENT development)
configure_package_config_file(cmake/adit-config.cmake.in "${CMAKE_BINARY_DIR}/package/adit-config.cmake" INSTALL_DESTINATION "${folder}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/package/adit-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/package/adit-config.cmake" "${CMAKE_BINARY_DIR}/package/adit-config-version.cmake"
  DESTINATION "${folder}" COMPONENT development)
