/// Matrix products by our own tiles (gemm_tile.h). B is packed into panels of 64 columns, in parts that stay
/// in L1, by the thread that multiplies with them; rows of A are read where they lie, if they lie as products
/// need them, and are packed first otherwise. Nothing is allocated while they run, where oneDNN's gemm takes
/// its buffers from malloc.

#include <optional>

#include "kernels/cpu/dense.h"
#include "kernels/cpu/gemm_tile.h"
#include "kernels/cpu/gemm_variants.h"
#include "kernels/cpu/nonlinear.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/transpose.h"

namespace scrawl::cpu {

namespace {

constexpr std::int64_t block_rows =
    36 * tile_rows;  ///< whose sums are held until all of K is in them: 64 KiB

/// (M, K) (K, N)
struct Extents {
  std::int64_t rows, depth, columns;

  std::int64_t panels() const { return (columns + tile_columns - 1) / tile_columns; }
};

/// A matrix of T in memory, as written or transposed.
template <class T>
struct Matrix {
  const T* data;
  std::int64_t row_length;  ///< in memory
  Transpose transposed;

  const T* at(std::int64_t row, std::int64_t column) const { return data + row * row_length + column; }
};

int lanes_from(std::int64_t at, std::int64_t end) {
  return static_cast<int>(std::clamp<std::int64_t>(end - at, 0, lanes));
}

/// One product. Made without a workspace it only counts bytes.
template <class T, class Element>
class Product {
 public:
  using Value = typename Operand<Element>::Value;
  static constexpr std::int64_t values = Operand<Element>::values;

  /// `panels` are those of B, if they are packed already; null while planning.
  Product(const Extents& extents, const Matrix<T>& a, const Matrix<T>& b,
          std::optional<const Element*> panels, int threads, Workspace& workspace)
      : extents_(extents), a_(a), b_(b), panels_(panels), threads_(threads) {
    const bool ready =
        std::is_same_v<T, Value> && a.transposed == Transpose::no && extents.depth % values == 0;
    if (!ready) packed_a_ = workspace.take<Value>(extents.rows * padded_depth());
    needs_a_ = !ready;
    part_ = workspace.take<Element>(panels ? 0 : threads * part_elements);
    sums_ = workspace.take<float>(threads * sums_elements);
  }

  /// init(panel) gives the 64 sums to begin with; store(row, column, sums, count) takes up to 16.
  template <class Init, class Store>
  void run(Init init, Store store) {
    if (needs_a_) pack_a();
    // Whole panels for each thread where they come out even, else parts of them.
    auto blocks = (extents_.rows + block_rows - 1) / block_rows;
    if (extents_.panels() % threads_ != 0) blocks = (blocks + threads_ - 1) / threads_ * threads_;
    const auto items = extents_.panels() * blocks;
    parallel_for(threads_, threads_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto thread = begin; thread < end; ++thread)
        for (auto item = items * thread / threads_; item < items * (thread + 1) / threads_; ++item) {
          const auto panel = item / blocks, block = item % blocks;
          const auto first = extents_.rows * block / blocks, last = extents_.rows * (block + 1) / blocks;
          const Scratch scratch{part_ + thread * part_elements, sums_ + thread * sums_elements};
          multiply(panel, first, last - first, init(panel), scratch);
          for (auto row = first; row < last; ++row)
            for (std::int64_t c = 0; c < tile_columns; c += lanes) {
              const auto column = panel * tile_columns + c;
              const int count = lanes_from(column, extents_.columns);
              if (count > 0) store(row, column, load(scratch.sums + (row - first) * tile_columns + c), count);
            }
        }
    });
  }

 private:
  std::int64_t depth() const { return elements_for<Element>(extents_.depth); }
  std::int64_t padded_depth() const { return depth() * values; }

  static constexpr std::int64_t part_elements = panel_depth * tile_columns;
  static constexpr std::int64_t sums_elements = block_rows * tile_columns;

  /// A thread's own.
  struct Scratch {
    Element* part;  ///< of a panel, which stays in L1
    float* sums;
  };

  void multiply(std::int64_t panel, std::int64_t first, std::int64_t rows, const float* init,
                const Scratch& scratch) {
    if (rows == 0) return;
    if (panels_)
      return add(first, rows, 0, depth(), *panels_ + panel * depth() * tile_columns, init, 0, scratch);
    for (std::int64_t k = 0; k < depth(); k += panel_depth) {
      const auto count = std::min(panel_depth, depth() - k);
      pack_panel(panel * tile_columns, k * values, std::min(extents_.depth, (k + count) * values),
                 scratch.part);
      if (k == 0)
        add(first, rows, k, count, scratch.part, init, 0, scratch);
      else
        add(first, rows, k, count, scratch.part, scratch.sums, tile_columns, scratch);
    }
  }

  /// Adds the products of `count` elements from the k-th on.
  void add(std::int64_t first, std::int64_t rows, std::int64_t k, std::int64_t count, const Element* panel,
           const float* init, std::ptrdiff_t init_stride, const Scratch& scratch) {
    multiply_panel<Element>({.rows = rows,
                             .runs = {1, count, 0},
                             .panel = panel,
                             .init = init,
                             .init_stride = init_stride,
                             .out = scratch.sums,
                             .next = panels_ ? nullptr : panel},
                            [&](std::int64_t i) -> const Element* {
                              if constexpr (std::is_same_v<T, Value>)
                                if (!needs_a_) return elements<Element>(a_.at(first + i, 0)) + k;
                              return elements<Element>(packed_a_ + (first + i) * padded_depth()) + k;
                            });
  }

  void pack_a() {
    const auto pack = a_.transposed == Transpose::yes ? &Product::pack_transposed_rows : &Product::pack_rows;
    parallel_for(threads_, extents_.rows, lanes,
                 [&](std::int64_t begin, std::int64_t end) { (this->*pack)(begin, end); });
  }

  void pack_rows(std::int64_t begin, std::int64_t end) {
    for (auto row = begin; row < end; ++row)
      for (std::int64_t k = 0; k < extents_.depth; k += lanes)
        store(packed_a_ + row * padded_depth() + k, load(a_.at(row, k), lanes_from(k, extents_.depth)),
              lanes_from(k, padded_depth()));
  }

  /// Memory is (K, M).
  void pack_transposed_rows(std::int64_t begin, std::int64_t end) {
    for (auto row = begin; row < end; row += lanes) {
      const int rows = lanes_from(row, end);
      for (std::int64_t k = 0; k < extents_.depth; k += lanes) {
        f32x16 square[lanes] = {};
        for (int i = 0; i < lanes_from(k, extents_.depth); ++i) square[i] = load(a_.at(k + i, row), rows);
        transpose(square);
        for (int i = 0; i < rows; ++i)
          store(packed_a_ + (row + i) * padded_depth() + k, square[i], lanes_from(k, padded_depth()));
      }
    }
  }

  /// Rows [begin, end) of 64 columns of B, as elements; zero in padding.
  void pack_panel(std::int64_t column, std::int64_t begin, std::int64_t end, Element* to) const {
    if (b_.transposed == Transpose::yes) return pack_transposed_panel(column, begin, end, to);
    for (auto k = begin; k < end; k += values, to += tile_columns)
      for (std::int64_t c = 0; c < tile_columns; c += lanes) {
        const int count = lanes_from(column + c, extents_.columns);
        const auto row = [&](std::int64_t i) {
          return i < end ? load(b_.at(i, column + c), count) : f32x16{};
        };
        store_bits(to + c, Operand<Element>::joined(row(k), values > 1 ? row(k + 1) : f32x16{}));
      }
  }

  /// Memory is (N, K).
  void pack_transposed_panel(std::int64_t column, std::int64_t begin, std::int64_t end, Element* to) const {
    for (std::int64_t c = 0; c < tile_columns; c += lanes)
      pack_columns(b_.at(column + c, begin), b_.row_length, lanes_from(column + c, extents_.columns),
                   end - begin, to + c);
  }

  Extents extents_;
  Matrix<T> a_, b_;
  std::optional<const Element*> panels_;
  int threads_;
  bool needs_a_;
  Value* packed_a_ = nullptr;
  Element* part_ = nullptr;  ///< of all threads, like the sums
  float* sums_ = nullptr;
};

/// Rows and columns of a tensor whose leading axes are rows.
std::int64_t columns_of(const View& view) { return view.shape[view.shape.rank - 1]; }
std::int64_t rows_of(const View& view) { return view.shape.count() / columns_of(view); }

template <class T>
Matrix<T> matrix(const View& view, Transpose transposed = Transpose::no) {
  return {view.as<T>(), columns_of(view), transposed};
}

void require_elements(const Extents& e) {
  if (e.rows == 0 || e.depth == 0 || e.columns == 0)
    throw Refused("needs elements, got M = {}, K = {}, N = {}", e.rows, e.depth, e.columns);
}

template <class Y>
auto store_to(const View& y, std::int64_t columns) {
  return [to = y.as<Y>(), columns](std::int64_t row, std::int64_t column, f32x16 sums, int count) {
    store(to + row * columns + column, sums, count);
  };
}

const float* from_zero(std::int64_t) { return zero_row; }

enum class Pass : std::uint8_t { count, run };

/// Plans a call: `run`<T, Element>(call, workspace, pass) makes its Product, which counts what it needs of
/// the workspace, and runs it in the pass for that.
template <class Call, class Run>
Plan<Call> plan_product(const Call& call, DType type, Products products, Run run) {
  Workspace need;
  dispatch_products(type, products, [&]<class T, class Element>() {
    run.template operator()<T, Element>(call, need, Pass::count);
  });
  return {.workspace_bytes = need.bytes(), .run = [=](const Call& c, Bytes bytes, Stream) {
            Workspace workspace(bytes);
            dispatch_products(type, products, [&]<class T, class Element>() {
              run.template operator()<T, Element>(c, workspace, Pass::run);
            });
          }};
}

/// Calls f.template operator()<Y>() with what results are stored as: the operands' type, or f32.
template <class T, class F>
void dispatch_result(DType result, F&& f) {
  if (result == DType::f32) return f.template operator()<float>();
  f.template operator()<T>();
}

// ---------------------------------------------------------------------------------------------- the calls

Plan<Gemm> plan_gemm(Gemm& call, int threads, Products products) {
  for (View* view : {&call.a, &call.b, &call.y}) make_plain(*view, Order::row_major);
  const Extents e{call.y.shape[0], call.transpose_a == Transpose::yes ? call.a.shape[0] : call.a.shape[1],
                  call.y.shape[1]};
  require_elements(e);
  return plan_product(
      call, call.a.type, products,
      [=]<class T, class Element>(const Gemm& c, Workspace& workspace, Pass pass) {
        Product<T, Element> product(e, matrix<T>(c.a, c.transpose_a), matrix<T>(c.b, c.transpose_b),
                                    std::nullopt, threads, workspace);
        if (pass == Pass::count) return;
        dispatch_result<T>(c.y.type, [&]<class Y>() { product.run(from_zero, store_to<Y>(c.y, e.columns)); });
      });
}

/// Asks for the panels of w (O,I) as B: (panels, I, 64).
template <class Element>
void place_as_panels(View& w) {
  constexpr std::int64_t values = Operand<Element>::values;
  const auto row = tile_columns * values, depth = elements_for<Element>(w.shape[1]);
  // Plain (O,I), whose blocking is then rewritten: oneDNN has no tag for it.
  dnnl::memory::desc desc({w.shape[0], w.shape[1]}, onednn_type(w.type), dnnl::memory::format_tag::ab);
  desc.data.padded_dims[0] = (w.shape[0] + tile_columns - 1) / tile_columns * tile_columns;
  desc.data.padded_dims[1] = depth * values;
  auto& blocking = desc.data.format_desc.blocking;
  blocking.inner_nblks = values > 1 ? 2 : 1;
  blocking.inner_idxs[0] = 0;
  blocking.inner_blks[0] = tile_columns;
  blocking.inner_idxs[1] = 1;
  blocking.inner_blks[1] = values;
  blocking.strides[0] = depth * row;
  blocking.strides[1] = row;
  place(w, desc);
}

Plan<DenseForward> plan_forward(DenseForward& call, int threads, Products products) {
  for (View* view : {&call.x, &call.w, &call.y}) make_plain(*view, Order::row_major);
  const Extents e{call.y.shape.count() / std::max<std::int64_t>(call.w.shape[0], 1), call.w.shape[1],
                  call.w.shape[0]};
  require_elements(e);
  if (call.phase == KernelPhase::inference)  // weights that do not change: packed once, by the caller
    dispatch_products(call.w.type, products, [&]<class T, class Element>() {
      if constexpr (std::is_same_v<T, typename Operand<Element>::Value>) place_as_panels<Element>(call.w);
    });
  return plan_product(
      call, call.x.type, products,
      [=]<class T, class Element>(const DenseForward& c, Workspace& workspace, Pass pass) {
        float* const bias = workspace.take<float>(e.panels() * tile_columns);
        Product<T, Element> product(e, matrix<T>(c.x), matrix<T>(c.w, Transpose::yes),
                                    c.w.layout ? std::optional(c.w.as<const Element>()) : std::nullopt,
                                    threads, workspace);
        if (pass == Pass::count) return;
        for (std::int64_t i = 0; i < e.panels() * tile_columns; i += lanes)
          store(bias + i,
                c.b.present() ? load(c.b.as<const float>() + i, lanes_from(i, e.columns)) : f32x16{});
        dispatch_result<T>(c.y.type, [&]<class Y>() {
          dispatch_kind(c.activation, [&]<Activation kActivation>() {
            const auto store_y = store_to<Y>(c.y, e.columns);
            product.run([&](std::int64_t panel) { return bias + panel * tile_columns; },
                        [&](std::int64_t row, std::int64_t column, f32x16 sums, int count) {
                          store_y(row, column, activated<kActivation>(sums), count);
                        });
          });
        });
      });
}

Plan<DenseBackwardData> plan_backward_data(DenseBackwardData& call, int threads, Products products) {
  for (View* view : {&call.dy, &call.w, &call.dx}) make_plain(*view, Order::row_major);
  const Extents e{call.dx.shape.count() / std::max<std::int64_t>(call.w.shape[1], 1), call.w.shape[0],
                  call.w.shape[1]};
  require_elements(e);
  return plan_product(
      call, call.dy.type, products,
      [=]<class T, class Element>(const DenseBackwardData& c, Workspace& workspace, Pass pass) {
        Product<T, Element> product(e, matrix<T>(c.dy), matrix<T>(c.w), std::nullopt, threads, workspace);
        if (pass == Pass::count) return;
        dispatch_result<T>(c.dx.type,
                           [&]<class Y>() { product.run(from_zero, store_to<Y>(c.dx, e.columns)); });
      });
}

/// db (O) = sum over rows of dy.
template <class T>
void sum_rows(const View& dy, const View& db, int threads) {
  const auto columns = columns_of(dy), rows = rows_of(dy);
  parallel_for(threads, columns, lanes, [&](std::int64_t begin, std::int64_t end) {
    for (auto column = begin; column < end; column += lanes) {
      const int count = lanes_from(column, end);
      f32x16 sum{};
      for (std::int64_t row = 0; row < rows; ++row) sum += load(dy.as<T>() + row * columns + column, count);
      store(db.as<float>() + column, sum, count);
    }
  });
}

Plan<DenseBackwardWeight> plan_backward_weight(DenseBackwardWeight& call, int threads, Products products) {
  for (View* view : {&call.x, &call.dy, &call.dw}) make_plain(*view, Order::row_major);
  const Extents e{call.dw.shape[0], call.x.shape.count() / std::max<std::int64_t>(call.dw.shape[1], 1),
                  call.dw.shape[1]};
  require_elements(e);
  return plan_product(
      call, call.x.type, products,
      [=]<class T, class Element>(const DenseBackwardWeight& c, Workspace& workspace, Pass pass) {
        Product<T, Element> product(e, matrix<T>(c.dy, Transpose::yes), matrix<T>(c.x), std::nullopt, threads,
                                    workspace);
        if (pass == Pass::count) return;
        product.run(from_zero, store_to<float>(c.dw, e.columns));
        if (c.db.present()) sum_rows<T>(c.dy, c.db, threads);
      });
}

/// A call in pairs of bf16.
template <class Call, View Call::*operand, Plan<Call> (*plan)(Call&, int, Products)>
Plan<Call> in_pairs(Call& call, const Selection& selection) {
  require_bf16_pairs((call.*operand).type);
  return plan(call, selection.threads, Products::bf16_pairs);
}

/// A call in f32.
template <class Call, Plan<Call> (*plan)(Call&, int, Products)>
Plan<Call> in_f32(Call& call, const Selection& selection) {
  return plan(call, selection.threads, Products::f32);
}

}  // namespace

Plan<Gemm> gemm_pairs(Gemm& call, const Selection& selection) {
  return in_pairs<Gemm, &Gemm::a, plan_gemm>(call, selection);
}
Plan<Gemm> gemm_tiles(Gemm& call, const Selection& selection) {
  return in_f32<Gemm, plan_gemm>(call, selection);
}

Plan<DenseForward> dense_forward_pairs(DenseForward& call, const Selection& selection) {
  return in_pairs<DenseForward, &DenseForward::x, plan_forward>(call, selection);
}
Plan<DenseForward> dense_forward_tiles(DenseForward& call, const Selection& selection) {
  return in_f32<DenseForward, plan_forward>(call, selection);
}

Plan<DenseBackwardData> dense_backward_data_pairs(DenseBackwardData& call, const Selection& selection) {
  return in_pairs<DenseBackwardData, &DenseBackwardData::dy, plan_backward_data>(call, selection);
}
Plan<DenseBackwardData> dense_backward_data_tiles(DenseBackwardData& call, const Selection& selection) {
  return in_f32<DenseBackwardData, plan_backward_data>(call, selection);
}

Plan<DenseBackwardWeight> dense_backward_weight_pairs(DenseBackwardWeight& call, const Selection& selection) {
  return in_pairs<DenseBackwardWeight, &DenseBackwardWeight::x, plan_backward_weight>(call, selection);
}
Plan<DenseBackwardWeight> dense_backward_weight_tiles(DenseBackwardWeight& call, const Selection& selection) {
  return in_f32<DenseBackwardWeight, plan_backward_weight>(call, selection);
}

}  // namespace scrawl::cpu
