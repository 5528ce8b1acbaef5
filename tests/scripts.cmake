# Tests that are scripts, programs around them, and fuzzing.  Exit status 77
# means that something a test needs is not there: skipped, and counted.

set(PYTHON /usr/bin/python3) # The one that Debian's python3-scapy is for.

function(add_script_test name)
  add_test(NAME ${name} COMMAND ${ARGN}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300
    LABELS script ENVIRONMENT
    "HEADGATE=$<TARGET_FILE:program>;HEADGATE_PLUGIN_PATH=${PLUGIN_OUTPUT};\
PYTHONDONTWRITEBYTECODE=1")
endfunction()

foreach(what graphs elements corpus)
  add_script_test(invariants_${what}
    ${PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/graphs/invariants.py ${what})
  set_tests_properties(invariants_${what} PROPERTIES TIMEOUT 900)
endforeach()
add_script_test(docs_elements
  bash ${CMAKE_SOURCE_DIR}/docs/make-elements.sh --check)
add_script_test(bad_graphs ${PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/graphs/bad.py)
file(GLOB scripts CONFIGURE_DEPENDS graphs/test_*.py
  interop/live_*.py interop/nat_*.py interop/tunnel_*.py
  interop/flow_log_*.py)
foreach(script ${scripts})
  get_filename_component(name ${script} NAME_WE)
  add_script_test(${name} ${PYTHON} ${script})
endforeach()
file(GLOB scripts CONFIGURE_DEPENDS interop/live_*.sh)
foreach(script ${scripts})
  get_filename_component(name ${script} NAME_WE)
  add_script_test(${name} bash ${script})
endforeach()

# A minute, but several where others work beside it.
set_tests_properties(tunnel_kernel live_wire PROPERTIES TIMEOUT 600)

# Minutes in which others than headgate are at work: for the build without
# sanitizers.
set_property(TEST flow_log_capinfos nat_scapy tunnel_kernel tunnel_tshark
  APPEND PROPERTY LABELS oracle)
if(HEADGATE_SANITIZE)
  set_property(TEST invariants_graphs invariants_elements invariants_corpus
    live_wire APPEND PROPERTY ENVIRONMENT HEADGATE_SANITIZED=1)
endif()

# Live tests are several processes that wait for each other: one at a time.
file(GLOB scripts CONFIGURE_DEPENDS interop/live_* interop/nat_nft.py)
foreach(script ${scripts})
  get_filename_component(name ${script} NAME_WE)
  if(TEST ${name})
    set_tests_properties(${name} PROPERTIES RESOURCE_LOCK live)
  endif()
endforeach()

# What takes longest begins first, so that nobody waits for it at the end.
set_tests_properties(tunnel_kernel tunnel_tshark live_wire
  invariants_graphs invariants_elements invariants_corpus
  test_nat_compact_model live_nat live_nat64 PROPERTIES COST 100)

add_script_test(plugin_out_of_tree
  bash ${CMAKE_CURRENT_SOURCE_DIR}/interop/plugin_out_of_tree.sh
  ${CMAKE_BINARY_DIR})
if(HEADGATE_SANITIZE)
  set_property(TEST plugin_out_of_tree APPEND PROPERTY ENVIRONMENT
    "CFLAGS=-fsanitize=address,undefined;CC=${CMAKE_C_COMPILER}")
endif()

foreach(what format cppcheck tidy)
  add_script_test(lint_${what}
    bash ${CMAKE_CURRENT_SOURCE_DIR}/lint.sh ${what} ${CMAKE_BINARY_DIR})
  set_tests_properties(lint_${what} PROPERTIES LABELS lint)
endforeach()

# The measurements (bench/run.sh runs them); here so that they keep building.
# bench/bench*.c are one program; the others are described in bench/README.md.
file(GLOB sources CONFIGURE_DEPENDS bench/bench*.c)
add_executable(bench ${sources} bench/pace.c)
target_link_libraries(bench PRIVATE headgate PkgConfig::PCAP PkgConfig::ZLIB m)
add_executable(tables_bench
  bench/tables_bench.c bench/tables_data.c bench/pace.c)
target_link_libraries(tables_bench PRIVATE headgate PkgConfig::JANSSON m)
add_executable(rules_bench bench/rules_bench.c)
target_link_libraries(rules_bench PRIVATE headgate PkgConfig::JANSSON)
add_executable(nat_fill bench/nat_fill.c bench/pace.c)
target_link_libraries(nat_fill PRIVATE headgate_internal)
add_executable(flow_bench bench/flow_bench.c)
target_link_libraries(flow_bench PRIVATE headgate)
add_script_test(test_bench ${PYTHON}
  ${CMAKE_CURRENT_SOURCE_DIR}/bench/test_bench.py $<TARGET_FILE:bench>)

# Each fuzz/fuzz_*.c with clang's libFuzzer, for 30 s; they need the
# sanitizers on.  fuzz/NAME/ has inputs to begin with, where there are any.
if(CMAKE_C_COMPILER_ID MATCHES Clang AND HEADGATE_SANITIZE)
  include(fuzz/fuzz.cmake)
endif()
