#!/usr/bin/env bash
# Runs a command under its own systemd, as root: the machine's systemd binary is process 1 of new namespaces, in a
# network that has only lo. It knows the units that the command installs and a few empty targets. Files that are
# written to /etc, /var/lib and /usr/local/bin are gone at the end. Exits with the command's status.
#
#   in-systemd.sh COMMAND [ARGUMENT…]
set -euo pipefail

outer() {
  local group=/run/cgroup/vxlan-to-http-$$ status=70
  mount -t tmpfs -o mode=755 none /run
  mkdir /run/cgroup
  mount -t cgroup2 none /run/cgroup
  mkdir "$group"
  mkfifo /run/status
  exec 3<>/run/status
  echo $$ >"$group/cgroup.procs"
  unshare --cgroup --pid --fork --kill-child --mount --mount-proc --uts --ipc --net "$0" --inner "$@" &
  namespaces=$!
  trap 'kill -KILL "$namespaces" 2>/dev/null || true' EXIT
  trap 'exit 70' TERM INT
  until read -rt 1 status <&3; do kill -0 "$namespaces" || break; done
  # Process 1 ends with it, and all others end with process 1.
  { kill -KILL "$namespaces" && wait "$namespaces"; } 2>/dev/null || true
  echo $$ >/run/cgroup/cgroup.procs
  for _ in {1..100}; do
    if find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; then break; fi
    sleep 0.05
  done
  exit "${status:-70}"
}

# covered DIRECTORY: from now on, files that are written there go to memory
covered() {
  local over=/run/over$1
  mkdir -p "$over/upper" "$over/work"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$over/upper,workdir=$over/work" "$1"
}

inner() {
  local directory target
  # A systemd raises limits of the whole machine at its start, if it can.
  mount --bind /proc/sys /proc/sys
  mount -o remount,bind,ro /proc/sys
  # This systemd sees only the tests' own directory of groups.
  umount -R /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
  for directory in /etc /var/lib /usr/local/bin; do covered "$directory"; done
  mount -t tmpfs none /etc/systemd/system
  mkdir /run/units
  for target in sysinit basic shutdown umount network network-online multi-user started; do
    printf '[Unit]\nDefaultDependencies=no\n' >"/run/units/$target.target"
  done
  ip link set lo up
  export SYSTEMD_UNIT_PATH=/run/units:/etc/systemd/system container=vxlan-to-http
  command "$@" &
  exec "$systemd" --system --log-target=null --show-status=no --unit=started.target
}

# command COMMAND…: beside systemd, after systemd has started; ends everything at its end
command() {
  local status=0
  until [ "$(systemctl is-active started.target 2>/dev/null)" = active ]; do sleep 0.05; done
  "$@" || status=$?
  echo "$status" >/run/status
}

for systemd in /usr/lib/systemd/systemd /lib/systemd/systemd; do [ ! -x "$systemd" ] || break; done
case $1 in
  --private) shift && outer "$@" ;;
  --inner) shift && inner "$@" ;;
  *) exec unshare --mount "$0" --private "$@" ;;
esac
