# What `cmake --install` puts where: headers, a CMake package and a pkg-config file, all of them relocatable.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/understudy")
set(pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

# Two sets, so that a host of the core alone needs nothing else.
install(TARGETS understudy_core EXPORT understudyCoreTargets FILE_SET HEADERS)
install(TARGETS understudy EXPORT understudyTargets FILE_SET HEADERS)
install(EXPORT understudyCoreTargets NAMESPACE understudy:: DESTINATION "${package_dir}")
install(EXPORT understudyTargets NAMESPACE understudy:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/understudyConfig.cmake.in understudyConfig.cmake
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/understudyConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/understudyConfig.cmake" "${PROJECT_BINARY_DIR}/understudyConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake" "${CMAKE_CURRENT_LIST_DIR}/Compiled.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/part.cpp.in"
        DESTINATION "${package_dir}")

# `${pcfiledir}` lets the installed tree be moved as a whole.
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pkgconfig_include "${CMAKE_INSTALL_INCLUDEDIR}")
else()
    file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
    set(pkgconfig_include "\${pcfiledir}/${up}${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/understudy.pc.in understudy.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/understudy.pc" DESTINATION "${pkgconfig_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
