#include <cstring>

#include "bench/kernels/cudnn.h"
#include "kernels/cuda/vendor/rnn.h"

namespace scrawl::bench {

namespace {

using cuda::Rnn;

enum class Pass : std::uint8_t { forward, backward };

/// A layer of cuDNN in its own memory.
class CudnnLstm final : public Work {
 public:
  CudnnLstm(Device& device, const LstmForward& call, const Numbers& numbers, const Inputs& inputs, Pass pass,
            cudnnRNNAlgo_t algorithm, std::string name)
      : device_(device),
        memory_(device),
        pass_(pass),
        type_(numbers.storage),
        name_(std::move(name)),
        handle_(cuda::cudnn_handle()),
        rnn_(handle_->plan([&](cudnnHandle_t own) {
          return std::make_unique<const Rnn>(cuda::cudnn(), own,
                                             Rnn::Problem{.steps = call.x.shape[0],
                                                          .samples = call.x.shape[1],
                                                          .inputs = call.x.shape[2],
                                                          .hidden = call.w_hh.shape[2],
                                                          .directions = call.w_hh.shape[0],
                                                          .type = type_,
                                                          .f32_products = numbers.products,
                                                          .algorithm = algorithm});
        })),
        x_(given(call.x, "x", inputs)),
        y_(placed(call.y)),
        w_ih_(narrow(call.w_ih)),
        w_hh_(narrow(call.w_hh)),
        b_(narrow(call.b)),
        reserve_(bytes(rnn_->reserve_bytes())) {
    m_ = {.x = x_.data,
          .y = y_.data,
          .weights = memory_.take(rnn_->weight_bytes()),
          .workspace = memory_.take(rnn_->workspace_bytes()),
          .reserve = reserve_.data};
    pack(inputs);
    if (pass_ == Pass::forward) return;
    forward();
    dy_ = given(call.y, "dy", inputs);
    dx_ = placed(call.x);
    kept_ = bytes(rnn_->reserve_bytes());
    memory_.reorder(reserve_, kept_);
    m_.dy = dy_.data;
    m_.dx = dx_.data;
    m_.weight_gradients = memory_.take(rnn_->weight_bytes());
    restore();
  }

  void run() override {
    if (pass_ == Pass::forward) return forward();
    handle_->on(device_.stream(), [&](cudnnHandle_t own) {
      rnn_->backward_data(own, m_);
      rnn_->backward_weight(own, m_);
    });
  }

  /// backward_data changes the reserve, and backward_weight adds.
  bool consumes() const override { return pass_ == Pass::backward; }
  void restore() override {
    if (pass_ == Pass::forward) return;
    memory_.reorder(kept_, reserve_);
    device_.upload(m_.weight_gradients, std::vector<std::byte>(rnn_->weight_bytes()));
  }

  const std::string& variant() const override { return name_; }

  Values outputs(std::int64_t most) override {
    if (pass_ == Pass::forward) return {{"y", memory_.ends(y_, most)}};
    std::vector<std::byte> space(rnn_->weight_bytes());
    device_.download(space, m_.weight_gradients);
    std::vector<std::byte> w_ih(size(w_ih_)), w_hh(size(w_hh_)), b(size(b_));
    for (const auto& piece : rnn_->pieces())
      std::memcpy(part(piece, w_ih, w_hh, b).data() + piece.own, space.data() + piece.theirs, piece.bytes);
    Memory unpacked(device_);
    const auto ends = [&](const View& like, const std::vector<std::byte>& values) {
      View view = like;
      view.data = unpacked.take(values.size());
      device_.upload(view.data, values);
      return memory_.ends(view, most);
    };
    return {{"dx", memory_.ends(dx_, most)},
            {"dw_ih", ends(w_ih_, w_ih)},
            {"dw_hh", ends(w_hh_, w_hh)},
            {"db", ends(b_, b)}};
  }

 private:
  void forward() {
    handle_->on(device_.stream(), [&](cudnnHandle_t own) { rnn_->forward(own, m_); });
  }

  View narrow(const View& like) const { return make_view(nullptr, type_, like.shape); }
  View given(const View& like, const std::string& name, const Inputs& inputs) {
    View view = narrow(like);
    view.data = memory_.given(view, name, inputs);
    return view;
  }
  View placed(const View& like) {
    View view = narrow(like);
    view.data = memory_.place(view);
    return view;
  }
  View bytes(std::size_t count) {
    View view = make_view(nullptr, DType::u8, {static_cast<std::int64_t>(count)});
    view.data = memory_.take(count);
    return view;
  }
  static std::size_t size(const View& view) {
    return static_cast<std::size_t>(view.shape.count()) * size_of(view.type);
  }
  static std::vector<std::byte>& part(const Rnn::Piece& piece, std::vector<std::byte>& w_ih,
                                      std::vector<std::byte>& w_hh, std::vector<std::byte>& b) {
    return piece.of == Rnn::Piece::Of::w_ih ? w_ih : piece.of == Rnn::Piece::Of::w_hh ? w_hh : b;
  }

  /// Weights into cuDNN's space; what lies between them is 0.
  void pack(const Inputs& inputs) {
    const auto values = [&](const View& view, const std::string& name) {
      std::vector<std::byte> host(size(view));
      device_.download(host, memory_.given(view, name, inputs));
      return host;
    };
    auto w_ih = values(w_ih_, "w_ih"), w_hh = values(w_hh_, "w_hh"), b = values(b_, "b");
    std::vector<std::byte> space(rnn_->weight_bytes());
    for (const auto& piece : rnn_->pieces())
      std::memcpy(space.data() + piece.theirs, part(piece, w_ih, w_hh, b).data() + piece.own, piece.bytes);
    device_.upload(m_.weights, space);
  }

  Device& device_;
  Memory memory_;
  Pass pass_;
  DType type_;
  std::string name_;
  std::shared_ptr<cuda::CudnnHandle> handle_;
  std::unique_ptr<const Rnn> rnn_;
  View x_, y_, w_ih_, w_hh_, b_, reserve_;
  View dy_, dx_, kept_;  ///< of backward; what forward left in the reserve
  Rnn::Memory m_;
};

constexpr std::pair<cudnnRNNAlgo_t, std::string_view> algorithms[] = {
    {CUDNN_RNN_ALGO_STANDARD, "cudnn standard"},
    {CUDNN_RNN_ALGO_PERSIST_STATIC, "cudnn persist_static"},
    {CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H, "cudnn persist_static_small_h"},
    {CUDNN_RNN_ALGO_PERSIST_DYNAMIC, "cudnn persist_dynamic"}};

std::vector<Contender> contenders_of(Device& device, const LstmForward& call, const Numbers& numbers,
                                     const Inputs& inputs, Pass pass) {
  cuda::cudnn();  // throws where there is none
  std::vector<Contender> all;
  for (const auto& [algorithm, name] : algorithms)
    all.push_back({.name = std::string(name),
                   .tolerance = tolerance_of(numbers),
                   .place = [=, &device, chosen = algorithm, called = std::string(name)] {
                     return std::make_unique<CudnnLstm>(device, call, numbers, inputs, pass, chosen, called);
                   }});
  return all;
}

}  // namespace

std::vector<Contender> cudnn_contenders(Device& device, const LstmForward& call, const Numbers& numbers,
                                        const Inputs& inputs) {
  return contenders_of(device, call, numbers, inputs, Pass::forward);
}

std::vector<Contender> cudnn_backward_contenders(Device& device, const LstmForward& call,
                                                 const Numbers& numbers, const Inputs& inputs) {
  return contenders_of(device, call, numbers, inputs, Pass::backward);
}

}  // namespace scrawl::bench
