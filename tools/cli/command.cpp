#include "tools/cli/command.h"

#include "kernels/error.h"

namespace scrawl::cli {

void DeviceFlags::add_to(CLI::App& app) {
  app.add_option("--device", device, "auto or cpu")->capture_default_str();
  app.add_option("--kernels", kernels, "auto, native (only our own) or vendor (only libraries')")
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads; 0: all that this process may use")
      ->capture_default_str();
}

std::unique_ptr<Device> DeviceFlags::open() const {
  KernelSet set = KernelSet::automatic;
  if (kernels == "native")
    set = KernelSet::native;
  else if (kernels == "vendor")
    set = KernelSet::vendor;
  else if (kernels != "auto")
    throw UsageError("--kernels: expected auto, native or vendor, got {}", kernels);
  return open_device({.device = device, .kernels = set, .threads = threads});
}

void RecipeFlags::add_to(CLI::App& app) {
  app.add_option("--config", config, "TOML file laid over the recipe");
  app.add_option("--set", assignments, "key=value laid over recipe and config, e.g. training.epochs=5");
}

}  // namespace scrawl::cli
