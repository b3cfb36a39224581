# SPDX-License-Identifier: MIT
# Installs the package into the build folder and builds examples/embed against it, as its users do;
# then runs it with wrong arguments and with a missing file.
set(prefix ${BUILD}/embed-prefix)
file(REMOVE_RECURSE ${prefix} ${BUILD}/embed-build)
function(must)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}\n${out}")
  endif()
endfunction()
must(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
must(${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD}/embed-build -G ${GENERATOR}
     -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=Release)
must(${CMAKE_COMMAND} --build ${BUILD}/embed-build)
execute_process(COMMAND ${BUILD}/embed-build/embed RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 2 OR NOT err MATCHES "usage")
  message(FATAL_ERROR "embed without arguments: exit code ${code}, ${err}")
endif()
execute_process(COMMAND ${BUILD}/embed-build/embed none.pt none.jpg RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 1 OR NOT err MATCHES "^embed: none.pt: no such file[^\n]*\n$")
  message(FATAL_ERROR "embed with a missing file: exit code ${code}, ${err}")
endif()
