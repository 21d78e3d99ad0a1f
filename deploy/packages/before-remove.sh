#!/bin/sh
# Before removal, not before an upgrade. dpkg says "remove", rpm says 0.
#
# Guards stay in the kernel until the machine is started again: that the package
# goes is no reason for an interface to begin to answer.
set -e

case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now mirrorscope.service || true
fi
rm -f /etc/systemd/system/multi-user.target.wants/mirrorscope.service /etc/systemd/system/*.wants/mirrorscope-guard@*.service
