# The two functions that every folder of src/ uses. A layer is one folder and one static library; docs/design.md §2 lists what it may include.

# adit_layer(NAME SOURCES a.cpp ... DEPS adit_base ...): static library adit_NAME.
function(adit_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;DEPS" ${ARGN})
  if(LAYER_SOURCES)
    add_library(adit_${name} STATIC ${LAYER_SOURCES})
    target_include_directories(adit_${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(adit_${name} PUBLIC ${LAYER_DEPS})
  else()
    add_library(adit_${name} INTERFACE)
    target_include_directories(adit_${name} INTERFACE "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(adit_${name} INTERFACE ${LAYER_DEPS})
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
