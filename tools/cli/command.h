#pragma once
/// The commands of `scrawl`. Each adds its options to the parser and leaves what to do in `action`.

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/device/device.h"

namespace scrawl::cli {

/// Runs after parsing; returns the exit code.
using Action = std::function<int()>;

void add_train(CLI::App&, Action&);
void add_eval(CLI::App&, Action&);
void add_predict(CLI::App&, Action&);
void add_inspect(CLI::App&, Action&);
void add_data(CLI::App&, Action&);
void add_profile(CLI::App&, Action&);
void add_devices(CLI::App&, Action&);
void add_bench(CLI::App&, Action&);
void add_tune(CLI::App&, Action&);

/// Checks the number that an option is given. CLI11's own checks print the largest double there is.
CLI::Validator at_least(std::int64_t least);
CLI::Validator more_than_zero();

/// What --precision says of itself.
inline constexpr auto precision_choices = "f32, bf16, and on GPUs and simt tf32 (products of f32) or f16";

/// --device, --kernels, --threads and --choices.
struct DeviceFlags {
  std::string device = "auto", kernels = "auto", choices;
  int threads = 0;

  void add_to(CLI::App&);
  /// --choices, for who follows one.
  void add_choices_to(CLI::App&);
  DeviceOptions options() const;  ///< throws UsageError
  std::unique_ptr<Device> open() const { return open_device(options()); }
};

/// --config and --set.
struct RecipeFlags {
  std::string config;
  std::vector<std::string> assignments;

  void add_to(CLI::App&);
};

}  // namespace scrawl::cli
