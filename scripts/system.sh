# Functions of setup.sh for what lies outside this checkout: system packages and /dev/net/tun.
# shellcheck shell=sh

# Programs that a user's PATH does not show but that are there all the same.
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }; }

# COMMAND:PACKAGE of what the jail is made of. passt is the second uplink, and nice to have.
missing_packages() { # run|test|long|vm
    list='slirp4netns:slirp4netns wg:wireguard-tools wireguard-go:wireguard-go ip:iproute2'
    if [ "$1" != run ]; then list="$list tinyproxy:tinyproxy-bin tshark:tshark curl:curl git:git node:nodejs npm:npm useradd:passwd ps:procps zsh:zsh fish:fish certutil:libnss3-tools jq:jq less:less openssl:openssl update-ca-certificates:ca-certificates keytool:default-jre-headless"; fi
    if [ "$1" = test ]; then list="$list systemd-analyze:systemd nix-instantiate:nix-bin unshare:util-linux"; fi
    if [ "$1" = long ]; then list="$list chromium:chromium"; fi
    if [ "$1" = vm ]; then
        list="$list qemu-system-x86_64:qemu-system-x86 busybox:busybox-static depmod:kmod mke2fs:e2fsprogs"
    fi
    for pair in $list; do
        if ! has "${pair%%:*}"; then printf '%s ' "${pair#*:}"; fi
    done
}

apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }

# The package lists of a fresh machine are empty or old: fetch them when the first try fails, not before.
install_packages() { # PACKAGE...
    if ! has apt-get || ! can_be_root; then return 1; fi
    log=.tools/apt.log
    if apt_install "$@" >"$log" 2>&1; then return; fi
    as_root apt-get update -q >>"$log" 2>&1 || true
    apt_install "$@" >>"$log" 2>&1
}

# One that this distribution lacks must not keep the others away.
install_each() { # PACKAGE...
    for package in "$@"; do
        apt_install "$package" >>.tools/apt.log 2>&1 || say "apt-get cannot install $package (see .tools/apt.log)"
    done
}

provide_system_packages() { # run|test|long|vm
    missing=$(missing_packages "$1")
    optional=
    if ! has pasta; then optional=passt; fi
    if [ -n "$missing" ]; then
        if has apt-get && can_be_root; then
            say "installing system packages: $missing"
            # shellcheck disable=SC2086  # a list of words
            install_packages $missing || install_each $missing
        fi
        missing=$(missing_packages "$1")
    fi
    # Tried once: an old Debian has no such package.
    if [ -n "$optional" ] && has apt-get && can_be_root && [ ! -e .tools/tried-passt ]; then
        say "installing system packages: passt"
        install_packages passt || say "no package passt here; slirp4netns alone will do"
        : >.tools/tried-passt
    fi
    if [ -n "$missing" ]; then
        say "missing: $missing(the jail of \`ccinspect run --inspect\` needs them; \`run --proxy\` works without)"
        if has apt-get; then
            say "to install them: sudo apt-get install -y --no-install-recommends $missing$optional"
        else
            say "install them with your package manager"
        fi
    fi
}

# Userspace WireGuard and slirp4netns both open this device as the caller. Distributions ship it 0666; some containers do not.
provide_tun_device() {
    tun=/dev/net/tun
    if [ ! -e "$tun" ]; then
        say "there is no $tun: the jail cannot work until the kernel module tun is loaded (modprobe tun)"
    elif [ "$(id -u)" = 0 ] && [ "$(stat -c %a "$tun")" != 666 ]; then
        say "making $tun usable for every user, as distributions ship it (chmod 666)"
        chmod 666 "$tun" || say "could not change the mode of $tun"
    elif [ ! -w "$tun" ]; then
        say "$tun is closed to you; for the jail, run: sudo chmod 666 $tun"
    fi
}
