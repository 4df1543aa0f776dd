#!/usr/bin/env bash
# Runs in the guest; see run.sh. $1 are the trees that lie on the disk, the rest are arguments of pytest.
set -uo pipefail

trees=$1
shift
mkdir -p /run/trees
# All that is needed: later, what lies below the checkout (the kernel's modules, too) may be hidden.
for module in virtio_blk ext4 tun wireguard dummy; do modprobe "$module"; done
mount LABEL=trees /run/trees
for tree in $trees; do mount --bind "/run/trees$tree" "$tree"; done

chmod 666 /dev/net/tun
# pasta wants a host with a default route; nobody is at its other end.
ip link add outside type dummy
ip address add 198.51.100.2/24 dev outside
ip link set outside up
ip route add default via 198.51.100.1

export HOME=/tmp/home PYTHONDONTWRITEBYTECODE=1
mkdir -p "$HOME"
echo "guest: Linux $(uname -r), up for $(cut -d' ' -f1 /proc/uptime) s"
.venv/bin/python -m pytest -p no:cacheprovider --timeout 300 "$@" && echo "guest: passed"
