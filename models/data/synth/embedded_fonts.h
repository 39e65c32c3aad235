#pragma once
/// fonts.toml, put into the program by the build so that it needs no data file at run time.

#include <string_view>

namespace scrawl::synth {

extern const std::string_view embedded_fonts;

}  // namespace scrawl::synth
