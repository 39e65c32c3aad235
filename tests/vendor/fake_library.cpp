/// A library with one function.

extern "C" int fake_number() { return 42; }
