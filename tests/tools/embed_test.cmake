# SPDX-License-Identifier: MIT
# Installs the packages into the build folder and builds examples/embed and embed_c against them, as
# their users do; then runs them with wrong arguments and with a missing file.
set(prefix ${BUILD}/embed-prefix)
file(REMOVE_RECURSE ${prefix} ${BUILD}/embed-build ${BUILD}/embed_c-build)
function(must)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}\n${out}")
  endif()
endfunction()
must(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

# check_program(<name> <command> ...): one line, and the exit codes of wrong usage and of failure.
function(check_program name)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code ERROR_VARIABLE err)
  if(code EQUAL 0 OR NOT err MATCHES "usage")
    message(FATAL_ERROR "${name} without arguments: exit code ${code}, ${err}")
  endif()
  execute_process(COMMAND ${ARGN} none.pt none.jpg RESULT_VARIABLE code ERROR_VARIABLE err)
  if(NOT code EQUAL 1 OR NOT err MATCHES "^${name}: none.pt: no such file[^\n]*\n$")
    message(FATAL_ERROR "${name} with a missing file: exit code ${code}, ${err}")
  endif()
endfunction()

foreach(name embed embed_c)
  must(${CMAKE_COMMAND} -S ${SOURCE}/${name} -B ${BUILD}/${name}-build -G ${GENERATOR}
       -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${COMPILER}
       -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON)  # for training alone
  must(${CMAKE_COMMAND} --build ${BUILD}/${name}-build)
  check_program(${name} ${BUILD}/${name}-build/${name})
endforeach()
file(GLOB_RECURSE library ${prefix}/libydistill_c.so)
find_program(python python3)
if(python)
  check_program(detect.py ${python} ${SOURCE}/embed_c/detect.py ${library})
endif()
