#!/usr/bin/env bash
# Runs the jail's tests on the kernel's own WireGuard: boots Debian's kernel in a virtual machine, as few containers have
# the module. `make test-vm` calls it, after scripts/setup.sh has installed what it needs.
#
#   tests/vm/run.sh [PYTEST ARGUMENTS]
#
# The guest's file system is this machine's, read-only; what the guest writes stays in its memory. No KVM is needed;
# emulated, everything takes ten times as long. VM_TIMEOUT are the seconds that it may take. Exit code 0 when all passed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.tools/vm
limit=${VM_TIMEOUT:-1200}

say() { printf 'vm: %s\n' "$*" >&2; }

# Python, its packages and the checkout go onto a disk of the guest's own: their small files would take an hour through 9p.
make_disk() { # IMAGE TREE...
    local image=$1 tree
    shift
    for tree in "$@"; do
        mkdir -p "$work/trees$(dirname "$tree")"
        cp -a "$tree" "$work/trees$tree"
    done
    mke2fs -q -t ext4 -L trees -d "$work/trees" "$image" 3G
    rm -r "$work/trees"
}

kernel() { compgen -G "$cache/kernel/boot/vmlinuz-*" | head -1; }

newest_kernel() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends:/ { print $2; exit }'; }

fetch_kernel() {
    # The package lists of a fresh machine are empty.
    [ -n "$(newest_kernel)" ] || apt-get update -q >"$cache/apt.log" 2>&1 || true
    say "fetching $(newest_kernel)"
    if ! (cd "$work" && apt-get download -q "$(newest_kernel)" >"$cache/apt.log" 2>&1); then
        say "cannot fetch Debian's kernel; see $cache/apt.log"
        exit 1
    fi
    dpkg -x "$work"/linux-image-*.deb "$cache/kernel"
}

fetch_vng() {
    local uv
    # shellcheck source=scripts/find.sh
    if ! uv=$(here=$root; . "$root/scripts/find.sh"; find_uv); then
        say "uv is missing: run scripts/setup.sh"
        exit 1
    fi
    "$uv" venv --quiet --python "$root/.venv/bin/python" "$cache/venv"
    "$uv" pip install --quiet --python "$cache/venv/bin/python" 'virtme-ng>=1.30,<2'
}

mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "$(kernel)" ] || fetch_kernel
[ -x "$cache/venv/bin/vng" ] || fetch_vng
python=$(dirname "$(dirname "$(readlink -f "$root/.venv/bin/python")")")
trees=("$python" "$root/.venv" "$root/ccinspect" "$root/tests")
make_disk "$work/image" "${trees[@]}"

say "booting $(basename "$(kernel)"); $limit s at most"
if [ $# -eq 0 ]; then
    # What depends on whose WireGuard it is. The rest of the jail is the same anywhere, and slow here.
    set -- -v tests/jail/test_tunnel.py tests/jail/test_network.py tests/jail/test_life.py::test_a_normal_end_leaves_nothing \
        tests/jail/test_escape.py::test_the_tunnel_cannot_be_asked_or_changed \
        tests/jail/test_escape.py::test_namespaces_cannot_be_entered \
        -k "not wireguard_go and not search_lists and not proxies and not 1400 and not 4000 and not 20000"
fi
printf -v inside '%q ' bash "$here/inside.sh" "${trees[*]}" "$@"
cd "$root"
PATH="$cache/venv/bin:$PATH" timeout --kill-after 5 "$limit" \
    vng --run "$(kernel)" --disable-kvm --memory 3G --cpus 2 --disk "$work/image" --exec "$inside" </dev/null |
    tee "$work/result"
# The guest's exit status does not come out of the machine; its last line does.
grep -q '^guest: passed' "$work/result"
