# Finds standalone Asio, which comes with neither a CMake package nor a pkg-config file in most distributions.
# Defines the target asio::asio, Asio_FOUND, Asio_VERSION and Asio_INCLUDE_DIR; set the last to name a place yourself.
if(NOT TARGET asio::asio)
    find_package(asio CONFIG QUIET)  # some package managers add one
endif()
if(TARGET asio::asio)
    get_target_property(Asio_INCLUDE_DIR asio::asio INTERFACE_INCLUDE_DIRECTORIES)
    list(GET Asio_INCLUDE_DIR 0 Asio_INCLUDE_DIR)
endif()
find_path(Asio_INCLUDE_DIR asio.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)

if(EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
    file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" Asio_VERSION REGEX "define ASIO_VERSION [0-9]+")
    string(REGEX REPLACE ".*ASIO_VERSION ([0-9]+).*" "\\1" Asio_VERSION "${Asio_VERSION}")
    math(EXPR Asio_MAJOR "${Asio_VERSION} / 100000")
    math(EXPR Asio_MINOR "${Asio_VERSION} / 100 % 1000")
    math(EXPR Asio_PATCH "${Asio_VERSION} % 100")
    set(Asio_VERSION "${Asio_MAJOR}.${Asio_MINOR}.${Asio_PATCH}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR VERSION_VAR Asio_VERSION)

if(Asio_FOUND AND NOT TARGET asio::asio)
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads REQUIRED)
    add_library(asio::asio INTERFACE IMPORTED)
    set_target_properties(asio::asio PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${Asio_INCLUDE_DIR}"
        INTERFACE_COMPILE_DEFINITIONS ASIO_STANDALONE
        INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
