# Finds standalone Asio, which comes with neither a CMake package nor a pkg-config file in most distributions.
# Defines the target asio::asio, Asio_FOUND, Asio_VERSION and Asio_INCLUDE_DIR; set the last to name a place yourself.
# Where there is a target asio::asio already, only its version is checked, if the folder of its Asio can be read.
cmake_policy(VERSION 3.24)  # a host may ask for less

# Sets `variable` to the folder in which asio::asio, or a target that it links, has Asio.
function(asio_folder_of_target variable)
    set(targets asio::asio)
    set(seen "")
    while(targets)
        list(POP_FRONT targets target)
        if(NOT TARGET "${target}" OR target IN_LIST seen)
            continue()
        endif()
        list(APPEND seen "${target}")
        get_target_property(folders "${target}" INTERFACE_INCLUDE_DIRECTORIES)
        get_target_property(linked "${target}" INTERFACE_LINK_LIBRARIES)
        # A target that is also installed says $<BUILD_INTERFACE:...> for what holds here, and package managers say
        # $<$<CONFIG:Release>:...>. Of an expression that cannot be read here something is left that is neither a folder
        # nor a target.
        set(wrapper "BUILD_INTERFACE|BUILD_LOCAL_INTERFACE|LINK_ONLY|\\$<CONFIG:[^>]*>")
        foreach(list folders linked)
            string(REGEX REPLACE "\\$<(${wrapper}):|>" "" ${list} "${${list}}")
        endforeach()
        foreach(folder IN LISTS folders)
            if(EXISTS "${folder}/asio/version.hpp")
                set(${variable} "${folder}" PARENT_SCOPE)
                return()
            endif()
        endforeach()
        list(APPEND targets ${linked})
    endwhile()
endfunction()

if(NOT TARGET asio::asio)
    find_package(asio CONFIG QUIET)  # some package managers add one
endif()
if(TARGET asio::asio)
    asio_folder_of_target(Asio_INCLUDE_DIR)
    if(NOT Asio_INCLUDE_DIR)
        set(Asio_FOUND TRUE)  # as the host has it; another Asio of this system would say nothing about it
        return()
    endif()
elseif(Asio_INCLUDE_DIR AND NOT EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
    message(FATAL_ERROR "Asio_INCLUDE_DIR is ${Asio_INCLUDE_DIR}, which has no asio/version.hpp. Name the folder that "
                        "has asio.hpp and the folder asio, or unset it (-UAsio_INCLUDE_DIR) to have Asio looked for.")
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
