/// Copies and rearrangements. Every rearrangement here is a copy into other strides: a sequence (T,N,C H) is
/// an image whose width is the outermost axis, a flattened image is a row-major one.

#include "kernels/check.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/copy_vectors.h"
#include "kernels/cpu/dense.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/planners.h"

namespace scrawl::cpu {

namespace {

bool is_dense(const View& view) { return view.layout || elements_of(view) == view.shape.count(); }

bool is_padded(const View& view) { return elements_of(view) != view.shape.count(); }

Affine affine(const Copy& call) { return {call.scale, call.offset}; }

Plan<Copy> plan_elementwise(Copy& call, const Selection& selection) {
  if (!equally_placed(call.x, call.y))
    throw Refused("needs one placement, got {} and {}", placement_of(call.x), placement_of(call.y));
  if (!is_dense(call.x)) throw Refused("needs a placement without holes");
  if (call.offset != 0 && is_padded(call.x)) throw Refused("needs offset 0 where padding is to stay zero");
  return {.run = [threads = selection.threads](const Copy& c, Bytes, Stream) {
    convert(c.x, c.y, threads, affine(c));
  }};
}

/// What a reorder primitive takes for values that only move: a type of the same size.
dnnl::memory::desc movable(View view) {
  if (view.type == DType::f16) view.type = DType::bf16;
  return descriptor(view);
}

/// A layout may see grouped weights (K,C/G,R,S) as (G,K/G,C/G,R,S).
void match_axes(dnnl::memory::desc& x, dnnl::memory::desc& y) {
  if (x.data.ndims < y.data.ndims) x = x.reshape(y.dims());
  if (y.data.ndims < x.data.ndims) y = y.reshape(x.dims());
}

/// Moves values, of one type, from one placement to another.
std::shared_ptr<Primitive> reorder(const View& x, const View& y, int threads) {
  auto from = movable(x), to = movable(y);
  const auto description = describe_primitive(threads, [&] {
    match_axes(from, to);
    return dnnl::reorder::primitive_desc(engine(), from, engine(), to, attributes());
  });
  return make_primitive<dnnl::reorder>(description, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, threads);
}

Plan<Copy> plan_reorder(Copy& call, const Selection& selection) {
  if (call.x.type != call.y.type || !affine(call).is_identity())
    throw Refused("needs one type and no scale, got {} and {}", name_of(call.x.type), name_of(call.y.type));
  const auto primitive = reorder(call.x, call.y, selection.threads);
  return {.workspace_bytes = primitive->workspace_bytes(),
          .run = [primitive](const Copy& c, Bytes workspace, Stream) {
            primitive->run({c.x.data, c.y.data}, workspace);
          }};
}

/// Converts where x lies, then moves.
Plan<Copy> plan_convert_and_reorder(Copy& call, const Selection& selection) {
  if (!is_dense(call.x)) throw Refused("needs x without holes");
  View converted = call.x;
  converted.type = call.y.type;
  const auto primitive = reorder(converted, call.y, selection.threads);
  Workspace need;
  need.take<std::byte>(static_cast<std::int64_t>(bytes_of(converted)));
  return {
      .workspace_bytes = need.bytes() + primitive->workspace_bytes(),
      .run = [=, offset = need.bytes(), threads = selection.threads](const Copy& c, Bytes workspace, Stream) {
        View between = converted;
        between.data = workspace.data();
        convert(c.x, between, threads, affine(c));
        primitive->run({between.data, c.y.data}, workspace.subspan(offset));
      }};
}

/// Where the i-th element in row-major order lies. A layout may have axes of its own for the same elements.
std::byte* element(const View& view, std::int64_t i) {
  std::array<std::int64_t, max_rank> at{};
  const auto* const desc = view.layout ? &view.layout->desc.data : nullptr;
  const int rank = desc ? desc->ndims : view.shape.rank;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const auto extent = desc ? desc->dims[axis] : view.shape[axis];
    at[static_cast<std::size_t>(axis)] = i % extent;
    i /= extent;
  }
  const auto offset =
      offset_of(view, std::span<const std::int64_t>(at.data(), static_cast<std::size_t>(rank)));
  return view.as<std::byte>() + offset * static_cast<std::int64_t>(size_of(view.type));
}

/// Element by element: slow, and takes everything that has elements.
Plan<Copy> plan_loops(Copy&, const Selection&) {
  return {.run = [](const Copy& c, Bytes, Stream) {
    if (c.y.layout) std::memset(c.y.data, 0, bytes_of(c.y));  // the padding
    for (std::int64_t i = 0; i < c.x.shape.count(); ++i) {
      const View one{.shape = {1}, .strides = {1}};
      View from = one, to = one;
      from.type = c.x.type;
      to.type = c.y.type;
      from.data = element(c.x, i);
      to.data = element(c.y, i);
      convert(from, to, 1, affine(c));
    }
  }};
}

constexpr Variant<Copy> copy_variants[] = {
    {"elementwise", Origin::native, plan_elementwise},
    {"channel_vectors", Origin::native, plan_copy_vectors},
    {"onednn_reorder", Origin::vendor, plan_reorder},
    {"onednn_reorder_converted", Origin::vendor, plan_convert_and_reorder},
    {"loops", Origin::native, plan_loops},
};

/// The image whose elements lie where those of the sequence (T,N,C H) lie.
View as_image(const View& sequence, const Shape& image) {
  const auto n = image[0], c = image[1], h = image[2];
  View view{.data = sequence.data, .type = sequence.type, .shape = image};
  view.strides = {c * h, h, 1, n * c * h};
  return view;
}

/// The row-major image whose elements lie where those of the matrix (N, C H W) lie.
View unflattened(const View& matrix, const Shape& image) {
  return make_view(matrix.data, matrix.type, image, Order::row_major);
}

/// Asks for channel blocks, which the kernels that read the image are fastest with, where no lane is padding.
void prefer_channel_blocks(View& image) {
  if (image.shape[1] % channel_lanes == 0) place_in_channel_blocks(image);
}

/// A call that is a copy of images in disguise: `as_copy` takes the disguise off.
template <class Call, class AsCopy>
Plan<Call> plan_as_copy(std::string_view operation, Call& call, const Selection& selection, AsCopy as_copy) {
  Copy inner = as_copy(call);
  auto plan = first_variant<Copy>(operation, copy_variants, inner, selection);
  return {.variant = plan.variant,
          .workspace_bytes = plan.workspace_bytes,
          .run = [run = plan.run, as_copy](const Call& c, Bytes workspace,
                                           Stream stream) { run(as_copy(c), workspace, stream); },
          .refused = plan.refused};
}

}  // namespace

Plan<Copy> copy(Copy& call, const Selection& selection) {
  check(call);
  return first_variant<Copy>("copy", copy_variants, call, selection);
}

Plan<ImageToSequence> image_to_sequence(ImageToSequence& call, const Selection& selection) {
  check(call);
  make_plain(call.y, Order::row_major);
  return plan_as_copy("image_to_sequence", call, selection,
                      [](const ImageToSequence& c) { return Copy{.x = c.x, .y = as_image(c.y, c.x.shape)}; });
}

Plan<SequenceToImage> sequence_to_image(SequenceToImage& call, const Selection& selection) {
  check(call);
  make_plain(call.x, Order::row_major);
  prefer_channel_blocks(call.y);
  return plan_as_copy("sequence_to_image", call, selection,
                      [](const SequenceToImage& c) { return Copy{.x = as_image(c.x, c.y.shape), .y = c.y}; });
}

Plan<Flatten> flatten(Flatten& call, const Selection& selection) {
  check(call);
  make_plain(call.y, Order::row_major);
  return plan_as_copy("flatten", call, selection,
                      [](const Flatten& c) { return Copy{.x = c.x, .y = unflattened(c.y, c.x.shape)}; });
}

Plan<Unflatten> unflatten(Unflatten& call, const Selection& selection) {
  check(call);
  make_plain(call.x, Order::row_major);
  prefer_channel_blocks(call.y);
  return plan_as_copy("unflatten", call, selection,
                      [](const Unflatten& c) { return Copy{.x = unflattened(c.x, c.y.shape), .y = c.y}; });
}

}  // namespace scrawl::cpu
