# LLVM, MLIR and lld 22 as Debian ships them: the shared libraries only. Mixing
# them with the static archives registers every option twice.

list(APPEND CMAKE_PREFIX_PATH /usr/lib/llvm-22)
find_package(MLIR REQUIRED CONFIG)
find_package(LLD REQUIRED CONFIG)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "rtorch needs LLVM 22, but found ${LLVM_PACKAGE_VERSION}")
endif()
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

add_library(rtorch_llvm INTERFACE)
target_include_directories(rtorch_llvm SYSTEM INTERFACE
  ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_definitions(rtorch_llvm INTERFACE ${LLVM_DEFINITIONS})
# LLVM is built without RTTI: classes that derive from its classes must be too.
target_compile_options(rtorch_llvm INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti> -Wno-unused-parameter)
# MLIR identifies traits and interfaces by the address of a variable in a header's
# template, which must be one in the process: with hidden symbols our copy is another
# than libMLIR's, and ops of ours have no terminators.
target_compile_options(rtorch_llvm INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fvisibility=default>
  $<$<COMPILE_LANGUAGE:CXX>:-fno-visibility-inlines-hidden>)
target_link_libraries(rtorch_llvm INTERFACE MLIR LLVM)

# rtorch_add_mlir_library(NAME ...): rtorch_add_library for a library over the rt
# dialect, whose files share the precompiled header of rtorch_rt.
function(rtorch_add_mlir_library name)
  rtorch_add_library(${name} ${ARGN})
  if(NOT RTORCH_PCH)
    return()
  endif()
  if(name STREQUAL rtorch_rt)
    target_precompile_headers(rtorch_rt PRIVATE ${PROJECT_SOURCE_DIR}/tools/cmake/mlir_pch.h)
  else()
    target_precompile_headers(${name} REUSE_FROM rtorch_rt)
  endif()
  # Lets ccache see that a header precompiled again is the same.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# mlir_tablegen finds MLIR's .td files through the directory's include path.
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
