# SPDX-License-Identifier: GPL-3.0-or-later
# man.cmake - the man page from what the program itself says: cmake -DPROGRAM=... -DVERSION=...
# -DOUT=mixsweep.1 -P man.cmake

function(ask out)
  execute_process(COMMAND ${PROGRAM} ${ARGN} OUTPUT_VARIABLE said RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${PROGRAM} ${ARGN} failed: ${failed}")
  endif()
  set(${out} "${said}" PARENT_SCOPE)
endfunction()

# Text as it stands: no line is filled, no character is a request.
function(verbatim text out)
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  string(STRIP "${text}" text)
  set(${out} ".nf\n${text}\n.fi\n" PARENT_SCOPE)
endfunction()

ask(help --help)
verbatim("${help}" overview)
set(page ".TH MIXSWEEP 1 \"\" \"mixsweep ${VERSION}\"\n")
string(APPEND page ".SH NAME\nmixsweep \\- find the training\\-data mixture for a large model from "
  "many small ones\n.SH SYNOPSIS\n.B mixsweep\n.I VERB FILE\n[OPTIONS]\n"
  ".SH DESCRIPTION\n${overview}.SH VERBS\n")
string(REGEX MATCHALL "\n  [a-z]+ +[a-z]" verbs "${help}")
foreach(line IN LISTS verbs)
  string(REGEX MATCH "[a-z]+" verb "${line}")
  if(NOT verb MATCHES "^(mixsweep|mpirun)$")
    ask(said ${verb} --help)
    verbatim("${said}" text)
    string(APPEND page ".SS ${verb}\n${text}")
  endif()
endforeach()
file(WRITE ${OUT} "${page}")
