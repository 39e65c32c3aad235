#pragma once
/// What a text is written on, and what a camera makes of it.

#include "models/data/synth/draws.h"
#include "models/data/synth/pen.h"
#include "runtime/io/image.h"

namespace scrawl::synth {

/// A gray image of dark ink on light paper.
///
/// Varied by `draws`, in proportion to `strength` (0: black on white; 1: a scan; 2: a poor photograph): shade
/// of the paper and its gradient, texture, now and then ruled lines, darkness and evenness of the ink, blur.
/// `grain` is the noise of each pixel.
Image draw_on_paper(const Coverage&, float strength, Draws& draws, Draws& grain);

}  // namespace scrawl::synth
