#include "runtime/device/spinning.h"

#include <unistd.h>

#include <cstdlib>

namespace scrawl {

void bound_spinning(char** arguments) {
  constexpr auto spin_count = "GOMP_SPINCOUNT", bounded = "SCRAWL_SPINNING_BOUNDED";
  if (std::getenv(bounded)) {
    unsetenv(bounded);
    unsetenv(spin_count);
    return;
  }
  if (std::getenv(spin_count) || std::getenv("OMP_WAIT_POLICY")) return;
  setenv(bounded, "1", 1);
  setenv(spin_count, "100000", 1);
  execv("/proc/self/exe", arguments);
  unsetenv(bounded);  // it could not start over: it spins as before
  unsetenv(spin_count);
}

}  // namespace scrawl
