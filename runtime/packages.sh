# Which Debian and Ubuntu packages headgate needs, and how they get there.
# Sourced by runtime/quickstart.sh and tests/run.sh, not run by itself.

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libconfuse-dev
    libevent-dev libpcap-dev libjansson-dev libxxhash-dev zlib1g-dev
    libzstd-dev"
TEST_PACKAGES="libcunit1-dev clang clang-format clang-tidy cppcheck g++
    python3 python3-scapy tshark tcpdump nftables iproute2 iputils-ping
    ethtool curl graphviz gzip zstd"

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs what is missing of the packages given, and touches neither network
# nor apt when nothing is.
install_packages() {
    local missing="" package sudo=""

    if ! command -v dpkg-query >/dev/null; then
        echo "no dpkg here: install what these Debian packages hold:" $* >&2
        return
    fi
    for package in $*; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "== installing$missing"
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -q
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing
}

# clang's runtime for sanitizers and libFuzzer is a package of its own, with
# clang's version in its name, where it is not part of clang.
clang_runtime_package() {
    local version

    version=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null |
        sed -n 's/.*\bclang-\([0-9]*\).*/\1/p')
    if [ -n "$(apt-cache search --names-only "^libclang-rt-$version-dev$" \
        2>/dev/null)" ] || is_installed "libclang-rt-$version-dev"; then
        echo "libclang-rt-$version-dev"
    fi
}
