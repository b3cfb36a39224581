# SPDX-License-Identifier: MIT
# docs/config.md and docs/config.schema.json are what the program prints.
function(same arguments file)
  execute_process(COMMAND ${TOOL} config ${arguments} OUTPUT_VARIABLE printed RESULT_VARIABLE code)
  file(READ ${DOCS}/${file} written)
  if(NOT code EQUAL 0 OR NOT printed STREQUAL written)
    message(FATAL_ERROR "docs/${file} is stale; run: ./ydistill config ${arguments} > docs/${file}")
  endif()
endfunction()
same("" config.md)
same("--schema" config.schema.json)
