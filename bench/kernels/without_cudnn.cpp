/// In place of cuDNN's ways where the build machine had no headers of it.

#include "bench/kernels/cudnn.h"
#include "kernels/error.h"

namespace scrawl::bench {

namespace {

[[noreturn]] std::vector<Contender> refuse() { throw DeviceError("built without cuDNN's headers"); }

}  // namespace

std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dForward&, const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dBackwardData&, const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dBackwardWeight&,
                                        const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dPoolForward&, const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const Conv2dMomentsForward&,
                                        const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const Selection&, const CtcLoss&, const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_contenders(Device&, const LstmForward&, const Numbers&, const Inputs&) {
  refuse();
}
std::vector<Contender> cudnn_backward_contenders(Device&, const LstmForward&, const Numbers&, const Inputs&) {
  refuse();
}

}  // namespace scrawl::bench
