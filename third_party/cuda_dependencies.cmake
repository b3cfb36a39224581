# SPDX-License-Identifier: MIT
# What the GPU needs: the CUDA toolkit and cuDNN 9. libcuda comes with the driver and is never linked.
find_package(CUDAToolkit REQUIRED)
find_library(YDISTILL_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9
  HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDNN_ROOT} PATH_SUFFIXES lib lib64 REQUIRED)
ydistill_dependency(cuda_runtime CUDA::cudart_static ${YDISTILL_CUDNN_LIBRARY})
