/// Stands in for cuDNN: keeps what descriptors are given, offers engines of every kind, and runs graphs of
/// convolutions and pointwise functions by plain loops, in host memory.

#include <cudnn.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/reference/tensor.h"
#include "kernels/view.h"
#include "tests/vendor/fake_engines.h"

namespace {

using namespace scrawl;
using reference::Tensor;

std::string last_words;

struct Node {
  cudnnBackendDescriptorType_t type;
  std::map<cudnnBackendAttributeName_t, std::vector<std::byte>> attributes = {};
  bool is_final = false;
  int engine = 0;               ///< of engines, their configurations and plans
  std::int64_t knob = 0;        ///< of configurations and their choices
  const Node* graph = nullptr;  ///< likewise

  template <class T>
  std::vector<T> all(cudnnBackendAttributeName_t name) const {
    const auto found = attributes.find(name);
    if (found == attributes.end()) return {};
    std::vector<T> values(found->second.size() / sizeof(T));
    std::memcpy(values.data(), found->second.data(), found->second.size());
    return values;
  }
  template <class T>
  T one(cudnnBackendAttributeName_t name) const {
    return all<T>(name).at(0);
  }
  const Node& node(cudnnBackendAttributeName_t name) const { return *one<const Node*>(name); }
};

Node* of(cudnnBackendDescriptor_t raw) { return static_cast<Node*>(raw); }

cudnnStatus_t fail(cudnnStatus_t status, std::string words) {
  last_words = std::move(words);
  return status;
}

// --------------------------------------------------------------------------------------------- what is run

/// Memory of tensors, by their numbers.
using Memory = std::map<std::int64_t, Tensor>;

Shape shape_of(const Node& tensor) {
  Shape shape;
  for (const auto extent : tensor.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS))
    shape.dims[static_cast<std::size_t>(shape.rank++)] = extent;
  return shape;
}
std::int64_t id_of(const Node& tensor) { return tensor.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID); }

View view_of(const Node& tensor, void* data) {
  const auto type = tensor.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
  View view = make_view(data,
                        type == CUDNN_DATA_BFLOAT16 ? DType::bf16
                        : type == CUDNN_DATA_HALF   ? DType::f16
                                                    : DType::f32,
                        shape_of(tensor));
  const auto strides = tensor.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
  for (std::size_t i = 0; i < strides.size(); ++i) view.strides[i] = strides[i];
  return view;
}

struct Window {
  std::vector<std::int64_t> stride, dilation, before;
  explicit Window(const Node& n)
      : stride(n.all<std::int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)),
        dilation(n.all<std::int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS)),
        before(n.all<std::int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)) {}
};

/// Calls f(n, k, p, q, c, h, w, c of w, r, s) for each product of a convolution.
template <class F>
void each_product(const Window& v, const Shape& x, const Shape& w, const Shape& y, F&& f) {
  const auto groups = x[1] / w[1];
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t k = 0; k < y[1]; ++k)
      for (std::int64_t p = 0; p < y[2]; ++p)
        for (std::int64_t q = 0; q < y[3]; ++q)
          for (std::int64_t c = 0; c < w[1]; ++c)
            for (std::int64_t r = 0; r < w[2]; ++r)
              for (std::int64_t s = 0; s < w[3]; ++s) {
                const auto row = p * v.stride[0] - v.before[0] + r * v.dilation[0],
                           column = q * v.stride[1] - v.before[1] + s * v.dilation[1];
                if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
                f(n, k, p, q, k / (w[0] / groups) * w[1] + c, row, column, c, r, s);
              }
}

Tensor& result(Memory& memory, const Node& tensor) {
  return memory[id_of(tensor)] = Tensor(shape_of(tensor));
}

const Node& result_of(const Node& op) {
  return op.node(op.type == CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR
                     ? CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC
                 : op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
                     ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y
                 : op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                     ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX
                     : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW);
}

void convolve(const Node& op, Memory& memory) {
  if (op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR) {
    const auto& x = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X)));
    const auto& w = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W)));
    auto& y = result(memory, op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y));
    each_product(Window(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC)), x.shape(), w.shape(),
                 y.shape(),
                 [&](auto n, auto k, auto p, auto q, auto c, auto h, auto v, auto wc, auto r, auto s) {
                   y(n, k, p, q) += x(n, c, h, v) * w(k, wc, r, s);
                 });
  } else if (op.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) {
    const auto& dy = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY)));
    const auto& w = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W)));
    auto& dx = result(memory, op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX));
    each_product(Window(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC)), dx.shape(), w.shape(),
                 dy.shape(),
                 [&](auto n, auto k, auto p, auto q, auto c, auto h, auto v, auto wc, auto r, auto s) {
                   dx(n, c, h, v) += dy(n, k, p, q) * w(k, wc, r, s);
                 });
  } else {
    const auto& x = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X)));
    const auto& dy = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY)));
    auto& dw = result(memory, op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW));
    each_product(Window(op.node(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC)), x.shape(),
                 dw.shape(), dy.shape(),
                 [&](auto n, auto k, auto p, auto q, auto c, auto h, auto v, auto wc, auto r, auto s) {
                   dw(k, wc, r, s) += dy(n, k, p, q) * x(n, c, h, v);
                 });
  }
}

double pointwise(cudnnPointwiseMode_t mode, double x, double b) {
  switch (mode) {
    case CUDNN_POINTWISE_ADD:
      return x + b;
    case CUDNN_POINTWISE_SUB:
      return x - b;
    case CUDNN_POINTWISE_MUL:
      return x * b;
    case CUDNN_POINTWISE_RSQRT:
      return 1 / std::sqrt(x);
    case CUDNN_POINTWISE_RELU_FWD:
      return x > 0 ? x : 0;
    case CUDNN_POINTWISE_TANH_FWD:
      return std::tanh(x);
    case CUDNN_POINTWISE_SIGMOID_FWD:
      return 1 / (1 + std::exp(-x));
    case CUDNN_POINTWISE_IDENTITY:
      return x;
    default:
      return NAN;
  }
}

void apply(const Node& op, Memory& memory) {
  const auto mode = op.node(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR)
                        .one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
  const auto x = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_POINTWISE_XDESC)));
  const bool has_b = op.attributes.contains(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  const auto b = has_b ? memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_POINTWISE_BDESC))) : x;
  auto& y = result(memory, op.node(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
  const auto& shape = y.shape();
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t c = 0; c < shape[1]; ++c)
      for (std::int64_t h = 0; h < shape[2]; ++h)
        for (std::int64_t w = 0; w < shape[3]; ++w) {
          const auto at = [&](const Tensor& t) {  // extents of 1 are broadcast
            const auto& own = t.shape();
            return t(own[0] == 1 ? 0 : n, own[1] == 1 ? 0 : c, own[2] == 1 ? 0 : h, own[3] == 1 ? 0 : w);
          };
          y(n, c, h, w) = pointwise(mode, at(x), at(b));
        }
}

/// Sums over pixels of a channel, and of squares.
void sum(const Node& op, Memory& memory) {
  const auto& x = memory.at(id_of(op.node(CUDNN_ATTR_OPERATION_GENSTATS_XDESC)));
  Tensor sums({1, x.shape()[1], 1, 1}), squares = sums;
  for (std::int64_t n = 0; n < x.shape()[0]; ++n)
    for (std::int64_t c = 0; c < x.shape()[1]; ++c)
      for (std::int64_t h = 0; h < x.shape()[2]; ++h)
        for (std::int64_t w = 0; w < x.shape()[3]; ++w) {
          const double value = x(n, c, h, w);
          sums(0, c, 0, 0) += value;
          squares(0, c, 0, 0) += value * value;
        }
  memory[id_of(op.node(CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC))] = sums;
  memory[id_of(op.node(CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC))] = squares;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return FAKE_CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "FAKE_STATUS"; }
void cudnnGetLastErrorString(char* words, size_t size) { std::strncpy(words, last_words.c_str(), size); }
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (std::getenv("FAKE_CUDNN_NO_GPU")) return fail(CUDNN_STATUS_NOT_INITIALIZED, "fake: no GPU");
  *handle = reinterpret_cast<cudnnHandle_t>(new int(0));
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete reinterpret_cast<int*>(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* made) {
  *made = new Node{type};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t raw) {
  delete of(raw);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  static const std::map<cudnnBackendAttributeType_t, std::size_t> sizes{
      {CUDNN_TYPE_BOOLEAN, sizeof(bool)}, {CUDNN_TYPE_INT64, 8},  {CUDNN_TYPE_FLOAT, 4},
      {CUDNN_TYPE_VOID_PTR, 8},           {CUDNN_TYPE_HANDLE, 8}, {CUDNN_TYPE_BACKEND_DESCRIPTOR, 8}};
  auto& node = *of(raw);
  if (node.is_final) return fail(CUDNN_STATUS_BAD_PARAM, "fake: it is final");
  const auto size = sizes.contains(type) ? sizes.at(type) : sizeof(int);
  const auto* const bytes = static_cast<const std::byte*>(values);
  node.attributes[name].assign(bytes, bytes + static_cast<std::size_t>(count) * size);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t raw) {
  auto& node = *of(raw);
  if (node.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    const auto& config = node.node(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    node.engine = config.engine;
    node.graph = config.graph;
    if (fake::engines[node.engine].plan == fake::Plan::not_made)
      return fail(CUDNN_STATUS_NOT_SUPPORTED, "fake: this engine makes no plan");
  }
  node.is_final = true;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t asked, int64_t* count,
                                       void* values) {
  const auto& node = *of(raw);
  const auto& engine = fake::engines[node.engine];
  if (!node.is_final && node.graph == nullptr)
    return fail(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "fake: it is not final");
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
      // A names every engine; B the plain one, twice: as A does, and with another knob.
      const auto mode = node.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE);
      *count = mode == CUDNN_HEUR_MODE_A ? std::ssize(fake::engines) : mode == CUDNN_HEUR_MODE_B ? 2 : 0;
      for (int i = 0; i < static_cast<int>(std::min(asked, *count)); ++i) {
        auto& config = *of(static_cast<cudnnBackendDescriptor_t*>(values)[i]);
        config.engine = mode == CUDNN_HEUR_MODE_A ? i : fake::plain;
        config.knob = mode == CUDNN_HEUR_MODE_A ? 0 : i;
        config.graph = &node.node(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
      }
      break;
    }
    case CUDNN_ATTR_ENGINECFG_ENGINE: {
      auto& made = *of(*static_cast<cudnnBackendDescriptor_t*>(values));
      made.engine = node.engine;
      made.graph = node.graph;
      *count = 1;
      break;
    }
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:                      // of engine 7, one; named by both heuristics
      *count = node.engine == fake::plain && asked > 0 ? 1 : 0;  // as cuDNN: nobody is told how many
      for (int i = 0; i < static_cast<int>(std::min(asked, *count)); ++i) {
        auto& choice = *of(static_cast<cudnnBackendDescriptor_t*>(values)[i]);
        choice.engine = node.engine;
        choice.knob = node.knob;
        choice.is_final = true;
      }
      break;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
      *static_cast<cudnnBackendKnobType_t*>(values) = CUDNN_KNOB_TYPE_TILE_SIZE;
      *count = 1;
      break;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
      *static_cast<std::int64_t*>(values) = node.knob;
      *count = 1;
      break;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      *static_cast<std::int64_t*>(values) = node.engine;
      *count = 1;
      break;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
      *count = engine.has_note ? 1 : 0;
      if (engine.has_note)
        *static_cast<cudnnBackendNumericalNote_t*>(values) =
            static_cast<cudnnBackendNumericalNote_t>(engine.note);
      break;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      *static_cast<std::int64_t*>(values) = engine.workspace;
      *count = 1;
      break;
    default:
      return fail(CUDNN_STATUS_BAD_PARAM, "fake: an attribute that nobody asks for");
  }
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  const auto ids = of(pack)->all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto data = of(pack)->all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  const auto& engine = fake::engines[of(plan)->engine];
  if (engine.run == fake::Run::fails) return fail(CUDNN_STATUS_EXECUTION_FAILED, "fake: this engine fails");
  if (engine.workspace > 0 && !of(pack)->one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE))
    return fail(CUDNN_STATUS_BAD_PARAM, "fake: no workspace");
  std::map<std::int64_t, const Node*> tensors;
  const auto operations = of(plan)->graph->all<const Node*>(CUDNN_ATTR_OPERATIONGRAPH_OPS);
  for (const auto* const op : operations)
    for (const auto& [name, bytes] : op->attributes) {
      if (bytes.size() != sizeof(void*)) continue;
      const auto* const node = op->one<const Node*>(name);
      if (node->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) tensors[id_of(*node)] = node;
    }
  Memory memory;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!tensors.contains(ids[i])) return fail(CUDNN_STATUS_BAD_PARAM, "fake: an operand of no operation");
    memory[ids[i]] = Tensor(view_of(*tensors[ids[i]], data[i]));
  }
  for (const auto* const op : operations)
    op->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR   ? apply(*op, memory)
    : op->type == CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR ? sum(*op, memory)
                                                               : convolve(*op, memory);
  if (engine.run == fake::Run::wrong) {
    const auto& last = operations.back()->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR
                           ? operations.back()->node(CUDNN_ATTR_OPERATION_POINTWISE_YDESC)
                           : result_of(*operations.back());
    for (double& value : memory[id_of(last)].values()) value = -value;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) memory[ids[i]].store(view_of(*tensors[ids[i]], data[i]));
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
