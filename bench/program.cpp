#include "bench/program.h"

#include <fmt/core.h>

#include <cstdio>

#include "kernels/error.h"
#include "runtime/device/spinning.h"

namespace scrawl::bench {

int run_program(std::string_view name, int argc, char** argv, int (*run)(int, char**)) {
  bound_spinning(argv);
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace scrawl::bench
