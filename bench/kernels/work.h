#pragma once
/// One call in the memory of a device, planned for one variant, with random inputs.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/device/device.h"
#include "tests/kernels/operation.h"

namespace scrawl::bench {

/// Elements of operands by name, in f32 whatever their type.
using Values = std::map<std::string, std::vector<float>>;

/// What an input holds: the element's number to its value.
using Fill = std::function<float(std::int64_t)>;

/// Inputs of a call. Floating-point operands are normal, times `scale`, rounded to `rounding`, unless `fill`
/// has them; long operands repeat their first elements.
struct Inputs {
  DType rounding = DType::f32;
  std::map<std::string, float> scale = {};
  std::map<std::string, Fill> fill = {};
};

class Work {
 public:
  virtual ~Work() = default;
  virtual void run() = 0;  ///< queued on the device's stream
  virtual const std::string& variant() const = 0;
  /// Of each output the first and last so many elements, in row-major order, images NHWC. Opaque ones are
  /// left out. Waits for the stream.
  virtual Values outputs(std::int64_t most) = 0;
  /// Whether a run changes what the next one reads.
  virtual bool consumes() const { return false; }
  /// Puts back what runs have changed. Waits for the stream.
  virtual void restore() {}
};

/// Memory of a device that a call's operands lie in.
class Memory {
 public:
  explicit Memory(Device& device) : device_(device) {}

  /// Memory for a view, whose first and last elements are NaN.
  void* place(const View&);
  /// Makes the first and last elements of a view NaN.
  void forget(const View&);
  /// Memory with an input's values, for a view that lies as its call was written.
  void* given(const View&, const std::string& name, const Inputs&);
  /// Copies between placements, by the device's own kernel.
  void reorder(const View& from, const View& to);
  /// The first and last `most` elements of a view that lies as its call was written.
  std::vector<float> ends(const View&, std::int64_t most);
  void* take(std::size_t bytes);

 private:
  void repeat(std::byte* memory, std::size_t filled, std::size_t bytes);

  Device& device_;
  std::vector<Buffer> buffers_;
};

/// A view's elements without gaps, so that its values do not depend on who placed it.
inline bool is_dense(const View& view) {
  return is_plain(view, Order::row_major) || (view.shape.rank == 4 && is_plain(view, Order::channels_last));
}

template <class Call>
class CallWork final : public Work {
 public:
  /// Operands that another call has written, by name. They stay where they are unless the planner asks
  /// otherwise; `owner` keeps them.
  struct Written {
    std::shared_ptr<Work> owner;
    std::map<std::string, View> views;
  };

  /// Throws Unsupported if no variant takes the call.
  CallWork(Device& device, const Selection& selection, Call call, const Inputs& inputs, Written written = {})
      : CallWork(
            device,
            [&](Call& described) {
              return (device.backend().*test::operation<Call>.planner)(described, selection);
            },
            std::move(call), inputs, std::move(written)) {}

  /// By a planner that is not a backend's.
  CallWork(Device& device, const std::function<Plan<Call>(Call&)>& planner, Call call, const Inputs& inputs,
           Written written = {})
      : device_(device), memory_(device), call_(std::move(call)), written_(std::move(written)) {
    const auto describe = [&](const std::string& name, View& view, const auto&) {
      if (const auto found = written_.views.find(name); found != written_.views.end()) {
        view = found->second;
        view.data = nullptr;
      }
      as_written_.emplace(name, view);
    };
    test::each_operand(call_, describe);
    plan_ = planner(call_);
    test::each_operand(call_, [&](const std::string& name, View& view, const auto& operand) {
      const auto found = written_.views.find(name);
      if (found != written_.views.end() && same_placement(view, found->second)) {
        view.data = found->second.data;
        return;
      }
      if (operand.role == test::Role::output) {
        view.data = memory_.place(view);
        return;
      }
      View from = as_written_.at(name);
      from.data = found != written_.views.end() ? found->second.data : memory_.given(from, name, inputs);
      if (same_placement(view, from)) {
        view.data = from.data;
        return;
      }
      view.data = memory_.place(view);
      memory_.reorder(from, view);
    });
    workspace_ = {static_cast<std::byte*>(memory_.take(plan_.workspace_bytes)), plan_.workspace_bytes};
    device_.synchronize();
  }

  void run() override { plan_.run(call_, workspace_, device_.stream()); }
  const std::string& variant() const override { return plan_.variant; }
  const Call& call() const { return call_; }

  /// What another plan is then to write anew.
  void forget_outputs() {
    test::each_operand(call_, [&](const std::string&, View& view, const auto& operand) {
      if (operand.role == test::Role::output) memory_.forget(view);
    });
  }

  Values outputs(std::int64_t most) override {
    Values values;
    Memory reordered(device_);  // until they are on the host
    test::each_operand(call_, [&](const std::string& name, View& view, const auto& operand) {
      if (operand.role == test::Role::input || name == "reserve") return;
      View plain = as_written_.at(name);
      plain.data = view.data;
      if (!same_placement(view, plain)) {
        plain.data = reordered.place(plain);
        reordered.reorder(view, plain);
      }
      values[name] = memory_.ends(plain, most);
    });
    return values;
  }

 private:
  Device& device_;
  Memory memory_;
  Call call_;
  Written written_;
  std::map<std::string, View> as_written_;  ///< operands as the call came, without data
  Plan<Call> plan_;
  Bytes workspace_;
};

}  // namespace scrawl::bench
