#!/usr/bin/env bash
# Runs a command as the container does that docker-compose.yml describes, as far as Linux can do it without Docker:
# uid 1000 without capabilities, everything read-only but for the given tmpfs mounts. Must be root, in a mount
# namespace of its own (`unshare --mount`), and keeps its process id.
#   box.sh PYTHON_PREFIX SITE_PACKAGES CHECKOUT TMPFS... -- ARGUMENTS OF PYTHON
# A TMPFS is path:options, as Compose has it.
set -euo pipefail
python=$1 packages=$2 checkout=$3
shift 3

# The image's paths. These come first, because a tmpfs may hide where they are here.
mount -t tmpfs -o mode=755 home /home
mkdir -p /home/captcha/{app,python,packages,.camoufox,.config,.cache/mozilla}
chown -R 1000:1000 /home/captcha
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
exec setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set=-all --no-new-privs \
    /home/captcha/python/bin/python3 "$@"
