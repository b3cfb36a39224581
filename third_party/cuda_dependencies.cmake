# SPDX-License-Identifier: MIT
# What the GPU needs: the CUDA toolkit and cuDNN 9. libcuda comes with the driver and is never linked.
# CUDNN_ROOT names the folder with cuDNN's include/ and lib/ where it is not the toolkit's: inside
# Python's packages, say, where the library has no name without a version.
find_package(CUDAToolkit REQUIRED)
find_library(YDISTILL_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR
  HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib lib64 REQUIRED)
if(YDISTILL_NCCL)
  find_library(YDISTILL_NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR
    HINTS ${NCCL_ROOT} ENV NCCL_ROOT ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib lib64)
endif()
ydistill_dependency(cuda_runtime CUDA::cudart_static ${YDISTILL_CUDNN_LIBRARY})
if(YDISTILL_NCCL AND YDISTILL_NCCL_LIBRARY)  # who links ydistill::detect alone needs none
  target_link_libraries(ydistill_cuda_runtime INTERFACE ${YDISTILL_NCCL_LIBRARY})
endif()
