# understudy::compiled: what is no template, compiled once, by the compiler and the flags of whoever includes this.
# Those who link it get UNDERSTUDY_SEPARATE_COMPILATION. Needs understudy::understudy. Each part is a file of
# its own, which several cores compile at a time; with CMAKE_UNITY_BUILD all are one, which takes half of the work.
if(TARGET understudy_compiled)
    return()  # another folder of the same project asked for it before
endif()
set(understudy_parts event kv/store net/stream_transport runtime/admin_node runtime/client_node
    runtime/replica_machine runtime/replica_node runtime/view_node view_service/state_machine wire/json)
set(understudy_stubs "")
foreach(part IN LISTS understudy_parts)
    set(stub "${CMAKE_CURRENT_BINARY_DIR}/understudy_compiled/${part}.cpp")
    configure_file("${CMAKE_CURRENT_LIST_DIR}/part.cpp.in" "${stub}" @ONLY)
    list(APPEND understudy_stubs "${stub}")
endforeach()
add_library(understudy_compiled STATIC EXCLUDE_FROM_ALL ${understudy_stubs})
add_library(understudy::compiled ALIAS understudy_compiled)
target_link_libraries(understudy_compiled PUBLIC understudy::understudy)
target_compile_definitions(understudy_compiled PUBLIC UNDERSTUDY_SEPARATE_COMPILATION)
set_target_properties(understudy_compiled PROPERTIES
                      POSITION_INDEPENDENT_CODE ON)  # a host may be a shared library
