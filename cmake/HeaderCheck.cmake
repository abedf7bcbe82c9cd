# A header that compiles only after some other header was included is a trap for whoever includes it first. With
# NEARFIELD_HEADER_CHECK on, every header of ours gets one source file that includes nothing but it, and the object
# library header_check compiles them all as part of the build.

option(NEARFIELD_HEADER_CHECK "Compile every header on its own" OFF)

function(nearfield_header_check)
  if(NOT NEARFIELD_HEADER_CHECK)
    return()
  endif()
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}
       ${CMAKE_SOURCE_DIR}/cache/*.h ${CMAKE_SOURCE_DIR}/dataplane/*.h ${CMAKE_SOURCE_DIR}/tests/sim/*.h)
  # Support headers of unit tests include CppUTest, whose macros for new want to come last.
  set(sources "")
  foreach(header IN LISTS headers)
    set(source ${CMAKE_BINARY_DIR}/header_check/${header}.cc)
    # CONFIGURE writes only what changed, so configuring again compiles nothing again.
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  if(sources)
    add_library(header_check OBJECT ${sources})
    target_link_libraries(header_check PRIVATE nearfield_options)
  endif()
endfunction()
