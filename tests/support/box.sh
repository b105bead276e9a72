#!/usr/bin/env bash
# Runs a command as the container does that docker-compose.yml describes, as far as Linux can do it without Docker: a
# user without capabilities, everything read-only but for the given tmpfs mounts. Must be root, in a mount namespace of
# its own (`unshare --mount`), and keeps its process id.
#   box.sh UID:GID HOME PYTHON_PREFIX SITE_PACKAGES CHECKOUT TMPFS... -- ARGUMENTS OF PYTHON
# HOME is a folder that is as the image has /home/captcha, with app, python and packages for the other three. A TMPFS is
# path:options, as Compose has it.
set -euo pipefail
user=$1 home=$2 python=$3 packages=$4 checkout=$5
shift 5

# The image's paths. These come first, because a tmpfs may hide where they are here.
mount -t tmpfs -o mode=755 home /home
mkdir /home/captcha
mount --bind "$home" /home/captcha
mount --bind "$checkout" /home/captcha/app
mount --bind "$python" /home/captcha/python
mount --bind "$packages" /home/captcha/packages

# Read-only is everything that Docker makes so; /dev/shm, which `shm_size` is about, stays writable.
while read -r _ path _; do
    case $path in
    /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) ;;
    *) mount -o remount,bind,ro "$path" ;;
    esac
done </proc/self/mounts

while [[ $1 != -- ]]; do
    # noexec, nosuid and nodev are what Docker starts from.
    mount -t tmpfs -o "noexec,nosuid,nodev,${1#*:}" tmpfs "${1%%:*}"
    shift
done
shift

cd /home/captcha/app
export HOME=/home/captcha LD_LIBRARY_PATH=/home/captcha/python/lib PYTHONPATH=/home/captcha/app:/home/captcha/packages PYTHONDONTWRITEBYTECODE=1
unset TMPDIR
exec setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --bounding-set=-all --no-new-privs \
    /home/captcha/python/bin/python3 "$@"
