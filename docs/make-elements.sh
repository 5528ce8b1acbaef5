#!/bin/bash
# Writes docs/elements.md from the manuals of all element classes.
set -euo pipefail

usage() {
    cat <<'END'
usage: docs/make-elements.sh [--check] [--help]

Writes docs/elements.md.  The program is $HEADGATE, else build/headgate.

  --check   only say whether the file is up to date (status 1 if it is not)
END
}

page() {
    echo "# Elements"
    echo
    echo "Made by docs/make-elements.sh from the tables of each class; \`headgate"
    echo "elements CLASS\` prints the same.  What a class made after something real does like"
    echo "that, what it leaves out and where it lets you choose is under THE REAL THING."
    for folder in elements/*/; do
        echo
        echo "## $(basename "$folder")"
        for file in "$folder"*.c; do
                class=$(tr '\n' ' ' <"$file" |
                sed -n 's/.*HG_[A-Z_]*ELEMENT( *\([A-Za-z0-9]*\),.*/\1/p')
            echo
            echo "### $class"
            echo
            echo '```'
            "$program" elements "$class"
            echo '```'
        done
    done
}

check=false
case ${1-} in
"") ;;
--check) check=true ;;
--help | -h)
    usage
    exit
    ;;
*)
    echo "make-elements.sh: no option '$1'; see --help" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
program=${HEADGATE-build/headgate}
if $check; then
    page | diff -u docs/elements.md - ||
        {
            echo "docs/elements.md is not what the elements say of themselves;" \
                "run docs/make-elements.sh" >&2
            exit 1
        }
else
    page >docs/elements.md.new
    mv docs/elements.md.new docs/elements.md
fi
