#!/bin/sh
# Make this checkout ready to run: Python, uv, the virtual environment in .venv, the jail's system packages.
#
#   scripts/setup.sh          what `make demo` needs
#   scripts/setup.sh test     also what the tests need
#
# Safe to run again at any time; when there is nothing to do it takes a fraction of a second and prints nothing.
# What it installs for itself goes to .tools/ and .venv/; system packages are installed only by root or with a
# sudo that asks no password, else the one command to run is printed. Exit code 0 when .venv is ready.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
. scripts/system.sh

# A virtual environment that happens to be active must not become ours.
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
purpose=${1:-run}
stamp=.venv/.setup-stamp

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# A candidate is judged by running it: a pyenv shim is an executable file even when no Python stands behind it.
python_at_least() { # COMMAND MINOR
    "$1" -c "import sys; sys.exit(not (3, $2) <= sys.version_info[:2] < (3, 15))" >/dev/null 2>&1
}

pyenv_roots() {
    for root in "${PYENV_ROOT:-}" "${HOME:-/nonexistent}/.pyenv"; do
        if [ -n "$root" ] && [ -d "$root/versions" ]; then printf '%s\n' "$root"; fi
    done | sort -u
}

# Newest first, by the order a person would choose; paths of pyenv cannot be sorted as text (3.9 > 3.12).
pythons() {
    for name in python3.13 python3.12 python3.14 python3 python; do command -v "$name" || true; done
    for root in $(pyenv_roots); do
        for minor in 13 12 14 11 10 9 8; do
            for python in "$root"/versions/3."$minor".*/bin/python3; do
                if [ -x "$python" ]; then printf '%s\n' "$python"; fi
            done
        done
    done
}

find_python() { # MINOR
    for python in $(pythons); do
        if python_at_least "$python" "$1"; then
            "$python" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

uv_is_usable() { # COMMAND: new enough for dependency groups, and not a shim of nothing
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#uv }
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    case "$major$minor" in '' | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt 0 ] || [ "$minor" -ge 5 ]
}

find_uv() {
    for candidate in "${UV:-}" "$(command -v uv || true)" "$here/.tools/uv/bin/uv" \
        "${HOME:-/nonexistent}/.local/bin/uv" "${HOME:-/nonexistent}/.cargo/bin/uv"; do
        if [ -n "$candidate" ] && uv_is_usable "$candidate"; then printf '%s\n' "$candidate"; return; fi
    done
    for root in $(pyenv_roots); do
        for candidate in "$root"/versions/*/bin/uv; do
            if uv_is_usable "$candidate"; then printf '%s\n' "$candidate"; return; fi
        done
    done
    return 1
}

# A private virtual environment is cleanest. Debian splits ensurepip off into python3-venv: without it, an existing
# pip can still install into a directory of ours, which PEP 668 (externally managed) does not forbid.
install_uv() {
    log=.tools/install-uv.log
    rm -rf .tools/uv
    for python in $(pythons); do
        python_at_least "$python" 8 || continue
        if "$python" -m venv .tools/uv >"$log" 2>&1 && .tools/uv/bin/python -m pip install uv >>"$log" 2>&1; then return; fi
        rm -rf .tools/uv
        if "$python" -m pip install --target .tools/uv uv >>"$log" 2>&1; then return; fi
        rm -rf .tools/uv
    done
    return 1
}

provide_uv() {
    if uv=$(find_uv); then return; fi
    say "uv is not installed: installing it into .tools/uv"
    if ! install_uv; then
        # Nothing on this machine can run pip; Debian's python3-venv brings all that is missing.
        install_packages python3-venv || true
        install_uv || die "cannot install uv (see .tools/install-uv.log): install uv or python3-venv, then run this again"
    fi
    uv=$here/.tools/uv/bin/uv
}

venv_fingerprint() { cat pyproject.toml uv.lock scripts/setup.sh | sha256sum | cut -d' ' -f1; printf '%s\n' "$here"; }

venv_is_ready() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(venv_fingerprint)" ] && python_at_least .venv/bin/python 12
}

provide_venv() {
    if venv_is_ready; then return; fi
    provide_uv
    if python_at_least .venv/bin/python 12; then
        python=.venv/bin/python
    elif python=$(find_python 12); then
        say "using $python"
    else
        say "no Python 3.12 or newer on PATH or under pyenv: asking uv to download one"
        python=3.13
    fi
    say "installing the Python packages of uv.lock into .venv"
    "$uv" sync --quiet --locked --python "$python" || die "uv could not install the packages (see above).
setup: Without a Python 3.12 to 3.14 here and no way to download one, install it first (for example: pyenv install 3.13).
setup: Else see whether the Python package index can be reached from this machine, then run this again."
    venv_fingerprint >"$stamp"
}

mkdir -p .tools
# Two `make` at once must not build the same environment.
if command -v flock >/dev/null 2>&1; then
    exec 9>.tools/lock
    flock 9
fi
provide_venv
provide_system_packages "$purpose"
provide_tun_device
