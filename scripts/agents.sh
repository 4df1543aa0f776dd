#!/bin/sh
# Install a real agent for the tests below .tools/agents, once, and print the path of its program.
#
#   scripts/agents.sh claude-code | aider
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
. scripts/find.sh

# Pinned: a new version of an agent must fail the tests of the day it is taken up, not those of any day.
CLAUDE_CODE=2.1.329
AIDER=0.86.2

die() { printf 'agents: %s\n' "$*" >&2; exit 1; }

# The package's own script would copy the program that npm has already put beside it.
install_claude_code() {
    command -v npm >/dev/null || die "npm is missing: install nodejs and npm"
    npm install --prefix "$home" --no-audit --no-fund --ignore-scripts --loglevel=error \
        "@anthropic-ai/claude-code@$CLAUDE_CODE" >"$log" 2>&1 || die "npm failed: $(tail -n 3 "$log")"
}

install_aider() {
    uv=$(find_uv) || die "uv is missing: run scripts/setup.sh"
    python=$(find_python 10 12) || python=3.12
    "$uv" venv --quiet --clear --python "$python" "$home" >"$log" 2>&1 || die "no Python 3.10 to 3.12: $(tail -n 3 "$log")"
    "$uv" pip install --quiet --python "$home/bin/python" "aider-chat==$AIDER" >>"$log" 2>&1 ||
        die "uv failed: $(tail -n 3 "$log")"
}

program() {
    case "$name" in
    claude-code) for file in "$home"/node_modules/@anthropic-ai/claude-code-*/claude; do
        # Two may be there, for two C libraries.
        if "$file" --version >/dev/null 2>&1; then printf '%s\n' "$file"; return; fi
    done ;;
    aider) if [ -x "$home/bin/aider" ]; then printf '%s\n' "$home/bin/aider"; return; fi ;;
    esac
    return 1
}

name=${1:-}
home=$here/.tools/agents/$name
log=$here/.tools/agents/$name.log
case "$name" in
claude-code) version=$CLAUDE_CODE ;;
aider) version=$AIDER ;;
*) die "which agent? claude-code or aider" ;;
esac
mkdir -p .tools/agents
exec 9>".tools/agents/$name.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi
if [ ! -e "$home/.version" ] || [ "$(cat "$home/.version")" != "$version" ]; then
    rm -rf "$home"
    case "$name" in claude-code) install_claude_code ;; aider) install_aider ;; esac
    printf '%s' "$version" >"$home/.version"
fi
program || die "$name was installed below $home but does not run; see $log"
