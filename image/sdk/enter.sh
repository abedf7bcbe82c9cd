#!/bin/bash
# The first process of the namespaces that `dev` makes. It mounts what the command needs, starts it, passes signals on and
# ends with the command's status; the kernel then ends whatever the command left behind, and every mount goes with it.
#   enter.sh --root FOLDER SCRIPT ARGS...   in the SDK root, with the machine's own files at their usual paths
#   enter.sh --native SCRIPT ARGS...        on the machine as it is
#   enter.sh --host COMMAND ARGS...         the same, for a program that makes a root
# The root stays as it was made: writes to it go to memory and are forgotten. (The awkward part: process 1 of a namespace
# ignores every signal it has no handler for, and bash lets handlers wait for a foreground child, hence `&` and `wait`.)
set -euo pipefail

say() { printf 'dev: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# How long a command may take to end after a signal before everything is killed.
readonly kGraceSeconds=20

# A Ctrl-C at the terminal reaches the command by itself; USR1 is an interrupt that was sent to `dev` alone. An interrupted
# command may take its time (it may be a shell), one that is told to end has a limited time.
child=
pass_on() {
  [[ -n $child ]] || exit 143
  kill -s "$1" "$child" 2>/dev/null || true
  [[ $1 == INT ]] || { sleep "$kGraceSeconds" && kill -KILL "$child"; } &
}
trap : INT
trap 'pass_on INT' USR1
trap 'pass_on TERM' TERM HUP

mode=$1
shift
root=/
if [[ $mode == --root ]]; then
  root=$1
  shift
fi

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# bind PATH: shows the machine's file or folder at the same path inside.
bind() {
  [[ -e $1 ]] || return 0
  if [[ -d $1 ]]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}" && touch "$root$1"; fi
  mount --rbind "$1" "$root$1"
}

# visible PATH: whether the machine's PATH is already what one sees at PATH inside.
visible() { [[ -e $root$1 && $(stat -c %d:%i "$1") == $(stat -c %d:%i "$root$1") ]]; }

mount_root() {
  local layer=$NEARFIELD_CACHE/mount path
  # A tmpfs over a folder of the cache; both it and the overlay are seen by this namespace only.
  mkdir -p "$layer"
  mount -t tmpfs -o mode=755 nearfield "$layer"
  mkdir "$layer/upper" "$layer/work" "$layer/root"
  if mount -t overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root" 2>/dev/null; then
    root=$layer/root
  else
    mount --rbind "$root" "$layer/root"  # no overlays here: writes to the root stay
    root=$layer/root
  fi

  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
  mkdir -m 700 "$root/run/home"
  mkdir -p "$root/run/lock"
  cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || true
  cat /etc/hosts >"$root/etc/hosts" 2>/dev/null || true
  cat /etc/localtime >"$root/etc/localtime" 2>/dev/null || true
  # The authorities this machine trusts, its own included (an office proxy's, say); npm needs them.
  [[ ! -s /etc/ssl/certs/ca-certificates.crt ]] || bind /etc/ssl/certs/ca-certificates.crt

  # Everything that is the user's and not the system's keeps its path: homes, /tmp, /mnt, a checkout in /work ...
  for path in /*; do
    case $path in
      /bin | /boot | /dev | /etc | /lib* | /lost+found | /proc | /run | /sbin | /sys | /usr | /var) continue ;;
    esac
    [[ -d $path && ! -L $path ]] && bind "$path"
  done
  for path in "$repo" "$NEARFIELD_CACHE" "$NEARFIELD_OWNER_HOME" "$NEARFIELD_STARTED_IN"; do
    [[ ! -d $path ]] || visible "$path" || bind "$path"
  done
}

# Only what has a meaning inside goes inside: a build must not depend on who starts it.
environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/run/home USER=root
             LOGNAME=root SHELL=/bin/bash TERM="${TERM:-dumb}" PYTHONDONTWRITEBYTECODE=1)
for name in CI COLUMNS NO_COLOR GTEST_COLOR CTEST_OUTPUT_ON_FAILURE PYTEST_ADDOPTS SUDO_UID SUDO_GID \
            http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY "${!NEARFIELD_@}" "${!npm_config_@}"; do
  [[ -z ${!name:-} ]] || environment+=("$name=${!name}")
done

case $mode in
  --root)
    mount_root || die "cannot mount the SDK root: see the line above; './dev clean --all' makes a new one next time"
    command=(chroot "$root" /usr/bin/env -i "${environment[@]}" bash "$@")
    ;;
  --native)
    mount -t proc -o nosuid,nodev,noexec proc /proc
    command=(bash "$@")
    ;;
  --host)
    mount -t proc -o nosuid,nodev,noexec proc /proc
    command=("$@")
    trap 'exit 143' INT TERM HUP USR1  # whatever it made is thrown away: nothing to wait for
    ;;
  *) die "enter.sh: unknown mode $mode" ;;
esac

{
  env --default-signal=INT,QUIT "${command[@]}" <&0 &
  child=$!
  status=0
  while :; do
    wait "$child" && status=0 || status=$?
    kill -0 "$child" 2>/dev/null || break
  done
  # When a signal ended the wait, that was its number; the child's own status can still be asked for.
  wait "$child" && again=0 || again=$?
  [[ $again -eq 127 ]] || status=$again
  exit "$status"
}
