#pragma once
/// How long OpenMP's threads spin for the next loop before they sleep.

namespace scrawl {

/// To be called first in main. OpenMP reads its settings when the program is loaded, and by default its
/// threads keep their cores from other programs for milliseconds; a short spin is as fast. So: sets it and
/// starts the program over, once, unless the environment says otherwise. Its children do not inherit it.
void bound_spinning(char** arguments);

}  // namespace scrawl
