#!/bin/sh
# After removal. `apt purge` takes what the sensor has written, too; the user
# stays, since files elsewhere may be its. rpm knows no purge.
set -e

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/mirrorscope
fi
