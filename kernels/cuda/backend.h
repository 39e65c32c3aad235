#pragma once
/// The backend of our own CUDA kernels: on GPUs, and on the machine of kernels/simt.

#include "kernels/backend.h"

namespace scrawl::cuda {
const Backend& backend();
}

namespace scrawl::simt {
const Backend& backend();
}
