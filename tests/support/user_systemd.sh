#!/bin/sh
# Run COMMAND as user UID:GID with a systemd user instance of its own, in namespaces that end with it. Root only.
#
#   user_systemd.sh UID:GID HOME COMMAND...
#
# systemd wants a cgroup tree that it may change and a /run that says that systemd runs: both are made here, seen by nobody
# else. What stays on the machine for as long as the command runs is one empty cgroup.
set -eu

stage=${STAGE-outside}
case $stage in
outside)
    STAGE=inside exec unshare --mount --pid --fork --mount-proc --kill-child sh "$0" "$@"
    ;;
inside)
    # A cgroup of our own, which becomes the root of what is seen inside.
    mount -t tmpfs tmpfs /run
    mkdir /run/cgroup
    mount -t cgroup2 cgroup2 /run/cgroup
    mkdir "/run/cgroup/$CGROUP"
    echo 0 >"/run/cgroup/$CGROUP/cgroup.procs"
    STAGE=alone exec unshare --cgroup sh "$0" "$@"
    ;;
esac

uid=${1%:*} gid=${1#*:} home=$2
shift 2
umount /run/cgroup
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chown -R "$uid:$gid" /sys/fs/cgroup
runtime=/run/user/$uid
mkdir -p /run/systemd/system "$runtime"
chown "$uid:$gid" "$runtime"
chmod 700 "$runtime"
# Only what systemd itself needs: no sockets of other programs of this machine.
units=/run/user-units
mkdir "$units"
for unit in default.target basic.target sockets.target timers.target paths.target shutdown.target exit.target app.slice \
    systemd-exit.service graphical-session.target; do
    [ ! -e "/usr/lib/systemd/user/$unit" ] || cp "/usr/lib/systemd/user/$unit" "$units/"
done

as_user() {
    setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i \
        PATH="$PATH" HOME="$home" USER=somebody XDG_RUNTIME_DIR="$runtime" "$@"
}
as_user SYSTEMD_UNIT_PATH="$home/.config/systemd/user:$units" /usr/lib/systemd/systemd --user --log-target=console \
    >/run/manager.log 2>&1 &
tries=0
# Asked again and again, for half a minute: who could be asked to wait (`--wait`) has to be there first.
until as_user systemctl --user is-system-running >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" = 300 ] || ! kill -0 $! 2>/dev/null; then
        cat /run/manager.log >&2
        exit 97
    fi
    sleep 0.1
done
status=0
as_user "$@" || status=$?
[ "$status" = 0 ] || cat /run/manager.log >&2
exit "$status"
