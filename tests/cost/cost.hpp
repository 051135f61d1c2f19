// The parts of the program that measures the cost of operations. They take the arguments of main.
#pragma once

#include <cstddef>

/// Where each allocation is counted at present.
inline std::size_t all_allocations = 0;
inline std::size_t* counted_allocations = &all_allocations;

int run_operation(int argc, char** argv);
int run_parties(int argc, char** argv);
