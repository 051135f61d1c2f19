// The parts of the program that measures the cost of operations. They take the arguments of main.
#pragma once

int run_operation(int argc, char** argv);
int run_sockets(int argc, char** argv);
