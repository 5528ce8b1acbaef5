# What is fuzzed is compiled once: the core, all element classes and the
# devices.  The one symbol of every plugin gets a name of its own here.
set(FUZZ_CLASSES "")
foreach(source ${ELEMENT_SOURCES})
  get_filename_component(name ${source} NAME_WE)
  set_source_files_properties(${source} PROPERTIES
    COMPILE_DEFINITIONS hg_plugin=hg_plugin_${name})
  string(APPEND FUZZ_CLASSES "FUZZ_CLASS(hg_plugin_${name})\n")
endforeach()
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/fuzz/classes.inc "${FUZZ_CLASSES}")

add_library(fuzzed STATIC ${CORE_SOURCES} ${ELEMENT_SOURCES}
            ${DEVICE_SOURCES})
target_include_directories(fuzzed PUBLIC ${CMAKE_SOURCE_DIR}/core/include
  ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR}/runtime
  ${CMAKE_CURRENT_BINARY_DIR}/fuzz)
target_compile_definitions(fuzzed PRIVATE HEADGATE_PLUGIN_DIR="/nowhere"
  HEADGATE_LIBPCAP="${LIBPCAP_NAME}")
target_compile_options(fuzzed PRIVATE -fsanitize=fuzzer-no-link)
target_link_libraries(fuzzed PUBLIC PkgConfig::CONFUSE PkgConfig::XXHASH
  PkgConfig::JANSSON PkgConfig::PCAP PkgConfig::EVENT PkgConfig::ZLIB
  PkgConfig::ZSTD Threads::Threads ${CMAKE_DL_LIBS})

file(GLOB sources CONFIGURE_DEPENDS fuzz/fuzz_*.c)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_compile_definitions(${name} PRIVATE
    FUZZ_ROOT="${CMAKE_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE fuzzed)
  set(corpus ${CMAKE_CURRENT_BINARY_DIR}/${name}-corpus)
  file(MAKE_DIRECTORY ${corpus})
  set(seeds)
  if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name})
    set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name})
  endif()
  if(name STREQUAL fuzz_graph)
    list(APPEND seeds ${CMAKE_SOURCE_DIR}/graphs
         ${CMAKE_CURRENT_SOURCE_DIR}/graphs)
  endif()
  add_test(NAME ${name} COMMAND ${name} -max_total_time=30 -timeout=10
    -max_len=4096 -print_final_stats=0 -verbosity=0
    -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/${name}- ${corpus} ${seeds})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 180 COST 30)
endforeach()
