# SPDX-License-Identifier: MIT
# The library of everything that nvcc compiles or that calls cuDNN. The rooms leave its functions
# open; whoever links a room gets ydistill_cuda, or, where a program sets the property
# YD_EMULATE_CUDA, the same kernels compiled for the CPU (tests/cuda).

option(YDISTILL_FETCH_CUDNN_FRONTEND "Download cudnn-frontend's headers if none are found" OFF)
option(YDISTILL_NVCC_WERROR "Turn nvcc's warnings into errors" ON)
set(YDISTILL_CUDA_ARCHITECTURES "80;90" CACHE STRING "Compute capabilities; the last also as PTX")

find_package(CUDAToolkit REQUIRED)
find_path(YDISTILL_CUDNN_INCLUDE_DIR cudnn.h
  HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include REQUIRED)

if(YDISTILL_NCCL)
  find_path(YDISTILL_NCCL_INCLUDE_DIR nccl.h
    HINTS ${NCCL_ROOT} ENV NCCL_ROOT ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include REQUIRED)
endif()

# The toolkit's, or that of Python's packages beside cuDNN's. Without it cuDNN does all convolutions.
find_path(YDISTILL_CUBLASLT_INCLUDE_DIR cublasLt.h
  HINTS ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_ROOT}/../cu13 ${CUDNN_ROOT}/../cublas $ENV{CUDNN_ROOT}/../cu13
        $ENV{CUDNN_ROOT}/../cublas PATH_SUFFIXES include)
mark_as_advanced(YDISTILL_CUBLASLT_INCLUDE_DIR)

# Headers: a system package's, or those that scripts/install_deps.sh unpacks from the pip package.
find_path(YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
  HINTS ${PROJECT_SOURCE_DIR}/build/cudnn-frontend/include ${CUDNN_FRONTEND_ROOT}
  PATH_SUFFIXES include)
if(NOT YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR AND YDISTILL_FETCH_CUDNN_FRONTEND)
  include(FetchContent)
  FetchContent_Declare(cudnn_frontend GIT_REPOSITORY https://github.com/NVIDIA/cudnn-frontend.git
                       GIT_TAG v1.18.0 SOURCE_SUBDIR none)
  FetchContent_MakeAvailable(cudnn_frontend)
  set(YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR ${cudnn_frontend_SOURCE_DIR}/include)
endif()
if(NOT YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR)
  message(FATAL_ERROR "YDISTILL_CUDA needs cudnn-frontend's headers: run scripts/install_deps.sh, "
    "or set YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR or YDISTILL_FETCH_CUDNN_FRONTEND=ON")
endif()

# fmt 9 believes nvcc knows half of constexpr; it knows it all, but no consteval constructors.
set(YDISTILL_NVCC_FLAGS -std=c++20 -O3 -lineinfo --expt-relaxed-constexpr -Wno-deprecated-gpu-targets
    -Xcompiler -fPIC -DYD_HAVE_CUDA -DFMT_USE_CONSTEXPR=1 -DFMT_CONSTEVAL= -I${YDISTILL_INCLUDE_DIR})
if(YDISTILL_NVCC_WERROR)
  list(APPEND YDISTILL_NVCC_FLAGS -Werror all-warnings)
endif()
foreach(arch IN LISTS YDISTILL_CUDA_ARCHITECTURES)
  list(APPEND YDISTILL_NVCC_FLAGS -gencode arch=compute_${arch},code=sm_${arch})
  set(newest ${arch})
endforeach()
list(APPEND YDISTILL_NVCC_FLAGS -gencode arch=compute_${newest},code=compute_${newest})

# ydistill_nvcc(<variable> <file.cu> ...): objects compiled by nvcc, called as it is: CMake before
# 3.28 knows no C++20 for newer toolkits.
function(ydistill_nvcc variable)
  set(includes $<TARGET_PROPERTY:ydistill_fmt,INTERFACE_INCLUDE_DIRECTORIES>)
  foreach(source IN LISTS ARGN)
    file(RELATIVE_PATH stem ${PROJECT_SOURCE_DIR} ${source})
    set(object ${PROJECT_BINARY_DIR}/cuda_objects/${stem}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${CUDAToolkit_NVCC_EXECUTABLE} ${YDISTILL_NVCC_FLAGS}
              "$<$<BOOL:${includes}>:-I$<JOIN:${includes},;-I>>" -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source} DEPFILE ${object}.d COMMENT "Compiling ${stem} with nvcc" VERBATIM COMMAND_EXPAND_LISTS)
    list(APPEND objects ${object})
  endforeach()
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# Called after all rooms have named their sources.
function(ydistill_add_cuda_library)
  get_property(sources GLOBAL PROPERTY YDISTILL_CUDA_SOURCES)
  set(kernels ${sources})
  list(FILTER kernels INCLUDE REGEX "\\.cu$")
  list(FILTER sources EXCLUDE REGEX "\\.cu$")
  ydistill_nvcc(objects ${kernels})
  add_library(ydistill_cuda STATIC ${sources} ${objects})
  set_target_properties(ydistill_cuda PROPERTIES EXPORT_NAME cuda)
  target_include_directories(ydistill_cuda PUBLIC
    $<BUILD_INTERFACE:${YDISTILL_INCLUDE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(ydistill_cuda SYSTEM PRIVATE
    ${YDISTILL_CUDNN_FRONTEND_INCLUDE_DIR} ${YDISTILL_CUDNN_INCLUDE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
  if(YDISTILL_NCCL)
    target_include_directories(ydistill_cuda SYSTEM PRIVATE ${YDISTILL_NCCL_INCLUDE_DIR})
  endif()
  target_compile_definitions(ydistill_cuda PUBLIC YD_HAVE_CUDA)
  # cudnn-frontend's headers took two minutes and 2 GiB to compile: a third without its JSON, which
  # is not used, and at -O1, which is enough for code that chooses plans.
  target_compile_definitions(ydistill_cuda PRIVATE CUDNN_FRONTEND_SKIP_JSON_LIB)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tensor/cuda/conv_cudnn.cpp PROPERTIES
    COMPILE_OPTIONS $<$<CONFIG:Release>:-O1>)
  if(YDISTILL_CUBLASLT_INCLUDE_DIR)
    # The library is looked for when it is first needed: where the loader looks, then beside its header.
    get_filename_component(root ${YDISTILL_CUBLASLT_INCLUDE_DIR} DIRECTORY)
    set_source_files_properties(${PROJECT_SOURCE_DIR}/tensor/cuda/conv_cublas.cpp PROPERTIES
      COMPILE_DEFINITIONS "YD_HAVE_CUBLASLT;YDISTILL_CUBLASLT_FOLDERS=\"${CUDAToolkit_LIBRARY_DIR}\",\"${root}/lib\""
      INCLUDE_DIRECTORIES ${YDISTILL_CUBLASLT_INCLUDE_DIR})
  else()
    message(STATUS "cublasLt.h not found: 1x1 convolutions on a GPU by cuDNN alone")
  endif()
  target_link_libraries(ydistill_cuda PUBLIC ydistill_fmt PRIVATE ydistill_cuda_runtime ${CMAKE_DL_LIBS})
  ydistill_own_flags(ydistill_cuda)
endfunction()
