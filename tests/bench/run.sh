#!/bin/bash
# Builds headgate as it is shipped and measures it (tests/bench/measure.py).
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<'END'
usage: tests/bench/run.sh [OPTION ...]

Measures what packets cost, and prints each figure beside its target: every
element and whole graphs from memory, captures against libpcap reading and
writing, start-up and memory of large tables, workers, and other programs on
the same packets.  Takes 10 minutes at most.

  --quick         fewer packets and no figures that take long: 1 minute
  --only NAME     what has NAME in its name or group (from memory), or in its
                  group (pcap to pcap, workers, peers), or in the name of a
                  measuring program of its own
  --json          all of it as JSON on standard output, the table on stderr
  --history FILE  the JSON as one further line of FILE (default
                  build-release/bench-history.jsonl)
  --plot OUT.svg  measures nothing: draws the history
  --document FILE measures nothing: puts the figures of the last run of the
                  history into FILE (docs/performance.md)
  --help          this text

Environment:
  HEADGATE_CORPUS  folder with an Internet table and ClassBench's rules; made
                   up ones of the same kind otherwise
  CLICK, VPP, NFT  other programs to compare with (default: click, vpp and nft
                   if they are there; nft needs root)
END
}

for argument; do
    case $argument in
    --help | -h)
        usage
        exit 0
        ;;
    --plot | --plot=* | --document | --document=*)
        exec python3 tests/bench/measure.py "$@"
        ;;
    esac
done
{
    cmake -G Ninja -S . -B build-release -DCMAKE_BUILD_TYPE=RelWithDebInfo
    cmake --build build-release
} >&2
export HEADGATE=$PWD/build-release/headgate
export HEADGATE_PLUGIN_PATH=$PWD/build-release/plugins
exec python3 tests/bench/measure.py "$@"
