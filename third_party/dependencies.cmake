# SPDX-License-Identifier: MIT
# Finds every library ydistill links and gives each one a target of our own, so that the rooms and
# an installed package name them the same way. Reads YDISTILL_ONEDNN, _TURBOJPEG, _PT, _MPI, _CUDA, _NCCL.

find_package(Threads REQUIRED)

# More than one directory of a project may ask for the package.
function(ydistill_dependency name)
  if(TARGET ydistill_${name})
    return()
  endif()
  add_library(ydistill_${name} INTERFACE IMPORTED GLOBAL)
  if(ARGN)
    target_link_libraries(ydistill_${name} INTERFACE ${ARGN})
  endif()
endfunction()

find_package(OpenMP COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
  ydistill_dependency(openmp OpenMP::OpenMP_CXX)
else()
  ydistill_dependency(openmp Threads::Threads)
endif()

find_package(nlohmann_json REQUIRED)
ydistill_dependency(json nlohmann_json::nlohmann_json)
find_package(fmt REQUIRED)
ydistill_dependency(fmt fmt::fmt)
find_package(pugixml REQUIRED)
ydistill_dependency(pugixml pugixml::pugixml)
find_package(yaml-cpp REQUIRED)
if(TARGET yaml-cpp::yaml-cpp)  # 0.8 and later
  ydistill_dependency(yaml yaml-cpp::yaml-cpp)
else()
  ydistill_dependency(yaml yaml-cpp)
endif()
find_path(YDISTILL_STB_INCLUDE_DIR stb/stb_image.h REQUIRED)
ydistill_dependency(stb)
target_include_directories(ydistill_stb SYSTEM INTERFACE ${YDISTILL_STB_INCLUDE_DIR})

if(YDISTILL_ONEDNN)
  find_package(dnnl REQUIRED)
  ydistill_dependency(onednn DNNL::dnnl)
endif()
# libjpeg-turbo's and libzip's own CMake packages also demand the files of packages (tools, static
# libraries) that we do not need: a header and a library are found without them.
function(ydistill_find_library name header library)
  string(TOUPPER ${name} upper)
  find_path(YDISTILL_${upper}_INCLUDE_DIR ${header} REQUIRED)
  find_library(YDISTILL_${upper}_LIBRARY ${library} REQUIRED)
  ydistill_dependency(${name} ${YDISTILL_${upper}_LIBRARY})
  target_include_directories(ydistill_${name} SYSTEM INTERFACE ${YDISTILL_${upper}_INCLUDE_DIR})
endfunction()
if(YDISTILL_TURBOJPEG)
  ydistill_find_library(turbojpeg turbojpeg.h turbojpeg)
endif()
if(YDISTILL_PT)
  ydistill_find_library(zip zip.h zip)
endif()
if(YDISTILL_MPI)
  set(MPI_CXX_SKIP_MPICXX ON)  # the C functions are enough
  find_package(MPI COMPONENTS CXX)  # who links ydistill::detect alone needs none
  ydistill_dependency(mpi MPI::MPI_CXX)
endif()
if(YDISTILL_CUDA)
  include(${CMAKE_CURRENT_LIST_DIR}/cuda_dependencies.cmake)
endif()
