#pragma once
/// Ways to run an LSTM that lstm_forward.cpp and lstm_backward.cpp list after their own. What forward leaves
/// in the reserve is for backward of the same variant only; its size tells variants apart.

#include "kernels/lstm.h"
#include "kernels/plan.h"

namespace scrawl::cpu {

// lstm_onednn_forward.cpp, lstm_onednn_backward.cpp
Plan<LstmForward> lstm_forward_onednn(LstmForward&, const Selection&);
Plan<LstmBackward> lstm_backward_onednn(LstmBackward&, const Selection&);

}  // namespace scrawl::cpu
