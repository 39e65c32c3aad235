/// What a cuDNN must have to be opened, and no test calls. Each says that it is not supported.

extern "C" {
int cudnnSoftmaxForward() { return 3000; }
int cudnnSoftmaxBackward() { return 3000; }
}
