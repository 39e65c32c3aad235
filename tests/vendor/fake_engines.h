#pragma once
/// The engines that the fake cuDNN offers, in its order of preference.

#include <cstdint>

namespace scrawl::fake {

enum class Plan : bool { made, not_made };
enum class Run : std::uint8_t { right, wrong, fails };

struct Engine {
  bool has_note;
  int note;  ///< a cudnnBackendNumericalNote_t
  std::int64_t workspace;
  Plan plan;
  Run run = Run::right;
};

enum Number {
  changing_bits,
  winograd,
  fft,
  narrowing,
  huge_workspace,
  no_plan,
  tensor_cores,
  plain,
  erring,
  failing
};

inline constexpr Engine engines[] = {
    {true, 4, 0, Plan::made},  // CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
    {true, 5, 0, Plan::made},  // CUDNN_NUMERICAL_NOTE_WINOGRAD
    {true, 3, 0, Plan::made},  // CUDNN_NUMERICAL_NOTE_FFT
    {true, 1, 0, Plan::made},  // CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS
    {false, 0, std::int64_t{1} << 40, Plan::made},
    {false, 0, 0, Plan::not_made},
    {true, 0, 4096, Plan::made},  // CUDNN_NUMERICAL_NOTE_TENSOR_CORE
    {false, 0, 64, Plan::made},
    {false, 0, 0, Plan::made, Run::wrong},
    {false, 0, 0, Plan::made, Run::fails},
};

}  // namespace scrawl::fake
