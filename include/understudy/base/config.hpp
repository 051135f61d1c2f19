// Header-only or compiled once: with UNDERSTUDY_SEPARATE_COMPILATION defined, what is no template is only declared by
// the headers, and defined by the one source file that includes understudy/src.hpp (target understudy::compiled).
#pragma once

#if defined(UNDERSTUDY_SEPARATE_COMPILATION)
#define UNDERSTUDY_DECL
#else
#define UNDERSTUDY_DECL inline
#endif
