// Uses the vocabulary of the protocol alone.
#include <iostream>

#include <understudy/event.hpp>

int main() {
    understudy::View view{.number = 1, .primary = {.name = "tcp://a:1"}};
    std::cout << understudy::describe(view) << '\n';
    return view.member("tcp://a:1") ? 0 : 1;
}
