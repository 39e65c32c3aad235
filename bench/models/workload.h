#pragma once
/// A recipe's network with random weights and a random batch: a training step or an inference to be timed.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/network.h"
#include "runtime/graph/program.h"

namespace scrawl::bench {

class Workload {
 public:
  /// Planned by these choices, which may be null, whatever the device follows.
  Workload(const Recipe&, int classes, int batch, NetworkUse use, Device&, const Choices* choices = nullptr);

  void run() { program_->run(); }
  /// Sum of the calls' own times in one run, in microseconds: what the step would take without the runtime.
  double sum_of_calls_us();
  /// The calls of a step in order with the median of their own times over so many runs, in microseconds.
  struct Call {
    std::string name, variant;
    double us;
  };
  std::vector<Call> calls(int runs);
  double flops() const { return flops_; }
  double bytes() const { return bytes_; }
  std::size_t memory_bytes() const;  ///< arena and inputs
  /// Of a training step that runs now.
  double loss();
  /// Weights and running statistics under PyTorch's names, and the batch: pixels (N,H,W,C) u8, and labels
  /// (N,L) with label_lengths (N), or targets (N), i32. Throws WriteError.
  void save(const std::filesystem::path&);
  const Program& program() const { return *program_; }

 private:
  Device& device_;
  Network network_;
  Storage storage_;
  Arena arena_;
  std::unique_ptr<Program> program_;
  double flops_ = 0, bytes_ = 0;
};

}  // namespace scrawl::bench
