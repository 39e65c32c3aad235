/// What a cuDNN must have to be opened, and no test calls. Each says that it is not supported.

extern "C" {
int cudnnCreateTensorDescriptor() { return 3000; }
int cudnnDestroyTensorDescriptor() { return 3000; }
int cudnnSetTensorNdDescriptor() { return 3000; }
int cudnnGetTensorNdDescriptor() { return 3000; }
int cudnnSoftmaxForward() { return 3000; }
int cudnnSoftmaxBackward() { return 3000; }
int cudnnCreateRNNDescriptor() { return 3000; }
int cudnnDestroyRNNDescriptor() { return 3000; }
int cudnnSetRNNDescriptor_v8() { return 3000; }
int cudnnCreateRNNDataDescriptor() { return 3000; }
int cudnnDestroyRNNDataDescriptor() { return 3000; }
int cudnnSetRNNDataDescriptor() { return 3000; }
int cudnnGetRNNTempSpaceSizes() { return 3000; }
int cudnnGetRNNWeightSpaceSize() { return 3000; }
int cudnnGetRNNWeightParams() { return 3000; }
int cudnnRNNForward() { return 3000; }
int cudnnRNNBackwardData_v8() { return 3000; }
int cudnnRNNBackwardWeights_v8() { return 3000; }
}
