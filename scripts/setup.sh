#!/bin/sh
# Make this checkout ready to run: Python, uv, the virtual environment in .venv, the jail's system packages.
#
#   scripts/setup.sh          what `make demo` needs
#   scripts/setup.sh test     also what the tests need
#   scripts/setup.sh long     ... and those that `make test` leaves out
#   scripts/setup.sh vm       ... and those in a virtual machine
#
# Safe to run again at any time; when there is nothing to do it takes a fraction of a second and prints nothing.
# What it installs for itself goes to .tools/ and .venv/; system packages are installed only by root or with a
# sudo that asks no password, else the one command to run is printed. Exit code 0 when .venv is ready.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
. scripts/find.sh
. scripts/system.sh
trust_system_roots

# A virtual environment that happens to be active must not become ours.
unset VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
purpose=${1:-run}
stamp=.venv/.setup-stamp

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# A private virtual environment is cleanest. Debian splits ensurepip off into python3-venv: without it, an existing
# pip can still install into a directory of ours, which PEP 668 (externally managed) does not forbid.
install_uv() {
    log=.tools/install-uv.log
    rm -rf .tools/uv
    for python in $(pythons); do
        python_between "$python" 8 14 || continue
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
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(venv_fingerprint)" ] && python_between .venv/bin/python 12 14
}

provide_venv() {
    if venv_is_ready; then return; fi
    provide_uv
    if python_between .venv/bin/python 12 14; then
        python=.venv/bin/python
    elif python=$(find_python 12 14); then
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
# Where PYTHONDONTWRITEBYTECODE is set our own modules would be compiled at each start; `run` is to start at once.
.venv/bin/python -m compileall -q ccinspect || true
