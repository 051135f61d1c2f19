// Selects the measurement. All of them are one program, so that shared templates are compiled once.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>

#include "cost.hpp"

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++*counted_allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "operation") return run_operation(argc, argv);
    if (what == "parties") return run_parties(argc, argv);
    std::fprintf(stderr, "cost operation|parties ARGUMENTS\n");
    return 2;
}
