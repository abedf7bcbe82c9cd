# The few CMake words this project uses. Each folder of the architecture is one library target; what it links is what it
# may know (image/sdk/check_includes.py enforces the same arrows on the text). Tests and fuzz targets name the
# library they look at, so that building one test never builds the world.

set(NEARFIELD_SANITIZE "" CACHE STRING "Sanitizer of this build: empty, address (with undefined) or thread")
set_property(CACHE NEARFIELD_SANITIZE PROPERTY STRINGS "" address thread)

add_library(nearfield_options INTERFACE)
target_include_directories(nearfield_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_features(nearfield_options INTERFACE cxx_std_23)
target_compile_options(nearfield_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wimplicit-fallthrough
    -Wnon-virtual-dtor -Woverloaded-virtual -Werror -fno-omit-frame-pointer)
# Every server since 2012 has SSE4.2 and POPCNT; what needs more (SHA-NI, AVX) is chosen when the program starts.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  target_compile_options(nearfield_options INTERFACE -march=x86-64-v2)
endif()
if(NEARFIELD_SANITIZE STREQUAL "address")
  target_compile_options(nearfield_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(nearfield_options INTERFACE -fsanitize=address,undefined)
elseif(NEARFIELD_SANITIZE STREQUAL "thread")
  target_compile_options(nearfield_options INTERFACE -fsanitize=thread)
  target_link_options(nearfield_options INTERFACE -fsanitize=thread)
elseif(NOT NEARFIELD_SANITIZE STREQUAL "")
  message(FATAL_ERROR "NEARFIELD_SANITIZE is '${NEARFIELD_SANITIZE}': use address, thread or nothing")
endif()

# nearfield_library(NAME SOURCES a.cc b.cc LINKS public... PRIVATE_LINKS private...)
function(nearfield_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC nearfield_options ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
endfunction()

# nearfield_unit_test(NAME SOURCES a_test.cc LINKS library...)
# One program per folder of tests/unit; its main runs every CppUTest group it was linked with.
function(nearfield_unit_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES} ${CMAKE_SOURCE_DIR}/tests/unit/main.cc)
  target_link_libraries(${name} PRIVATE nearfield_options ${arg_LINKS} CppUTest CppUTestExt)
  # CppUTest and the thread sanitizer's runtime both bring operator new; the runtime's comes first and is the one wanted.
  if(NEARFIELD_SANITIZE STREQUAL "thread")
    target_link_options(${name} PRIVATE -Wl,--allow-multiple-definition)
  endif()
  # Leaks are the address sanitizer's business (tests/unit/main.cc); CppUTest warns when both are on.
  target_compile_definitions(${name} PRIVATE CPPUTEST_MEM_LEAK_DETECTION_DISABLED)
  add_test(NAME unit/${name} COMMAND ${name})
  set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# nearfield_fuzz_target(NAME SOURCES a_fuzz.cc LINKS library... CORPUS folder)
# Built only with the address sanitizer. The test is a short run over the kept corpus; longer runs are `./dev fuzz`.
# (The fuzzing engine adds its coverage instrumentation to the whole address build through NEARFIELD_SANITIZE.)
set_property(GLOBAL PROPERTY nearfield_fuzz_list "")
function(nearfield_fuzz_target name)
  cmake_parse_arguments(arg "" "CORPUS" "SOURCES;LINKS" ${ARGN})
  if(NOT NEARFIELD_SANITIZE STREQUAL "address")
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE nearfield_options ${arg_LINKS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set(work ${CMAKE_BINARY_DIR}/fuzz/${name})
  file(MAKE_DIRECTORY ${work})
  add_test(NAME fuzz/${name}
           COMMAND ${name} -max_total_time=10 -timeout=5 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0
                   -artifact_prefix=${work}/ ${work} ${arg_CORPUS})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  set_property(GLOBAL APPEND_STRING PROPERTY nearfield_fuzz_list
               "${name}\t${CMAKE_CURRENT_BINARY_DIR}/${name}\t${arg_CORPUS}\n")
endfunction()

# Writes fuzz/targets.tsv (name, program, kept corpus) for `./dev fuzz`; called once, after every fuzz target is known.
function(nearfield_write_fuzz_list)
  get_property(list GLOBAL PROPERTY nearfield_fuzz_list)
  file(WRITE ${CMAKE_BINARY_DIR}/fuzz/targets.tsv "${list}")
endfunction()
