# Finds what the library stands on. An installed package wins; one that is missing is fetched, pinned by hash.
#
# UNDERSTUDY_MIRROR         a folder to take the archives from instead of the network
# UNDERSTUDY_<NAME>_SHA256  another hash for one archive, for a mirror that packed it itself
include(FetchContent)
set(UNDERSTUDY_MIRROR "" CACHE PATH "A folder with the archives of the dependencies")
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

# understudy_need(<package> <version> TARGET <target> HEADER <header> ARCHIVE <name> URL <url> SHA256 <hash>)
# Makes <target>, whose include folder holds <header>, of <package> in <version> or newer; failing that, of the archive.
function(understudy_need package version)
    cmake_parse_arguments(PARSE_ARGV 2 need "" "TARGET;HEADER;ARCHIVE;URL;SHA256" "")
    if(TARGET ${need_TARGET})
        if(package STREQUAL "Asio")  # the host's own; FindAsio.cmake can tell its version
            find_package(Asio ${version} QUIET REQUIRED)
        endif()
        return()
    endif()
    find_package(${package} ${version} QUIET GLOBAL)
    if(TARGET ${need_TARGET})
        return()
    endif()

    if(UNDERSTUDY_MIRROR)
        set(need_URL "${UNDERSTUDY_MIRROR}/${need_ARCHIVE}")
    endif()
    string(TOUPPER "UNDERSTUDY_${package}_SHA256" override)
    if(DEFINED ${override})
        set(need_SHA256 "${${override}}")
    endif()
    string(TOLOWER "${package}" content)
    string(TOUPPER "${package}" upper)
    if(FETCHCONTENT_FULLY_DISCONNECTED AND NOT FETCHCONTENT_SOURCE_DIR_${upper}
       AND NOT EXISTS "${FETCHCONTENT_BASE_DIR}/${content}-src")
        message(FATAL_ERROR
            "${package} ${version} or newer is not installed, and FETCHCONTENT_FULLY_DISCONNECTED forbids to fetch it. "
            "Install it; or name the folder of its sources, -DFETCHCONTENT_SOURCE_DIR_${upper}=...; or allow fetching, "
            "and with -DUNDERSTUDY_MIRROR=... name a folder that has ${need_ARCHIVE}.")
    endif()
    message(STATUS "${package} is not installed: fetching ${need_URL}")
    FetchContent_Declare(${content} URL "${need_URL}" URL_HASH SHA256=${need_SHA256}
                         DOWNLOAD_NAME "${need_ARCHIVE}" DOWNLOAD_EXTRACT_TIMESTAMP ON
                         SOURCE_SUBDIR none)  # all are headers only: their own build files are not run
    FetchContent_MakeAvailable(${content})
    find_path(folder "${need_HEADER}" PATHS "${${content}_SOURCE_DIR}" PATH_SUFFIXES include asio/include
              NO_DEFAULT_PATH NO_CACHE REQUIRED)
    add_library(${need_TARGET} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${need_TARGET} INTERFACE "${folder}")
endfunction()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED GLOBAL)

understudy_need(Asio 1.22 TARGET asio::asio HEADER asio.hpp
    ARCHIVE asio-1.30.2.tar.gz
    URL https://github.com/chriskohlhoff/asio/archive/refs/tags/asio-1-30-2.tar.gz
    SHA256 755bd7f85a4b269c67ae0ea254907c078d408cce8e1a352ad2ed664d233780e8)

understudy_need(nlohmann_json 3.11 TARGET nlohmann_json::nlohmann_json HEADER nlohmann/json.hpp
    ARCHIVE nlohmann_json-3.11.3.zip
    URL https://github.com/nlohmann/json/releases/download/v3.11.3/include.zip
    SHA256 a22461d13119ac5c78f205d3df1db13403e58ce1bb1794edc9313677313f4a9d)

if(UNDERSTUDY_BUILD_TESTS)
    understudy_need(doctest 2.4.9 TARGET doctest::doctest HEADER doctest/doctest.h
        ARCHIVE doctest-2.4.11.tar.gz
        URL https://github.com/doctest/doctest/archive/refs/tags/v2.4.11.tar.gz
        SHA256 632ed2c05a7f53fa961381497bf8069093f0d6628c5f26286161fbd32a560186)
endif()
if(UNDERSTUDY_BUILD_EXAMPLES)
    understudy_need(CLI11 2.1 TARGET CLI11::CLI11 HEADER CLI/CLI.hpp
        ARCHIVE CLI11-2.4.2.tar.gz
        URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz
        SHA256 f2d893a65c3b1324c50d4e682c0cdc021dd0477ae2c048544f39eed6654b699a)
endif()
