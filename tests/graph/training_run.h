#pragma once
/// A recipe's network in training on any device, step by step, with its numbers as doubles.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/recognizer.h"

namespace scrawl::testing {

using Values = std::vector<double>;

enum class Fusion : std::uint8_t { fused, apart };

struct RunOptions {
  DType type = DType::f32;
  F32Products products = F32Products::exact;
  Fusion fusion = Fusion::fused;
  int classes = 10;
  std::int64_t batch = 16, longest_label = 1;
  std::vector<std::int64_t> widths{0};  ///< of images, a program each; 0: the recipe's
  float l2 = 0, learning_rate = 0.05f, loss_scale = 1;
};

/// SGD with momentum 0.9, from weights that are the same on every device. Programs for
/// images of several widths share the weights and the arena.
class TrainingRun {
 public:
  TrainingRun(const Recipe&, std::unique_ptr<Device>, const RunOptions&);

  void fill(const Batch&, std::size_t width = 0);  ///< what the steps are made on, until the next one
  double step(std::size_t width = 0);              ///< returns the loss

  std::map<std::string, Values> gradients()
      const;  ///< of the last step, "gradient/NAME", times the loss scale
  std::map<std::string, Values> parameters() const;  ///< by name
  double control(Control::Slot) const;
  void set_control(Control::Slot, float);

  double& weight(const std::string& name, std::size_t i) {
    return storage_.at(name).as<double>()[i];
  }  ///< f64 on the host
  const ProgramPlan& plan(std::size_t width = 0) const { return shapes_[width].program->plan(); }
  const Arena& arena() const { return arena_; }

 private:
  struct Shaped {
    std::unique_ptr<Program> program;
    std::int64_t frames;
  };
  Values read(const View&) const;

  Recipe recipe_;
  int classes_;
  std::unique_ptr<Device> device_;
  Storage storage_;
  Arena arena_;
  std::vector<Shaped> shapes_;
};

/// |a - b| / |b|, Euclidean.
double relative_distance(const Values& a, const Values& b);

}  // namespace scrawl::testing
