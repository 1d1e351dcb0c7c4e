# cmake --install: the runtime with its headers, CMake package and pkg-config file, the
# library that records runs, and the commands.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(RTORCH_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/rtorch)

# Programs of the build tree include the sources' folders; installed ones the prefix's.
set(libraries rtorch_runtime rtorch_runtime_static rtorch_record)
if(TARGET rtorch_checkpoint)
  list(APPEND libraries rtorch_checkpoint)
endif()
foreach(target ${libraries})
  set_target_properties(${target} PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>;$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/include>;$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
endforeach()
set_target_properties(rtorch_runtime PROPERTIES EXPORT_NAME runtime
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set_target_properties(rtorch_runtime_static PROPERTIES EXPORT_NAME runtime_static)
set_target_properties(rtorch_record PROPERTIES EXPORT_NAME record
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

if(TARGET rtorch_checkpoint)
  set_target_properties(rtorch_checkpoint PROPERTIES EXPORT_NAME checkpoint
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} INSTALL_RPATH "$ORIGIN")
endif()

install(TARGETS ${libraries} EXPORT rtorch
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY runtime/include/rtorch DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT rtorch NAMESPACE rtorch:: DESTINATION ${RTORCH_PACKAGE_DIR})

configure_package_config_file(tools/cmake/rtorchConfig.cmake.in
  ${PROJECT_BINARY_DIR}/install/rtorchConfig.cmake
  INSTALL_DESTINATION ${RTORCH_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/install/rtorchConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH RTORCH_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(tools/cmake/rtorch.pc.in ${PROJECT_BINARY_DIR}/install/rtorch.pc @ONLY)
install(FILES
  ${PROJECT_BINARY_DIR}/install/rtorchConfig.cmake
  ${PROJECT_BINARY_DIR}/install/rtorchConfigVersion.cmake
  tools/cmake/RtorchAddModule.cmake
  DESTINATION ${RTORCH_PACKAGE_DIR})
install(FILES ${PROJECT_BINARY_DIR}/install/rtorch.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Commands find the runtime beside them, and LLVM where it was linked from.
foreach(command rtorch-run rtorch-store rtorch-compile)
  if(TARGET ${command})
    set_target_properties(${command} PROPERTIES
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}"
      INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS ${command} DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
