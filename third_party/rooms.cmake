# SPDX-License-Identifier: MIT
# How a room (one folder, one static library) is declared, and how the rooms are installed.

set_property(GLOBAL PROPERTY YDISTILL_ROOMS "")
set_property(GLOBAL PROPERTY YDISTILL_HEADER_FOLDERS "")
set_property(GLOBAL PROPERTY YDISTILL_FACTS "")

# ydistill_fact(<text>): one line of the summary that configuring prints.
function(ydistill_fact text)
  set_property(GLOBAL APPEND PROPERTY YDISTILL_FACTS "${text}")
endfunction()

function(ydistill_print_summary)
  get_property(facts GLOBAL PROPERTY YDISTILL_FACTS)
  foreach(fact IN LISTS facts)
    message(STATUS "ydistill: ${fact}")
  endforeach()
endfunction()

# Warnings and sanitizers: for our own targets only, never exported.
function(ydistill_own_flags target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic>)
  # Where a processor has fused multiply-adds, the same formula gives the same number wherever it
  # stands, and that of other processors.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC bug 105651: a false alarm on every std::string operator+.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # GCC's ivdep is a hint that Clang can do without.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-unknown-pragmas>)
  endif()
  if(YDISTILL_WERROR)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(YDISTILL_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${YDISTILL_SANITIZE} -fno-omit-frame-pointer
                                -fno-sanitize-recover=all>)
    target_link_options(${target} PUBLIC -fsanitize=${YDISTILL_SANITIZE})
  endif()
endfunction()

# ydistill_hot_sources(<target> <source>...): compiles them once for each x86-64 level, with
# YD_CPU_LEVEL naming the namespace, and adds them to the target; see tensor/cpu_level.h.
function(ydistill_hot_sources target)
  set(levels base)
  if(YDISTILL_X86_64)
    set(levels base avx2 avx512)
  endif()
  set(flags_base "")
  set(flags_avx2 -march=x86-64-v3)
  set(flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  foreach(level IN LISTS levels)
    add_library(${target}_${level} OBJECT ${ARGN})
    target_compile_features(${target}_${level} PRIVATE cxx_std_20)
    target_include_directories(${target}_${level} PRIVATE ${YDISTILL_INCLUDE_DIR})
    target_compile_definitions(${target}_${level} PRIVATE YD_CPU_LEVEL=cpu_${level})
    target_link_libraries(${target}_${level} PRIVATE ydistill_openmp ydistill_fmt)
    ydistill_own_flags(${target}_${level})
    # errno and trapping are not observed; sums keep their order, so this is not -ffast-math.
    target_compile_options(${target}_${level} PRIVATE
      $<$<NOT:$<CONFIG:Debug>>:-O3> -fno-math-errno -fno-trapping-math -ffp-contract=fast
      ${flags_${level}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${level}>)
  endforeach()
endfunction()

# ydistill_room(<room> [NESTED] SOURCES ... [HOT ...] [CUDA ...] [LINK ...] [PRIVATE_LINK ...])
# SOURCES are compiled once, HOT sources (loops over activations) once a level. HEADERS are what
# an installed package shows; without it, every *.h of the folder.
# CUDA sources (kernels) go to the library ydistill_cuda, see cuda.cmake, where CUDA is on.
# A NESTED room is a folder inside another room, which installs its headers.
function(ydistill_room room)
  cmake_parse_arguments(ARG "NESTED" "" "SOURCES;HOT;CUDA;LINK;PRIVATE_LINK" ${ARGN})
  set(target ydistill_${room})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(ydistill::${room} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${room})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${YDISTILL_INCLUDE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
  ydistill_own_flags(${target})
  if(YDISTILL_CUDA)
    target_compile_definitions(${target} PUBLIC YD_HAVE_CUDA)
    list(TRANSFORM ARG_CUDA PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    set_property(GLOBAL APPEND PROPERTY YDISTILL_CUDA_SOURCES ${ARG_CUDA})
  endif()

  if(ARG_HOT)
    ydistill_hot_sources(${target} ${ARG_HOT})
  endif()
  set_property(GLOBAL APPEND PROPERTY YDISTILL_ROOMS ${room})
  if(NOT ARG_NESTED)
    set_property(GLOBAL APPEND PROPERTY YDISTILL_HEADER_FOLDERS ${room})
  endif()
endfunction()

function(ydistill_install_package)
  get_property(rooms GLOBAL PROPERTY YDISTILL_ROOMS)
  # ydistill::detect is what embedders link; ydistill::ydistill is everything.
  add_library(ydistill INTERFACE)
  add_library(ydistill::ydistill ALIAS ydistill)
  set(targets ydistill)
  if(YDISTILL_CUDA)
    list(APPEND targets ydistill_cuda)
  endif()
  foreach(room IN LISTS rooms)
    target_link_libraries(ydistill INTERFACE ydistill_${room})
    list(APPEND targets ydistill_${room})
  endforeach()
  get_property(folders GLOBAL PROPERTY YDISTILL_HEADER_FOLDERS)
  foreach(folder IN LISTS folders)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ydistill FILES_MATCHING PATTERN "*.h")
  endforeach()
  install(TARGETS ${targets} EXPORT ydistill-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT ydistill-targets NAMESPACE ydistill::
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ydistill)
  include(CMakePackageConfigHelpers)
  configure_package_config_file(third_party/ydistill-config.cmake.in
    ${PROJECT_BINARY_DIR}/ydistill-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ydistill)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ydistill-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(FILES ${PROJECT_BINARY_DIR}/ydistill-config.cmake
                ${PROJECT_BINARY_DIR}/ydistill-config-version.cmake
                third_party/dependencies.cmake third_party/cuda_dependencies.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ydistill)
endfunction()
