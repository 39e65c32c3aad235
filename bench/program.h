#pragma once
/// What every benchmark's main does.

#include <string_view>

namespace scrawl::bench {

/// Runs under the settings of `scrawl` itself. An Error goes to stderr, its code is returned.
int run_program(std::string_view name, int argc, char** argv, int (*run)(int argc, char** argv));

}  // namespace scrawl::bench
