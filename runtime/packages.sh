# Which Debian and Ubuntu packages headgate needs, and how they get there.
# Sourced by runtime/quickstart.sh and tests/run.sh, not run by itself.

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libconfuse-dev
    libevent-dev libpcap-dev libjansson-dev libxxhash-dev zlib1g-dev
    libzstd-dev libck-dev"
TEST_PACKAGES="libcunit1-dev clang clang-format clang-tidy cppcheck g++
    python3 python3-scapy tshark tcpdump nftables iproute2 iputils-ping
    ethtool curl graphviz gzip zstd kmod"
# A kernel with the devices that this one may lack; not for every processor.
TEST_PACKAGES_IF_KNOWN="user-mode-linux"

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

# Those of the packages given that this system has, or could install.
known_packages() {
    local package

    for package in $*; do
        if is_installed "$package" ||
            [ -n "$(apt-cache search --names-only "^$package$" 2>/dev/null)" ]
        then
            echo "$package"
        fi
    done
}

# clang's runtime for sanitizers and libFuzzer is a package of its own, with
# clang's version in its name, where it is not part of clang.
clang_runtime_package() {
    local version

    version=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null |
        sed -n 's/.*\bclang-\([0-9]*\).*/\1/p')
    known_packages "libclang-rt-$version-dev"
}
