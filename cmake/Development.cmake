# How we build our own tests and examples. Only a top-level build includes this: nothing of it reaches a host.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Debug CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
    set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()
add_compile_definitions(ASIO_NO_DEPRECATED)
# GCC looks for garbage whenever its memory has doubled; the larger it may grow before, the less time that takes.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options("SHELL:--param ggc-min-heapsize=600000")
endif()
# The std::stable_sort of GCC 12's library calls what that library has marked as deprecated, and Clang says so.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options(-Wno-deprecated-declarations)
endif()
# Simulated hours want some speed. GCC takes less time for -Og than for -O1, and for tests even than for -O0; not so
# with sanitizers.
if(NOT UNDERSTUDY_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<CONFIG:Debug>:-Og>)
endif()

if(UNDERSTUDY_SANITIZE)
    add_compile_options(-fsanitize=${UNDERSTUDY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${UNDERSTUDY_SANITIZE})
    # Asio has memory fences, which ThreadSanitizer does not see and GCC warns of. Without them it could report what is
    # no race, which would show; it hides none.
    if(UNDERSTUDY_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-Wno-tsan)
    endif()
endif()

find_program(UNDERSTUDY_CCACHE ccache)
if(UNDERSTUDY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${UNDERSTUDY_CCACHE}")
endif()
