# How our targets are compiled. Warnings live here and touch nothing that is not ours.
add_library(cenote_flags INTERFACE)
target_include_directories(cenote_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_definitions(cenote_flags INTERFACE _GNU_SOURCE CENOTE_VERSION="${PROJECT_VERSION}")
target_compile_options(cenote_flags INTERFACE
	-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
	-Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef
	-fno-strict-aliasing -fno-omit-frame-pointer -fstack-protector-strong
	$<$<C_COMPILER_ID:GNU>:-Wimplicit-fallthrough> # clang's sees into uthash's macros
	$<$<BOOL:${CENOTE_WERROR}>:-Werror>)
target_link_libraries(cenote_flags INTERFACE Threads::Threads)
if(CENOTE_SANITIZE)
	target_compile_options(cenote_flags INTERFACE -fsanitize=${CENOTE_SANITIZE})
	target_link_options(cenote_flags INTERFACE -fsanitize=${CENOTE_SANITIZE})
endif()
if(CENOTE_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
		message(FATAL_ERROR "CENOTE_FUZZ needs clang: cmake --preset fuzz")
	endif()
	# What the fuzzer steers by; the rooms are instrumented, the fuzzer's main is not linked here.
	target_compile_options(cenote_flags INTERFACE -fsanitize=fuzzer-no-link)
	target_link_options(cenote_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# cenote_room(NAME SOURCES... USES...): one room as the static library cenote_NAME.
function(cenote_room name)
	cmake_parse_arguments(room "" "" "SOURCES;USES" ${ARGN})
	add_library(cenote_${name} STATIC ${room_SOURCES})
	target_link_libraries(cenote_${name} PUBLIC cenote_flags ${room_USES})
	set_property(GLOBAL APPEND PROPERTY CENOTE_ROOMS cenote_${name})
endfunction()

# cenote_unit_test(PATH USES...): tests/unit/PATH.c as the ctest entry unit/PATH.
function(cenote_unit_test path)
	cmake_parse_arguments(unit "" "" "USES;SOURCES" ${ARGN})
	string(REPLACE "/" "_" name unit_${path})
	add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/unit/${path}.c ${unit_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/unit)
	target_link_libraries(${name} PRIVATE ${unit_USES} dep::cmocka)
	add_test(NAME unit/${path} COMMAND ${name})
	set_tests_properties(unit/${path} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
