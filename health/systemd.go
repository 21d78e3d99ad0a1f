package health

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Where no service manager asks to be notified (NOTIFY_SOCKET), the functions
// below do nothing.

// NotifyReady says that the start, or a reload, is complete (Type=notify and
// Type=notify-reload). status is for `systemctl status`, one line.
func NotifyReady(status string) error { return notify(daemon.SdNotifyReady, statusLine(status)) }

// NotifyStatus changes the status line.
func NotifyStatus(status string) error { return notify(statusLine(status)) }

// NotifyReloading says that a reload has begun. NotifyReady ends it.
func NotifyReloading() error {
	return notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// NotifyStopping says that the end has begun.
func NotifyStopping(status string) error {
	return notify(daemon.SdNotifyStopping, statusLine(status))
}

// statusLine keeps a status from being more than that.
func statusLine(status string) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, status)
}

func notify(lines ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// Watchdog tells the service manager that the process lives (WatchdogSec=), for
// as long as beat goes on: it gives a number that grows with each turn of the
// capture loop, idle ones included, and may be called from any goroutine. When
// the loop hangs, nothing is told, and the service manager ends the process. It
// returns with ctx, and at once where there is no watchdog; its error is that of
// the last message.
func Watchdog(ctx context.Context, beat func() uint64) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog of the service manager: %w", err)
	}
	if limit == 0 {
		return nil
	}
	tick := time.NewTicker(limit / 3) // one that comes late, or is lost, does no harm
	defer tick.Stop()
	for last := beat(); ; {
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
		if now := beat(); now != last {
			last = now
			err = notify(daemon.SdNotifyWatchdog)
		}
	}
}
