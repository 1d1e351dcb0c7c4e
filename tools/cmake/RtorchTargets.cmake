# Helpers that every folder's CMakeLists.txt uses. Sources are listed, never
# globbed; the link list of a target is the layering rule of its folder.

include(CMakeParseArguments)
find_package(Threads REQUIRED)

add_library(rtorch_options INTERFACE)
target_include_directories(rtorch_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(rtorch_options INTERFACE
  -Wall -Wextra $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  # GCC 12 sees overlaps in the standard library's operator+ that are not there.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
  # Its std::stable_sort calls what C++20 deprecates.
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-deprecated-declarations>)
if(RTORCH_SANITIZE)
  target_compile_options(rtorch_options INTERFACE
    -fsanitize=${RTORCH_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all
    # After the flag that brings it: see rtorch_calls_kernels.
    $<$<AND:$<CXX_COMPILER_ID:Clang>,$<BOOL:$<TARGET_PROPERTY:RTORCH_CALLS_KERNELS>>>:-fno-sanitize=function>)
  target_link_options(rtorch_options INTERFACE -fsanitize=${RTORCH_SANITIZE})
endif()
# Tests load the C library into Python, which brings the sanitizer by LD_PRELOAD; the
# commands that they start find it loaded and must not have one of their own.
if(RTORCH_COMPILER AND RTORCH_SANITIZE MATCHES address AND
   CMAKE_CXX_COMPILER_ID MATCHES Clang)
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER}
      -print-file-name=libclang_rt.asan-${CMAKE_SYSTEM_PROCESSOR}.so
    OUTPUT_VARIABLE asan_library OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(RTORCH_ASAN_LIBRARY ${asan_library} CACHE FILEPATH "For LD_PRELOAD" FORCE)
  get_filename_component(asan_folder ${asan_library} DIRECTORY)
  target_link_options(rtorch_options INTERFACE
    -shared-libasan -Wl,-rpath,${asan_folder})
endif()

find_program(RTORCH_MOLD mold)
if(RTORCH_MOLD AND NOT CMAKE_CROSSCOMPILING)
  target_link_options(rtorch_options INTERFACE -fuse-ld=mold)
endif()

# rtorch_calls_kernels(NAME): before a kernel's code there is no signature that the
# sanitizer of function types could read.
function(rtorch_calls_kernels name)
  set_target_properties(${name} PROPERTIES RTORCH_CALLS_KERNELS ON)
endfunction()

# rtorch_add_library(NAME SOURCES ... [LINK ...] [SHARED])
# A static library by default; LINK is public.
function(rtorch_add_library name)
  cmake_parse_arguments(ARG "SHARED" "" "SOURCES;LINK" ${ARGN})
  if(ARG_SHARED)
    add_library(${name} SHARED ${ARG_SOURCES})
  else()
    add_library(${name} STATIC ${ARG_SOURCES})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE rtorch_options)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# rtorch_add_tool(NAME SOURCES ... [LINK ...])
function(rtorch_add_tool name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} rtorch_options)
endfunction()

# rtorch_add_unit_test(NAME SOURCES ... [LINK ...]): a Catch2 program that ctest runs.
function(rtorch_add_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} rtorch_catch_main rtorch_options)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
