#pragma once
/// The nonlinearities on one number.

#include "kernels/activation.h"

namespace scrawl::reference {

double activate(Activation, double x);

/// dy f'(x), from y = f(x). Where relu is 0 the gradient is 0, whatever dy is.
double activation_gradient(Activation, double y, double dy);

}  // namespace scrawl::reference
