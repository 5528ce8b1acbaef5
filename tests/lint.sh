#!/bin/bash
# What tools say about the sources.
#
#     lint.sh format                  clang-format: the layout is that of
#                                     .clang-format
#     lint.sh cppcheck                nothing that cppcheck warns of
#     lint.sh tidy BUILD-FOLDER       nor clang-tidy (.clang-tidy has the
#                                     list of checks)
set -euo pipefail
cd "$(dirname "$0")/.."

sources() {
    find core elements runtime tests bindings -name '*.[ch]' -not -path \
        '*/build*' | LC_ALL=C sort
}

need() {
    command -v "$1" >/dev/null && return
    echo "skipped: needs the program '$1'"
    exit 77
}

case ${1-} in
format)
    need clang-format
    sources | xargs clang-format --dry-run -Werror
    ;;
cppcheck)
    need cppcheck
    sources | grep -E '^(core|elements|runtime)/.*\.c$' |
        cppcheck --quiet --file-list=- -j 2 --std=c11 --language=c \
            --platform=unix64 --enable=warning,portability \
            --inline-suppr --error-exitcode=1 \
            --suppressions-list=tests/cppcheck.txt \
            -D_GNU_SOURCE -I core/include -I core -I runtime
    ;;
tidy)
    need clang-tidy
    sources | grep -E '^(core|elements|runtime)/.*\.c$' |
        xargs -P 2 -n 6 clang-tidy --quiet -p "$2"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
