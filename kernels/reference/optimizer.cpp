#include "kernels/optimizer.h"

#include <cmath>

#include "kernels/reference/operations.h"
#include "kernels/reference/tensor.h"

namespace scrawl::reference {
namespace {

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

}  // namespace

void run(const GradientNorm& call) {
  Tensor control(call.control);
  double sum = 0;
  for (const View& view : call.g) {
    const Tensor g(view);
    for (const double value : g.values()) sum += value * value;
  }
  const double loss_scale = control(Control::loss_scale), norm = std::sqrt(sum) / loss_scale;
  control(Control::gradient_norm) = norm;
  if (call.loss.present()) control(Control::loss) = Tensor(call.loss)(0);
  control(Control::skip) = std::isfinite(norm) && std::isfinite(control(Control::loss)) ? 0 : 1;
  const bool clips = call.clip > 0 && norm > call.clip;
  control(Control::gradient_scale) = (clips ? call.clip / norm : 1) / loss_scale;
  control.store(call.control);
}

void run(const OptimizerStep& call) {
  const Tensor control(call.control);
  if (control(Control::skip) != 0) return;
  const double rate = control(Control::learning_rate), scale = control(Control::gradient_scale);
  const double t = control(Control::step) + 1;
  const double beta1 = call.beta1, beta2 = call.beta2, momentum = call.momentum;
  for (std::size_t tensor = 0; tensor < call.w.size(); ++tensor) {
    const Tensor g_all(call.g[tensor]);
    Tensor w_all(call.w[tensor]), m_all(call.m[tensor]);
    Tensor v_all = call.v.empty() ? Tensor() : Tensor(call.v[tensor]);
    const double factor = call.decay[tensor];
    const double l1 = call.l1 * factor, l2 = call.kind == OptimizerKind::adamw ? 0 : call.l2 * factor;
    for (std::size_t i = 0; i < w_all.values().size(); ++i) {
      double &w = w_all.values()[i], &m = m_all.values()[i];
      const double g = g_all.values()[i] * scale + l2 * w + l1 * sign(w);
      if (call.kind == OptimizerKind::sgd) {
        m = momentum * m + g;
        w -= rate * (call.nesterov == OptimizerStep::Nesterov::yes ? g + momentum * m : m);
        continue;
      }
      double& v = v_all.values()[i];
      if (call.kind == OptimizerKind::adamw) w -= rate * call.weight_decay * factor * w;
      m = beta1 * m + (1 - beta1) * g;
      v = beta2 * v + (1 - beta2) * g * g;
      w -= rate * (m / (1 - std::pow(beta1, t))) / (std::sqrt(v / (1 - std::pow(beta2, t))) + call.epsilon);
    }
    w_all.store(call.w[tensor]);
    m_all.store(call.m[tensor]);
    if (v_all.present()) v_all.store(call.v[tensor]);
  }
}

void run(const StepEnd& call) {
  Tensor control(call.control);
  const bool skipped = control(Control::skip) != 0;
  control(Control::step) += skipped ? 0 : 1;
  control(Control::skipped_in_a_row) = skipped ? control(Control::skipped_in_a_row) + 1 : 0;
  control.store(call.control);
}

}  // namespace scrawl::reference
