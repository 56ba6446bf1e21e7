# Compiler and linker flags that every target of the project shares.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
# A designated initializer names what differs from the defaults.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-missing-designated-field-initializers>)
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)

# Hardening: position-independent executables, read-only relocations, stack protector, checked libc calls, stacks that cannot
# jump over their guard page, automatic variables that hold nothing old. The last two are left out where a sanitizer looks.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)
add_compile_options(-fstack-protector-strong -fno-omit-frame-pointer)
add_link_options(LINKER:-z,relro,-z,now,-z,noexecstack)
# By it a debugger finds the symbols that a package keeps apart.
add_link_options(LINKER:--build-id=sha1)
# base/invariant.h
add_compile_definitions($<$<CONFIG:Debug>:ADIT_CHECK_INVARIANTS>)

if(ADIT_SANITIZE)
  add_compile_options(-fsanitize=${ADIT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ADIT_SANITIZE})
else()
  add_compile_options("$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
  add_compile_options(-fstack-clash-protection -ftrivial-auto-var-init=zero)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()

if(ADIT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  find_program(LLD_PROGRAM NAMES ld.lld-19 ld.lld)
  if(LLD_PROGRAM)
    add_link_options(-fuse-ld=${LLD_PROGRAM})
  endif()
endif()
