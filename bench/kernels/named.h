#pragma once
/// Calls and their names, both ways: a name makes the call, and what a network asks for has a name. The
/// extents of a name are those of the field, and of bench/peers/cases.py, which makes the same work of
/// PyTorch by it.

#include <map>
#include <optional>

#include "bench/kernels/name.h"
#include "bench/kernels/problems.h"
#include "kernels/backend.h"

namespace scrawl::bench {

/// Makes the problem of a name; throws UsageError for words that it lacks, ShapeError for those that do not
/// fit.
using Maker = Problem (*)(const Name&);

/// By operation. Together they are all that there is.
const std::map<std::string, Maker>& image_makers();        ///< convolutions, batch norm, pooling
const std::map<std::string, Maker>& matrix_makers();       ///< dense, products, softmax, losses
const std::map<std::string, Maker>& sequence_makers();     ///< LSTM, CTC
const std::map<std::string, Maker>& elementwise_makers();  ///< copies, activations, dropout, optimisers

/// The name of a call that a network asks for, whose operands have shapes but no data. Calls on samples of
/// unequal widths, and those with operands that no name has a word for, are named without them.
Name name_of(const Conv2dForward&, const Numbers&);
Name name_of(const Conv2dPoolForward&, const Numbers&);
Name name_of(const Conv2dMomentsForward&, const Numbers&);
Name name_of(const Conv2dBackwardData&, const Numbers&);
Name name_of(const Conv2dBackwardWeight&, const Numbers&);
Name name_of(const BatchNormForward&, const Numbers&);
Name name_of(const BatchNormBackward&, const Numbers&);
Name name_of(const BatchNormPoolForward&, const Numbers&);
Name name_of(const BatchNormPoolApply&, const Numbers&);
Name name_of(const BatchNormPoolBackward&, const Numbers&);
Name name_of(const PoolForward&, const Numbers&);
Name name_of(const PoolBackward&, const Numbers&);
Name name_of(const Gemm&, const Numbers&);
Name name_of(const DenseForward&, const Numbers&);
Name name_of(const DenseBackwardData&, const Numbers&);
Name name_of(const DenseBackwardWeight&, const Numbers&);
Name name_of(const SoftmaxForward&, const Numbers&);
Name name_of(const SoftmaxBackward&, const Numbers&);
Name name_of(const CrossEntropy&, const Numbers&);
Name name_of(const LstmForward&, const Numbers&);
Name name_of(const LstmBackward&, const Numbers&);
Name name_of(const CtcLoss&, const Numbers&);
Name name_of(const ActivationForward&, const Numbers&);
Name name_of(const ActivationBackward&, const Numbers&);
Name name_of(const Copy&, const Numbers&);
Name name_of(const Add&, const Numbers&);
Name name_of(const Dropout&, const Numbers&);
Name name_of(const ImageToSequence&, const Numbers&);
Name name_of(const SequenceToImage&, const Numbers&);
Name name_of(const Flatten&, const Numbers&);
Name name_of(const Unflatten&, const Numbers&);
Name name_of(const ScaleRows&, const Numbers&);
Name name_of(const GradientNorm&, const Numbers&);
Name name_of(const OptimizerStep&, const Numbers&);

/// Of calls without products, which tf32 changes nothing of.
inline std::string plain_type(const Numbers& numbers) {
  return numbers.name == "tf32" ? "f32" : numbers.name;
}

}  // namespace scrawl::bench
