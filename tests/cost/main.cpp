// Selects the measurement. All of them are one program, so that shared templates are compiled once.
#include <cstdio>
#include <string>

#include "cost.hpp"

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "operation") return run_operation(argc, argv);
    if (what == "sockets") return run_sockets(argc, argv);
    std::fprintf(stderr, "cost operation|sockets ARGUMENTS\n");
    return 2;
}
