#pragma once
/// Memory for one call on one backend: guarded, poisoned, placed as its planner asked.

#include <map>
#include <string>
#include <vector>

#include "kernels/reference/tensor.h"
#include "tests/kernels/operation.h"
#include "tests/kernels/target.h"

namespace scrawl::test {

using reference::Tensor;

/// Tensors by operand: "x", "w.0".
using Values = std::map<std::string, Tensor, std::less<>>;

/// An operand of a call at hand.
struct Bound {
  std::string name;
  View* view;
  Role role;
  std::string in_place_of = {};  ///< the operand whose memory it takes, where both are placed alike
};

template <class Call>
std::vector<Bound> bound(Call& call) {
  std::vector<Bound> operands;
  each_operand(call, [&](const std::string& name, View& view, const Operand<Call>& operand) {
    operands.push_back({name, &view, operand.role, std::string(operand.in_place_of)});
  });
  return operands;
}

/// A tensor as it is after a trip through a type.
Tensor rounded(const Tensor&, DType);

/// Memory with a pattern before and after it.
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t bytes);
  Bytes bytes();  ///< 64-byte aligned
  void fill(std::byte);
  bool guards_intact() const;

 private:
  std::size_t offset_, size_;
  std::vector<std::byte> memory_;
};

/// misaligned: operands, but for the reserve (lstm.h), start one element behind where memory does.
enum class Memory : std::uint8_t { apart, in_place, misaligned };

class Stage {
 public:
  /// Gives every operand, placed as it is, memory of its own, or that of the input that it may take the place
  /// of.
  Stage(const Backend&, std::vector<Bound> operands, std::size_t workspace_bytes, Memory);

  /// Writes what is read, and poison over everything else.
  void set(const Values& inputs, std::byte poison);
  Bytes workspace() { return target_ ? device_workspace_ : workspace_.bytes(); }
  Stream stream() { return target_ ? target_->stream() : nullptr; }

  /// What the call wrote.
  Values outputs();

  /// Written outside of operands, into inputs, or not at all into the padding of an opaque placement.
  std::vector<std::string> trespasses();

 private:
  struct Held {
    Bound operand;
    GuardedBuffer buffer;
    Bytes memory;                 ///< the buffer's, or that of the input whose place the operand takes
    std::byte* piece = nullptr;   ///< of a target: the memory that it gave
    std::byte* device = nullptr;  ///< where in it the operand lies
    const Held* place = nullptr;  ///< the input whose memory it takes
    bool is_overwritten = false;
    std::vector<std::byte> before;  ///< an input's bytes as they were set
  };

  void take_place(Held& output);
  void move_in(std::byte poison);
  void look_at_guards();
  void place(const Tensor&, const View&);
  Tensor read(const View&);

  const Backend& backend_;
  Target* target_;  ///< null: host memory is the device's
  Memory memory_;
  Bytes device_workspace_;
  std::vector<Held> held_;
  GuardedBuffer workspace_;
  std::vector<std::string> trespasses_;  ///< on a target, of all runs so far
};

}  // namespace scrawl::test
