#!/bin/sh
# After unpacking, first and at upgrades. Nothing is enabled or started: the
# interface to capture on is not known yet. A sensor that runs is restarted.
set -e

getent group mirrorscope >/dev/null || groupadd --system mirrorscope
getent passwd mirrorscope >/dev/null || useradd --system --gid mirrorscope --home-dir /var/lib/mirrorscope --no-create-home \
	--shell /usr/sbin/nologin --comment "Mirrorscope sensor" mirrorscope

# A sensor that does not come back is told by systemctl, and is no reason to
# leave the package half installed.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	systemctl try-restart mirrorscope.service || true
fi
