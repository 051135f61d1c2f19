// A source file that includes what a server and a client need, and uses none of it.
#include <understudy/clerk.hpp>
#include <understudy/net/tcp.hpp>
#include <understudy/understudy.hpp>
