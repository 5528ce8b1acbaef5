#!/bin/bash
# Builds headgate twice and runs every test through ctest: with gcc, as it is
# shipped; with clang, AddressSanitizer, UBSan and libFuzzer.
set -uo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'END'
usage: tests/run.sh [--quick] [--help]

Installs the packages that are missing (Debian and Ubuntu; asks sudo if you
are not root), builds into build-release/ and build-asan/, and runs all tests.
Ends with 0 if every test passed.

  --quick   only build-release/, no sanitizers and no fuzzing

If HEADGATE_CORPUS names a folder of captures, the invariants and the checks
of NAT run over them too.  Tests that need root (network namespaces) are
skipped for others, and counted.
END
}

quick=false
for argument; do
    case $argument in
    --quick) quick=true ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        echo "run.sh: no option '$argument'; see --help" >&2
        exit 2
        ;;
    esac
done

. runtime/packages.sh
install_packages $BUILD_PACKAGES $TEST_PACKAGES || exit
install_packages $(clang_runtime_package) \
    $(known_packages $TEST_PACKAGES_IF_KNOWN) || exit

if [ -z "${HEADGATE_CORPUS-}" ]; then
    echo "== HEADGATE_CORPUS is not set: only the bundled captures are used"
elif [ ! -d "$HEADGATE_CORPUS" ]; then
    echo "run.sh: HEADGATE_CORPUS: no folder '$HEADGATE_CORPUS'" >&2
    exit 2
fi

# A test that hangs fails; what leaks fails; so does what UBSan reports.
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

failed=0
summary=""

# build_and_test NAME CTEST-OPTIONS -- CMAKE-OPTIONS
build_and_test() {
    local dir=build-$1 name=$1 log line began=$SECONDS built ctest_options=()

    shift
    while [ "$1" != -- ]; do
        ctest_options+=("$1")
        shift
    done
    shift
    echo "== $name: building into $dir/"
    if ! cmake -G Ninja -S . -B "$dir" "$@" >"$dir-configure.log" 2>&1; then
        cat "$dir-configure.log"
        line="does not configure"
        failed=1
    elif ! rm "$dir-configure.log" || ! cmake --build "$dir"; then
        line="does not build"
        failed=1
    else
        built=$((SECONDS - began))
        log=$dir/ctest.log
        # Three on two processors: some tests wait most of the time, and a
        # fuzzer takes its 30 seconds whatever else runs.
        ctest --test-dir "$dir" --output-on-failure --parallel 3 \
            --timeout 400 "${ctest_options[@]}" 2>&1 | tee "$log" ||
            failed=1
        line=$(sed -n 's/^\([0-9]*% tests passed.*\)/\1/p' "$log")
        line="$line, $(grep -c '\*\*\*Skipped' "$log") skipped"
        line="$line, $(sed -n 's/^Total Test time (real) = *//p' "$log")"
        line="$line (and $built sec for building)"
    fi
    summary="$summary$(printf '%-8s %s' "$name" "$line")"$'\n'
}

build_and_test release -- -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_COMPILER=gcc
if ! $quick; then
    build_and_test asan -LE 'lint|oracle' -- \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
        -DHEADGATE_SANITIZE=ON
fi

echo
echo "== summary"
printf '%s' "$summary"
[ $failed = 0 ] && echo "all passed" || echo "FAILED"
exit $failed
