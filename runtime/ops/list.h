#pragma once
/// Every operator: a graph's nodes hold one of these, and what visits nodes is compiled for each.

#include <variant>

#include "runtime/ops/activation.h"
#include "runtime/ops/batch_norm.h"
#include "runtime/ops/batch_norm_pool.h"
#include "runtime/ops/conv2d.h"
#include "runtime/ops/conv2d_batch_norm_pool.h"
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

using Operation =
    std::variant<ops::Activate, ops::BatchNorm, ops::BatchNormPool, ops::Cast, ops::Conv2d,
                 ops::Conv2dBatchNormPool, ops::Conv2dPool, ops::CrossEntropyLoss, ops::Ctc, ops::Dense,
                 ops::Drop, ops::FlattenImage, ops::FoldNorm, ops::Lstm, ops::MatMul, ops::Mean, ops::Pool,
                 ops::ScaleWidths, ops::Softmax, ops::Sum, ops::ToSequence>;

/// Here the compiler's message names the operator that lacks something, and what.
template <Operator Op>
consteval bool is_operator() {
  return true;
}
static_assert([]<class... Ops>(std::variant<Ops...>*) {
  return (is_operator<Ops>() && ...);
}(static_cast<Operation*>(nullptr)));

}  // namespace scrawl
