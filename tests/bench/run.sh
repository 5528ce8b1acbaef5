#!/bin/bash
# Builds headgate as it is shipped and measures it (tests/bench/bench.c).
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<'END'
usage: tests/bench/run.sh [--json] [--quick] [--help]

Prints CPU nanoseconds a packet and ratios: each element from memory, the NAT
gateway from memory, and pcap to pcap against libpcap reading and writing.

  --json    the figures as JSON on standard output, the table on stderr
  --quick   fewer packets: about a minute in all
END
}

options=()
for argument; do
    case $argument in
    --json | --quick) options+=("$argument") ;;
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

{
    cmake -G Ninja -S . -B build-release -DCMAKE_BUILD_TYPE=RelWithDebInfo
    cmake --build build-release
} >&2
HEADGATE=$PWD/build-release/headgate \
    HEADGATE_PLUGIN_PATH=$PWD/build-release/plugins \
    HEADGATE_GRAPH=$PWD/graphs/nat-gateway.conf \
    exec build-release/tests/bench "${options[@]}"
