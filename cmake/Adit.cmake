# The functions that every folder of src/ uses. A layer is one folder and one static library; docs/design.md §2 lists what it may include.
include(GNUInstallDirs)
set(ADIT_INSTALL_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}/adit")

# adit_export(NAME ...): other projects may link each adit_NAME, as adit::NAME (docs/library.md).
function(adit_export)
  foreach(name ${ARGN})
    set_target_properties(adit_${name} PROPERTIES EXPORT_NAME ${name})
    install(TARGETS adit_${name} EXPORT adit ARCHIVE COMPONENT development INCLUDES DESTINATION "${ADIT_INSTALL_INCLUDEDIR}")
  endforeach()
endfunction()

# adit_layer(NAME [INTERNAL] SOURCES a.cpp ... DEPS adit_base ...): static library adit_NAME; if INTERNAL, not for other projects.
function(adit_layer name)
  cmake_parse_arguments(LAYER "INTERNAL" "" "SOURCES;DEPS" ${ARGN})
  if(LAYER_SOURCES)
    add_library(adit_${name} STATIC ${LAYER_SOURCES})
    target_include_directories(adit_${name} PUBLIC "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>")
    target_link_libraries(adit_${name} PUBLIC ${LAYER_DEPS})
  else()
    add_library(adit_${name} INTERFACE)
    target_include_directories(adit_${name} INTERFACE "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>")
    target_link_libraries(adit_${name} INTERFACE ${LAYER_DEPS})
  endif()
  if(NOT LAYER_INTERNAL)
    adit_export(${name})
  endif()
endfunction()

# adit_layer_test(NAME SOURCES a_test.cpp ... DEPS ...): executable adit_NAME_test, each of its cases a ctest.
function(adit_layer_test name)
  if(NOT ADIT_TESTS)
    return()
  endif()
  cmake_parse_arguments(LAYER "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT LAYER_TIMEOUT)
    set(LAYER_TIMEOUT 120)
  endif()
  add_executable(adit_${name}_test ${LAYER_SOURCES})
  target_link_libraries(adit_${name}_test PRIVATE ${LAYER_DEPS} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(adit_${name}_test DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${LAYER_TIMEOUT})
endfunction()

# adit_embed(OUTPUT ROOT file ...): a custom command that writes the C++ file OUTPUT, which holds the files (monitor/assets.h).
function(adit_embed output root)
  set(script "${CMAKE_SOURCE_DIR}/cmake/EmbedFiles.cmake")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${output}" "-DROOT=${root}" "-DFILES=${ARGN}" -P "${script}"
    DEPENDS "${script}" ${ARGN} VERBATIM)
endfunction()
