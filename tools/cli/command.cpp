#include "tools/cli/command.h"

#include "kernels/error.h"

namespace scrawl::cli {

namespace {

CLI::Validator number(const std::string& expected, std::function<bool(double)> fits) {
  return {[=](const std::string& text) {
            double value = 0;
            const bool good = CLI::detail::lexical_cast(text, value) && fits(value);
            return good ? std::string() : "expected " + expected + ", got " + text;
          },
          ""};
}

}  // namespace

CLI::Validator at_least(std::int64_t least) {
  return number("at least " + std::to_string(least),
                [=](double value) { return value >= static_cast<double>(least); });
}

CLI::Validator more_than_zero() {
  return number("a number above 0", [](double value) { return value > 0; });
}

void DeviceFlags::add_to(CLI::App& app) {
  app.add_option("--device", device,
                 "auto (cuda where it is usable, else cpu), cpu, cuda, or simt: the CUDA kernels checked on "
                 "the CPU, slowly")
      ->capture_default_str();
  app.add_option("--kernels", kernels,
                 "auto, native (only our own) or vendor (only libraries', and ours where no library has the "
                 "call)")
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads of --device cpu; 0: all that this process may use")
      ->capture_default_str();
}

void DeviceFlags::add_choices_to(CLI::App& app) {
  app.add_option(
      "--choices", choices,
      "file of scrawl tune: the kernel that each call takes, as measured on this processor, in place "
      "of the first that can");
}

DeviceOptions DeviceFlags::options() const {
  KernelSet set = KernelSet::automatic;
  if (kernels == "native")
    set = KernelSet::native;
  else if (kernels == "vendor")
    set = KernelSet::vendor;
  else if (kernels != "auto")
    throw UsageError("--kernels: expected auto, native or vendor, got {}", kernels);
  return {.device = device, .kernels = set, .threads = threads, .choices = choices};
}

void RecipeFlags::add_to(CLI::App& app) {
  app.add_option("--config", config, "TOML file laid over the recipe");
  app.add_option("--set", assignments, "key=value laid over recipe and config, e.g. training.epochs=5");
}

}  // namespace scrawl::cli
