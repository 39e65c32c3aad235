/// bench_models: training steps and inference of the recipes, beside the sum of their own calls (on a CPU,
/// where calls end when they return) and beside PyTorch, alternating in one run.
///
///   bench_models --network mnist --type f32 --peer "python3 bench/peers/serve.py --threads 2" --json
///   out.json

#include <fmt/core.h>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>

#include "bench/device_clock.h"
#include "bench/measure.h"
#include "bench/models/workload.h"
#include "bench/peer.h"
#include "bench/program.h"
#include "bench/recipes.h"
#include "bench/report.h"
#include "bench/tables.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

struct Flags {
  std::vector<std::string> networks{"mnist", "crnn-small", "crnn", "cnn62"}, types{"f32", "bf16"},
      works{"train_step", "inference"};
  std::vector<int> batches{0};
  std::vector<std::string> variants{"channels_last"}, last_variants;
  std::string device = "cpu", peer, json;
  double seconds = 20, minutes = 600;
  int threads = 0, calls = 0;
};

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// A file of a process, removed with it.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / fmt::format("scrawl-{}-{}", ::getpid(), name)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// How far a peer's loss may be from ours: roundings of a forward pass in the type.
double loss_tolerance(const std::string& type) { return type == "f32" ? 1e-4 : type == "tf32" ? 1e-2 : 3e-2; }

/// Gives a peer our weights and batch, and throws UsageError unless it finds our loss. Without dropout, whose
/// draws are everybody's own.
void expect_same_loss(Recipe recipe, int batch, Device& device, PeerProcess& peer, const std::string& name) {
  std::erase_if(recipe.layers,
                [](const Layer& layer) { return std::holds_alternative<DropoutLayer>(layer.what); });
  const auto type = std::string(name_of(recipe.training.precision));
  Workload twin(recipe, usual_classes(recipe), batch, NetworkUse::training, device);
  const TemporaryFile weights(recipe.name + ".safetensors");
  twin.save(weights.path());
  const double ours = twin.loss(), theirs = peer.loss_like(name, weights.path());
  if (!(std::abs(theirs - ours) <= loss_tolerance(type) * std::abs(ours)))
    throw UsageError("peer: {}: expected our loss of {:.6g}, to {:.0e} of it, got {:.6g}", name, ours,
                     loss_tolerance(type), theirs);
}

/// A step's own work beside the sum of its calls' times: above 1.08, the runtime wastes more than it may.
constexpr double most_over_sum = 1.08;

/// Rows of one workload: beside the fastest peer, if there is one, and beside the sum of its own calls.
std::vector<Row> measure(const std::string& network, const std::string& type, const std::string& work,
                         int batch, Device& device, PeerProcess* peer,
                         const std::vector<std::string>& variants, const Flags& f) {
  const auto recipe = load_recipe(network, "", {"training.precision='" + type + "'"});
  if (batch == 0) batch = work == "train_step" ? recipe.training.batch : 64;
  const auto use = work == "train_step" ? NetworkUse::training : NetworkUse::prediction;
  Workload workload(recipe, usual_classes(recipe), batch, use, device);

  DeviceClock clock(device);
  const auto run = [&] { workload.run(); };
  Timed ours(run, clock, {.warmup = 2, .before = run});  // as in training, where one step follows another
  const auto name = fmt::format("{}[network={},batch={},{}", work, network, batch, type);
  std::vector<Peer> peers;
  if (peer)
    for (const auto& variant : variants) {
      const auto asked = fmt::format("{}{}]", name, variant == "eager" ? "" : "," + variant);
      try {
        expect_same_loss(recipe, batch, device, *peer, asked);  // builds it
      } catch (const UsageError& refusal) {
        fmt::print(stderr, "left out: {}\n", refusal.what());
        continue;
      }
      peers.push_back({"pytorch " + variant, [peer, asked] { return peer->sample_us(asked, 1); }});
    }
  const auto row = [&](Comparison timing) {
    return Row{.name = name + "]",
               .device = device.name(),
               .variant = "scrawl",
               .type = type,
               .timing = std::move(timing),
               .cost = {workload.flops(), workload.bytes()}};
  };
  std::vector<Row> rows{
      row(compare(std::ref(ours), peers,
                  {.seconds = f.seconds, .least = 5, .most = 100, .pause = std::chrono::milliseconds(5)}))};
  if (device.name() != "cpu") return rows;
  // By themselves: another process's threads would spin on while the first calls are timed.
  const std::vector<Peer> calls{{std::string(own_calls), [&] {
                                   run();
                                   return workload.sum_of_calls_us();
                                 }}};
  rows.push_back(row(compare(std::ref(ours), calls, {.seconds = f.seconds / 4, .least = 5, .most = 100})));
  rows.back().passed = 1 / rows.back().timing.ratio.median <= most_over_sum;
  fmt::print(stderr, "{}: {:.0f} images/s; step / sum of its calls {:.3f}; memory {:.0f} MB\n", rows[0].name,
             1e6 * batch / rows[0].timing.ours.median, 1 / rows[1].timing.ratio.median,
             static_cast<double>(workload.memory_bytes()) / 1e6);
  if (f.calls > 0)
    for (const auto& call : workload.calls(f.calls))
      fmt::print(stderr, "{:12.1f} us  {:<12} {}\n", call.us, call.variant, call.name);
  return rows;
}

int run(int argc, char** argv) {
  CLI::App app{"times whole networks"};
  Flags f;
  app.add_option("--device", f.device, "cpu or cuda")->capture_default_str();
  app.add_option("--network", f.networks, "recipes")->capture_default_str();
  app.add_option("--type", f.types, "f32, bf16")->capture_default_str();
  app.add_option("--work", f.works, "train_step, inference")->capture_default_str();
  app.add_option("--batch", f.batches, "samples; 0: the recipe's, or 64 for inference")
      ->capture_default_str();
  app.add_option("--peer", f.peer, "command that answers timing requests: bench/peers/serve.py");
  app.add_option("--variant", f.variants, "of the peer: eager, channels_last, compile, or a list with commas")
      ->capture_default_str()
      ->delimiter(';');
  app.add_option("--last-variant", f.last_variants, "of the peer, in a second pass over everything")
      ->delimiter(';');
  app.add_option("--seconds", f.seconds, "of alternation a row")->capture_default_str();
  app.add_option("--minutes", f.minutes, "after which no further row begins")->capture_default_str();
  app.add_option("--threads", f.threads, "CPU threads; 0: all")->capture_default_str();
  app.add_option("--calls", f.calls, "also print each call's time, the median of so many runs");
  app.add_option("--json", f.json, "file for the report, rewritten after each row");
  CLI11_PARSE(app, argc, argv);

  const auto device = open_device({.device = f.device, .threads = f.threads});
  std::unique_ptr<PeerProcess> peer;
  if (!f.peer.empty()) peer = std::make_unique<PeerProcess>(words_of(f.peer));
  Report report{.header = describe_host({argv, static_cast<std::size_t>(argc)}), .rows = {}};
  if (device->name() == "cuda") describe_gpu(report.header);
  if (device->name() == "cpu")
    report.header.libraries["threads"] = std::to_string(device->selection().threads);
  if (peer) report.header.libraries["peer"] = peer->greeting();
  SteadyClock clock;
  clock.start();
  std::vector<std::vector<std::string>> passes{f.variants};
  if (peer && !f.last_variants.empty()) passes.push_back(f.last_variants);
  for (const auto& variants : passes)
    for (const auto& network : f.networks)
      for (const auto& work : f.works)
        for (const auto& type : f.types)
          for (const int batch : f.batches) {
            if (clock.stop_us() > 60e6 * f.minutes) continue;
            std::ranges::move(measure(network, type, work, batch, *device, peer.get(), variants, f),
                              std::back_inserter(report.rows));
            if (!f.json.empty()) write_report(f.json, report);
          }
  fmt::print("{}", to_table(report.rows));
  return 0;
}

}  // namespace
}  // namespace scrawl::bench

int main(int argc, char** argv) {
  return scrawl::bench::run_program("bench_models", argc, argv, scrawl::bench::run);
}
