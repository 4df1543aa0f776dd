#!/bin/sh
# Install a real agent for the tests below .tools/agents, once, and print the path of its program.
#
#   scripts/agents.sh claude-code | codex | gemini-cli | opencode | aider
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$here"
. scripts/find.sh
trust_system_roots

# Pinned: a new version of an agent must fail the tests of the day it is taken up, not those of any day.
CLAUDE_CODE=@anthropic-ai/claude-code@2.1.329
CODEX=@openai/codex@0.169.0
GEMINI_CLI=@google/gemini-cli@0.61.0
OPENCODE=opencode-ai@1.18.33
AIDER=aider-chat==0.86.2

die() { printf 'agents: %s\n' "$*" >&2; exit 1; }

# The packages' own scripts would copy the programs that npm has already put beside them, or build what is optional.
install_with_npm() {
    command -v npm >/dev/null || die "npm is missing: install nodejs and npm"
    npm install --prefix "$home" --no-audit --no-fund --ignore-scripts --loglevel=error "$package" >"$log" 2>&1 ||
        die "npm failed: $(tail -n 3 "$log")"
}

install_with_uv() {
    uv=$(find_uv) || die "uv is missing: run scripts/setup.sh"
    python=$(find_python 10 12) || python=3.12
    "$uv" venv --quiet --clear --python "$python" "$home" >"$log" 2>&1 || die "no Python 3.10 to 3.12: $(tail -n 3 "$log")"
    "$uv" pip install --quiet --python "$home/bin/python" "$package" >>"$log" 2>&1 ||
        die "uv failed: $(tail -n 3 "$log")"
}

# Several builds of one program may lie there, for other C libraries and processors.
first_that_runs() {
    for file in "$@"; do
        if "$file" --version >/dev/null 2>&1; then printf '%s\n' "$file"; return; fi
    done
    return 1
}

name=${1:-}
case "$name" in
claude-code) package=$CLAUDE_CODE program='node_modules/@anthropic-ai/claude-code-*/claude' ;;
codex) package=$CODEX program='node_modules/@openai/codex-*/vendor/*/bin/codex' ;;
gemini-cli) package=$GEMINI_CLI program='node_modules/.bin/gemini' ;;
opencode) package=$OPENCODE program='node_modules/opencode-*/bin/opencode' ;;
aider) package=$AIDER program='bin/aider' ;;
*) die "which agent? claude-code, codex, gemini-cli, opencode or aider" ;;
esac
home=$here/.tools/agents/$name
log=$here/.tools/agents/$name.log
mkdir -p .tools/agents
exec 9>".tools/agents/$name.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi
if [ ! -e "$home/.version" ] || [ "$(cat "$home/.version")" != "$package" ]; then
    rm -rf "$home"
    case "$name" in aider) install_with_uv ;; *) install_with_npm ;; esac
    printf '%s' "$package" >"$home/.version"
fi
# shellcheck disable=SC2086 # the pattern is to be expanded
first_that_runs "$home"/$program || die "$name was installed below $home but does not run; see $log"
