# cuDNN and cuBLASLt are opened when first asked for. Their headers alone are needed to build, and not even those:
# without them the variants refuse, and say so.
find_path(SCRAWL_CUDNN_INCLUDE cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(SCRAWL_CUBLASLT_INCLUDE cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
mark_as_advanced(SCRAWL_CUDNN_INCLUDE SCRAWL_CUBLASLT_INCLUDE)

target_sources(scrawl_cuda PRIVATE vendor/device.cpp vendor/libraries.cpp)
target_link_libraries(scrawl_cuda PUBLIC scrawl_vendor_library)
if(SCRAWL_CUDNN_INCLUDE)
  target_sources(scrawl_cuda PRIVATE
    vendor/conv2d.cpp vendor/conv2d_graph.cpp vendor/ctc.cpp vendor/ctc_labels.cu vendor/cudnn.cpp vendor/cudnn_ctc.cpp
    vendor/graph.cpp vendor/lstm.cpp vendor/norm.cpp vendor/norm_graph.cpp vendor/owned.cpp vendor/pool.cpp
    vendor/pool_graph.cpp vendor/rnn.cpp vendor/softmax.cpp)
  target_include_directories(scrawl_cuda SYSTEM PRIVATE ${SCRAWL_CUDNN_INCLUDE})
else()
  target_sources(scrawl_cuda PRIVATE vendor/without_cudnn.cpp)
endif()
if(SCRAWL_CUBLASLT_INCLUDE)
  target_sources(scrawl_cuda PRIVATE vendor/cublaslt.cpp vendor/gemm.cpp)
  target_include_directories(scrawl_cuda SYSTEM PRIVATE ${SCRAWL_CUBLASLT_INCLUDE})
else()
  target_sources(scrawl_cuda PRIVATE vendor/without_cublaslt.cpp)
endif()
