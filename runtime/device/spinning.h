#pragma once
/// How long OpenMP's threads spin for the next loop before they sleep.

namespace scrawl {

/// To be called first in main. OpenMP reads its settings when the program is loaded, and by default its
/// threads keep their cores from other programs for milliseconds (300,000 spins). A third of that is as fast;
/// with a fifteenth, threads slept so often that a CTC loss of 0.15 ms took 1 ms (Zen 5, virtual machine).
/// So: sets it and starts the program over, once, unless the environment says otherwise. Its children do not
/// inherit it.
void bound_spinning(char** arguments);

}  // namespace scrawl
