// Switches between header-only and separate compilation. With UNDERSTUDY_SEPARATE_COMPILATION defined, the headers only
// declare what is not a template. The one source file that includes understudy/src.hpp defines it (CMake target
// understudy::compiled).
#pragma once

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
#define UNDERSTUDY_DECL
#else
#define UNDERSTUDY_DECL inline
#endif
