# Functions that find a Python, uv and the certificates to trust on this machine. Expect $here, the checkout.
# shellcheck shell=sh disable=SC2154

# A company's own authority is in the system's store. uv, npm and an older pip trust a list of their own, if not told.
trust_system_roots() {
    roots=/etc/ssl/certs/ca-certificates.crt
    if [ -r "$roots" ]; then
        export SSL_CERT_FILE="${SSL_CERT_FILE:-$roots}" PIP_CERT="${PIP_CERT:-$roots}"
        export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$roots}"
    fi
}

# A candidate is judged by running it: a pyenv shim is an executable file even when no Python stands behind it.
python_between() { # COMMAND LOWEST HIGHEST: minor versions of Python 3
    "$1" -c "import sys; sys.exit(not (3, $2) <= sys.version_info[:2] <= (3, $3))" >/dev/null 2>&1
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

find_python() { # LOWEST HIGHEST
    for python in $(pythons); do
        if python_between "$python" "$1" "$2"; then
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
