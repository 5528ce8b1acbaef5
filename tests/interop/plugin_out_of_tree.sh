#!/bin/bash
# Installs headgate into a folder of its own and does there what
# docs/writing-elements.md says: builds its plugin, looks at it, runs it.
# Then: C and C++ programs against the installed headers and library, and
# plugins that must be refused with a sentence.
#
#     plugin_out_of_tree.sh BUILD-FOLDER       (uses $CC, $CXX, $CFLAGS)
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect STATUS PATTERN COMMAND: both streams together must match.
expect() {
    local status=$1 pattern=$2 said got=0

    shift 2
    said=$("$@" 2>&1) || got=$?
    if [ "$got" != "$status" ]; then
        fail "$*: ended with $got, not $status: $said"
    elif ! grep -Eq -- "$pattern" <<<"$said"; then
        fail "$*: no '$pattern' in: $said"
    elif grep -Eq 'Sanitizer|runtime error' <<<"$said"; then
        fail "$*: $said"
    fi
}

# block DOCUMENT KIND N: its n-th fenced block of a kind.
block() {
    awk -v kind="\`\`\`$2" -v wanted="$3" '
        /^```/ && !inside {
            inside = 1
            chosen = $0 == kind && ++n == wanted
            next
        }
        /^```/ { inside = 0; next }
        inside && chosen' "$root/$1"
}

DESTDIR=$dir/stage cmake --install "$build" >/dev/null
PREFIX=$(dirname "$(dirname "$(find "$dir/stage" -path '*/bin/headgate')")")
export PREFIX
PATH=$PREFIX/bin:$PATH
LD_LIBRARY_PATH=$(dirname "$(find "$PREFIX" -name libheadgate.so)")
export LD_LIBRARY_PATH
plugins=$(dirname "$(find "$PREFIX" -name Discard.so | head -1)")
[ -e "$plugins/Discard.so" ] || fail "no plugins below the prefix"
export HEADGATE_PLUGIN_PATH=$plugins

# As documented.
block docs/writing-elements.md c 1 >sampler.c
block docs/writing-elements.md '' 1 >sampler.conf
grep -q HG_ELEMENT sampler.c || fail "no plugin in the document"
grep -q Sampler sampler.conf || fail "no graph in the document"
cp "$root/graphs/captures/nat-gateway.pcap" in.pcap
block docs/writing-elements.md sh 1 >build.sh
block docs/writing-elements.md sh 2 >use.sh
sed -i "s|^gcc|${CC:-gcc} ${CFLAGS-}|" build.sh
bash -e build.sh
expect 0 'one-in' bash -e use.sh
headgate run sampler.conf --plugin-path . lan=in.pcap:out.pcap --json \
    >summary.json 2>trace.txt
lines=$(wc -l <trace.txt)
want=$(($(tcpdump -nr in.pcap 2>/dev/null | wc -l) / 10))
[ "$lines" = "$want" ] || fail "$lines packets sampled, not $want"

# So are the README's element and graph.
block README.md c 1 >count_syn.c
block README.md sh 3 | sed "s|^gcc|${CC:-gcc} ${CFLAGS-}|; \
    s,core/include,$PREFIX/include," >readme.sh
expect 0 'begun  *connections begun' bash -e readme.sh
block README.md '' 1 >readme.conf
expect 0 'is right' headgate check readme.conf

# Every header stands alone, in C and in C++.
for header in "$PREFIX"/include/headgate/*.h; do
    name=headgate/$(basename "$header")
    for how in "${CC:-gcc} -std=c11 -x c" "${CXX:-g++} -std=c++17 -x c++"; do
        echo "#include <$name>" | $how -Wall -Wextra -Werror \
            -I "$PREFIX/include" -fsyntax-only - ||
            fail "$name does not stand alone in: $how"
    done
done
cat >embed.cc <<'END'
#include <headgate/graph.h>
#include <cstdio>

int
main()
{
    hg_addr address;
    char text[HG_ADDR_STRLEN];
    hg_plugins *plugins = hg_plugins_create(nullptr);
    size_t n = 0;

    if (!hg_addr_parse("192.0.2.1", &address))
        return 1;
    hg_plugins_names(plugins, &n);
    std::printf("%s, %zu classes\n", hg_addr_format(&address, text), n);
    hg_plugins_destroy(plugins);
    return n == 0;
}
END
${CXX:-g++} ${CFLAGS-} -std=c++17 -Wall -Wextra -Werror \
    -I "$PREFIX/include" -o embed embed.cc -L "$LD_LIBRARY_PATH" -lheadgate
expect 0 '^192.0.2.1, [1-9][0-9]* classes$' ./embed

# What must be refused.
mkdir other-abi no-plugin empty-object misnamed
cp -r "$PREFIX/include" other-abi/include
sed -i -E 's/^(#define HG_ABI) .*/\1 4711/' \
    other-abi/include/headgate/element.h
${CC:-gcc} -std=gnu11 -shared -fPIC -I other-abi/include \
    -o other-abi/Sampler.so sampler.c
echo "not a shared object" >no-plugin/Sampler.so
echo "int nothing;" | ${CC:-gcc} -shared -fPIC -x c -o \
    empty-object/Sampler.so -
cp Sampler.so misnamed/Wrong.so
sed 's/Sampler/Wrong/' sampler.conf >wrong.conf
for command in check run; do
    devices=$([ $command = check ] || echo lan=in.pcap)
    expect 2 'sampler.conf:2:1: error: .*ABI.*4711' \
        headgate $command sampler.conf --plugin-path other-abi $devices
    expect 2 'sampler.conf:2:1: error: .*Sampler' \
        headgate $command sampler.conf --plugin-path no-plugin $devices
    expect 2 'sampler.conf:2:1: error: .*hg_plugin' \
        headgate $command sampler.conf --plugin-path empty-object $devices
    expect 2 'wrong.conf:2:1: error: .*Sampler' \
        headgate $command wrong.conf --plugin-path misnamed $devices
done
expect 0 'Discard' headgate elements --plugin-path other-abi
expect 0 'ABI' headgate elements --plugin-path other-abi

[ $failures = 0 ] && echo "all right"
exit $((failures > 0))
