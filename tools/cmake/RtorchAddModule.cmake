# rtorch_add_module(TARGET MODEL.pt2 [NAME name] [TARGET_CPU cpu...] [STATIC_RUNTIME]
#                   [OPTIONS option...])
#
# A library TARGET that holds the compiled model: a program that links it includes
# <name.h>, opens the rtorch_embedded_module `name` with rtorch_module_open_embedded()
# or rtorch::Module::embedded(), and needs no file while it runs. `name` is TARGET if not
# given, and TARGET_CPU what the compiler takes for native; a list gives code for each.
# STATIC_RUNTIME links rtorch::runtime_static in place of rtorch::runtime. OPTIONS go to
# rtorch-compile, which is looked for beside the package, in PATH, and at RTORCH_COMPILE.
# Where CMake cross-compiles for another processor, the model is compiled for it as well.

function(_rtorch_find_compiler)
  if(TARGET rtorch-compile)
    set(RTORCH_COMPILE $<TARGET_FILE:rtorch-compile> PARENT_SCOPE)
    return()
  endif()
  find_program(RTORCH_COMPILE rtorch-compile HINTS "${RTORCH_COMMAND_DIR}"
    NO_CMAKE_FIND_ROOT_PATH DOC "rtorch-compile, for rtorch_add_module")
  if(NOT RTORCH_COMPILE)
    message(FATAL_ERROR "rtorch_add_module: rtorch-compile was not found; "
      "set RTORCH_COMPILE to its path")
  endif()
endfunction()

function(rtorch_add_module target model)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "STATIC_RUNTIME" "NAME" "TARGET_CPU;OPTIONS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "rtorch_add_module(${target}): unknown arguments "
      "${ARG_UNPARSED_ARGUMENTS}")
  endif()
  _rtorch_find_compiler()
  set(name ${target})
  if(ARG_NAME)
    set(name ${ARG_NAME})
  endif()
  string(MAKE_C_IDENTIFIER ${name} name)
  cmake_path(ABSOLUTE_PATH model BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}.module)
  set(library ${folder}/lib${name}.a)
  set(options --emit static --name ${name} --quiet --no-store ${ARG_OPTIONS})
  if(ARG_TARGET_CPU)
    list(JOIN ARG_TARGET_CPU "," cpus)
    list(APPEND options --target-cpu ${cpus})
  endif()
  if(CMAKE_CROSSCOMPILING)
    list(APPEND options --target ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu)
  endif()
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${library} ${folder}/${name}.h
    COMMAND ${RTORCH_COMPILE} ${model} -o ${library} ${options}
    DEPENDS ${model} ${RTORCH_COMPILE}
    COMMENT "Compiling ${model}" VERBATIM)
  add_custom_target(${target}_compile DEPENDS ${library} ${folder}/${name}.h)
  set(runtime rtorch::runtime)
  if(ARG_STATIC_RUNTIME)
    set(runtime rtorch::runtime_static)
  endif()
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${library}
    INTERFACE_INCLUDE_DIRECTORIES ${folder}
    INTERFACE_LINK_LIBRARIES ${runtime})
  add_dependencies(${target} ${target}_compile)
endfunction()
