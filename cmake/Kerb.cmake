# SPDX-License-Identifier: MIT
# What every room's CMakeLists.txt uses: kerb_room(), kerb_feature(), kerb_summary(), kerb_tests().

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_program(KERB_CCACHE ccache)
if(KERB_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${KERB_CCACHE})
endif()

add_compile_definitions(_GNU_SOURCE)
# -ffp-contract=off: plain C, its vector twins and (later) CUDA agree to the bit where a test says so.
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter -ffp-contract=off)
if(KERB_WERROR)
  add_compile_options(-Werror)
endif()
if(KERB_SANITIZE)
  add_compile_options(-fsanitize=${KERB_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${KERB_SANITIZE})
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(KERB_X86 TRUE)
endif()

# Sources of this folder, with instruction sets by file name: *_avx2.c, *_avx512.c, *_avxvnni.c, *_avx512vnni.c (left out elsewhere than on x86-64).
function(kerb_room_sources out)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  foreach(source IN LISTS sources)
    if(source MATCHES "_avx2\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
    elseif(source MATCHES "_avx512\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx512cd;-mavx2;-mfma;-mf16c;-mprefer-vector-width=512")
    elseif(source MATCHES "_avxvnni\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavxvnni;-mavx2;-mfma;-mf16c")
    elseif(source MATCHES "_avx512vnni\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS
        "-mavx512vnni;-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx512cd;-mavx2;-mfma;-mf16c;-mprefer-vector-width=512")
    endif()
  endforeach()
  if(NOT KERB_X86)
    list(FILTER sources EXCLUDE REGEX "_avx(2|512|vnni|512vnni)\\.c$")
  endif()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()

# GStreamer's log and messages carry __FILE__: without the folder that Kerb was built in.
macro(kerb_relative_file_names)
  add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
endmacro()

# A room: an object library of all C files in this folder.
function(kerb_room name)
  kerb_room_sources(sources)
  if(NOT sources) # a room that is not furnished yet
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/empty.c)
    file(WRITE ${sources} "typedef int kerb_empty;\n")
  endif()
  add_library(${name} OBJECT ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/engine)
  target_link_libraries(${name} PUBLIC Threads::Threads m)
endfunction()

set_property(GLOBAL PROPERTY KERB_FEATURES "")
function(kerb_feature name text)
  set_property(GLOBAL APPEND PROPERTY KERB_FEATURES "${name}: ${text}")
endfunction()
function(kerb_summary)
  message(STATUS "")
  message(STATUS "Kerb ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}, ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}, installs to ${CMAKE_INSTALL_PREFIX}")
  get_property(features GLOBAL PROPERTY KERB_FEATURES)
  foreach(feature IN LISTS features)
    message(STATUS "  ${feature}")
  endforeach()
  message(STATUS "")
endfunction()

# What is left to do for the one who installs by hand, outside the folders that the dynamic linker and GStreamer look into.
function(kerb_after_install)
  pkg_get_variable(plugins gstreamer-1.0 pluginsdir)
  string(CONFIGURE [[
if(NOT DEFINED ENV{DESTDIR})
  set(folder ${CMAKE_INSTALL_PREFIX}/@CMAKE_INSTALL_LIBDIR@)
  if(NOT folder STREQUAL "/usr/@CMAKE_INSTALL_LIBDIR@")
    message(STATUS "Programs of your own, linked with -lkerb: sudo ldconfig, or export LD_LIBRARY_PATH=${folder}")
  endif()
  if(NOT "${folder}/gstreamer-1.0" STREQUAL "@plugins@")
    message(STATUS "kerbseg in pipelines of your own: export GST_PLUGIN_PATH=${folder}/gstreamer-1.0")
  endif()
endif()]] code @ONLY)
  install(CODE "${code}")
endfunction()

# Every test_*.c (tier fast) and slow_*.c (tier full) of this folder becomes a test NAME/FILE, linked with cmocka and the whole engine.
# KERB_DATA and the built tree are in its environment. Further arguments: libraries. The target NAME-tests builds them, and the module that they may load.
function(kerb_tests name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c ${CMAKE_CURRENT_SOURCE_DIR}/slow_*.c)
  add_custom_target(${name}-tests)
  if(TARGET kerb_cpu_module)
    add_dependencies(${name}-tests kerb_cpu_module)
  endif()
  foreach(source IN LISTS sources)
    get_filename_component(file ${source} NAME_WE)
    set(target ${name}_${file})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE kerb_static PkgConfig::CMOCKA ${ARGN})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    add_dependencies(${name}-tests ${target})
    add_test(NAME ${name}/${file} COMMAND ${target})
    kerb_test_properties(${name}/${file} ${file})
  endforeach()
endfunction()
# Tier, environment and a time limit for a test; `kind` starts with slow_ for the full tier, whose tests begin first, so that no long one is left for the end.
function(kerb_test_properties test kind)
  if(${kind} MATCHES "^slow_")
    set_tests_properties(${test} PROPERTIES LABELS full TIMEOUT 600 COST 10)
  else()
    set_tests_properties(${test} PROPERTIES LABELS fast TIMEOUT 400)
  endif()
  set_property(TEST ${test} PROPERTY ENVIRONMENT
    "KERB_DATA=${KERB_DATA}" "KERB_SOURCE=${PROJECT_SOURCE_DIR}" "KERB_BUILD=${PROJECT_BINARY_DIR}"
    "KERB_PLAN_CACHE=off" "KERB_MODULE_PATH=${PROJECT_BINARY_DIR}/modules" "PATH=${PROJECT_BINARY_DIR}/bin:$ENV{PATH}"
    "GST_PLUGIN_PATH=${PROJECT_BINARY_DIR}/gst" "GST_REGISTRY=${PROJECT_BINARY_DIR}/gst-registry.bin")
  set_property(TEST ${test} PROPERTY SKIP_RETURN_CODE 77)
endfunction()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
if(DEFINED ENV{KERB_DATA}) # kept: later configurations come by themselves, from shells that may not have it
  set(KERB_DATA $ENV{KERB_DATA} CACHE PATH "Real videos and models for tests" FORCE)
elseif(NOT KERB_DATA)
  get_filename_component(KERB_DATA ${PROJECT_SOURCE_DIR}/../shared/data ABSOLUTE)
endif()
