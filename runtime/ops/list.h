#pragma once
/// Every operator. Tests, gradient checks and benchmarks walk this list; a graph's nodes hold one of it.

#include <variant>

#include "runtime/ops/activation.h"
#include "runtime/ops/batch_norm.h"
#include "runtime/ops/batch_norm_pool.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/conv2d_pool.h"
#include "runtime/ops/dense.h"
#include "runtime/ops/dropout.h"
#include "runtime/ops/loss.h"
#include "runtime/ops/lstm.h"
#include "runtime/ops/matmul.h"
#include "runtime/ops/pool.h"
#include "runtime/ops/reshape.h"
#include "runtime/ops/softmax.h"

namespace scrawl {

template <Operator... Ops>
using OperatorList = std::variant<Ops...>;

using Operation = OperatorList<ops::Activate, ops::BatchNorm, ops::BatchNormPool, ops::Cast, ops::Conv2d,
                               ops::Conv2dPool, ops::CrossEntropyLoss, ops::Ctc, ops::Dense, ops::Drop,
                               ops::FlattenImage, ops::FoldNorm, ops::Lstm, ops::MatMul, ops::Mean, ops::Pool,
                               ops::ScaleWidths, ops::Softmax, ops::Sum, ops::ToSequence>;

}  // namespace scrawl
