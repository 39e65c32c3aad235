/// bench_ctc: log-softmax, CTC loss and gradient, beside PyTorch's, alternating in one run.
///
///   bench_ctc --peer "python3 bench/peers/serve.py --threads 2" --json ctc.json

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <random>

#include "bench/measure.h"
#include "bench/peer.h"
#include "bench/program.h"
#include "bench/report.h"
#include "kernels/backend.h"
#include "runtime/device/device.h"

namespace scrawl::bench {
namespace {

struct Problem {
  std::int64_t steps, batch, classes, longest;  ///< T, N, K, L

  std::string name() const {
    return fmt::format("ctc.gradient[T={},N={},K={},L={}]", steps, batch, classes, longest);
  }
};

/// "T,N,K,L". Throws UsageError.
Problem parse_problem(const std::string& text) {
  Problem p{};
  char end = 0;
  if (std::sscanf(text.c_str(), "%ld,%ld,%ld,%ld%c", &p.steps, &p.batch, &p.classes, &p.longest, &end) != 4 ||
      p.steps < 1 || p.batch < 1 || p.classes < 2 || p.longest < 1 || p.longest > p.steps)
    throw UsageError("--problem: expected T,N,K,L with K >= 2 and 1 <= L <= T, got '{}'", text);
  return p;
}

/// Random logits and labels of 1..L characters, every frame valid.
class Work {
 public:
  Work(const Problem& p, Device& device)
      : x_(static_cast<std::size_t>(p.steps * p.batch * p.classes)), d_x_(x_.size()), loss_(count(p.batch)) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (auto& value : x_) value = normal(random);
    const auto up_to = [&](std::int64_t n) {
      return static_cast<std::int32_t>(1 + random() % static_cast<unsigned>(n));
    };
    for (std::int64_t n = 0; n < p.batch; ++n) label_lengths_.push_back(up_to(p.longest));
    for (std::int64_t i = 0; i < p.batch * p.longest; ++i) labels_.push_back(up_to(p.classes - 1));
    input_lengths_.assign(count(p.batch), static_cast<std::int32_t>(p.steps));

    const Shape logits{p.steps, p.batch, p.classes};
    call_ = {.x = make_view(x_.data(), DType::f32, logits),
             .labels = make_view(labels_.data(), DType::i32, {p.batch, p.longest}),
             .label_lengths = make_view(label_lengths_.data(), DType::i32, {p.batch}),
             .input_lengths = make_view(input_lengths_.data(), DType::i32, {p.batch}),
             .loss = make_view(loss_.data(), DType::f32, {p.batch}),
             .d_x = make_view(d_x_.data(), DType::f32, logits)};
    auto placed = call_;
    plan_ = device.backend().ctc_loss(placed, device.selection());
    workspace_ = Buffer(device, plan_.workspace_bytes);
  }

  void run() { plan_.run(call_, {workspace_.data(), plan_.workspace_bytes}, nullptr); }
  const std::string& variant() const { return plan_.variant; }
  double bytes() const { return static_cast<double>(2 * x_.size() * sizeof(float)); }

 private:
  static std::size_t count(std::int64_t n) { return static_cast<std::size_t>(n); }

  std::vector<float> x_, d_x_, loss_;
  std::vector<std::int32_t> labels_, label_lengths_, input_lengths_;
  CtcLoss call_;
  Plan<CtcLoss> plan_;
  Buffer workspace_;
};

int run(int argc, char** argv) {
  CLI::App app{"times CTC"};
  std::vector<std::string> problems{"64,64,30,24", "512,64,100,100"};
  std::string peer_command, json;
  double seconds = 5;
  int threads = 0;
  app.add_option("--problem", problems, "T,N,K,L")->capture_default_str()->delimiter(';');
  app.add_option("--peer", peer_command, "command that answers timing requests: bench/peers/serve.py");
  app.add_option("--seconds", seconds, "of alternation a row")->capture_default_str();
  app.add_option("--threads", threads, "CPU threads; 0: all")->capture_default_str();
  app.add_option("--json", json, "file for the report");
  CLI11_PARSE(app, argc, argv);

  const auto device = open_device({.device = "cpu", .threads = threads});
  std::unique_ptr<PeerProcess> peer;
  if (!peer_command.empty()) peer = std::make_unique<PeerProcess>(CLI::detail::split_up(peer_command));
  Report report{.header = describe_host({argv, static_cast<std::size_t>(argc)}), .rows = {}};
  if (peer) report.header.libraries["peer"] = peer->greeting();
  for (const auto& text : problems) {
    const auto problem = parse_problem(text);
    Work work(problem, *device);
    SteadyClock clock;
    const auto run = [&] { work.run(); };
    Timed ours(run, clock, {.before = run});
    std::vector<Peer> peers;
    if (peer) {
      peer->sample_us(problem.name());  // builds it, and says so if it cannot
      peers.push_back({"pytorch", [&] { return peer->sample_us(problem.name(), 1); }});
    }
    report.rows.push_back({.name = problem.name(),
                           .device = "cpu",
                           .variant = work.variant(),
                           .type = "f32",
                           .timing = compare(std::ref(ours), peers,
                                             {.seconds = seconds, .pause = std::chrono::milliseconds(5)}),
                           .cost = {0, work.bytes()}});
  }
  fmt::print("{}", to_table(report.rows));
  if (!json.empty()) write_report(json, report);
  return 0;
}

}  // namespace
}  // namespace scrawl::bench

int main(int argc, char** argv) {
  return scrawl::bench::run_program("bench_ctc", argc, argv, scrawl::bench::run);
}
