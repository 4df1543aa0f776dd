#!/bin/sh
# What a user who has never heard of ccinspect does with it, from installing it to taking it away again.
#
#   fresh_user.sh PYTHON WHEEL
set -eu

python=$1 wheel=$2
PATH=$HOME/.venv/bin:$PATH
cd "$HOME"

files() { find . -type f -o -type l | LC_ALL=C sort | xargs sha256sum; }
step() { printf 'step: %s\n' "$*"; "$@"; }

files >"$HOME/../before"
step "$python" -m venv .venv
step .venv/bin/pip install --quiet --no-cache-dir "$wheel"
step ccinspect doctor
mkdir -p .config/ccinspect
# Other tests may have the usual ports.
printf 'inspector: {reverse_port: 0, proxy_port: 0, web_port: 0}\n' >.config/ccinspect/ccinspect.yaml
step ccinspect service install
step ccinspect service enable
step ccinspect service status
step ccinspect run -i -- sh -c 'echo "jailed as $(id -un)"'
step systemctl --user restart ccinspect
step ccinspect run -i -- getent hosts nowhere.invalid || true
step ccinspect flows list
step ccinspect install --shell bash
step ccinspect setup claude --base-url --write
step ccinspect doctor
step ccinspect uninstall --purge --yes
rm -rf .venv
if systemctl --user --quiet is-active ccinspect; then echo "the service still runs"; exit 1; fi
files >"$HOME/../after"
diff "$HOME/../before" "$HOME/../after"
find "$XDG_RUNTIME_DIR" -maxdepth 1 -name '*ccinspect*' >"$HOME/../left"
diff /dev/null "$HOME/../left"
echo "all is as it was"
