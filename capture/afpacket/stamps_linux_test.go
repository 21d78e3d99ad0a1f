package afpacket

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a card must be able to do, by what ethtool tells of it. A veth, as all
// devices that can be made here, has none.
func TestAble(t *testing.T) {
	const rx, raw, all, ptp = unix.SOF_TIMESTAMPING_RX_HARDWARE, unix.SOF_TIMESTAMPING_RAW_HARDWARE, 1 << unix.HWTSTAMP_FILTER_ALL, 1 << unix.HWTSTAMP_FILTER_PTP_V2_EVENT
	for _, tc := range []struct {
		name string
		info unix.EthtoolTsInfo
		want string
	}{
		{"every frame", unix.EthtoolTsInfo{So_timestamping: rx | raw, Rx_filters: all | ptp | 1, Phc_index: 0}, ""},
		{"software only", unix.EthtoolTsInfo{So_timestamping: unix.SOF_TIMESTAMPING_RX_SOFTWARE, Phc_index: -1}, "the card has none"},
		{"only what it sends", unix.EthtoolTsInfo{So_timestamping: unix.SOF_TIMESTAMPING_TX_HARDWARE | raw, Rx_filters: 1}, "the card has none"},
		{"PTP only", unix.EthtoolTsInfo{So_timestamping: rx | raw, Rx_filters: ptp | 1}, "the card has none but for PTP"},
		{"no clock", unix.EthtoolTsInfo{So_timestamping: rx | raw, Rx_filters: all, Phc_index: -1}, "no clock that can be read"},
	} {
		err := able(&tc.info)
		if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestSoftwareStampsSayWhy(t *testing.T) {
	l := newLab(t)
	l.pair()
	for stamps, why := range map[string]string{"auto": errNoStamps.Error(), "software": "configured"} {
		cfg := small()
		cfg.Timestamps = stamps
		f := l.open("cap0", cfg, -1).Facts()
		if f.Stamps != "software" || !strings.Contains(f.StampsWhy, why) {
			t.Errorf("%s: %s, %q, want software, %q", stamps, f.Stamps, f.StampsWhy, why)
		}
	}
	// A driver that knows nothing of stamps.
	defer unix.Close(l.tun("tun0"))
	cfg := small()
	cfg.Timestamps = "auto"
	if f := l.open("tun0", cfg, -1).Facts(); f.Stamps != "software" || f.StampsWhy == "" {
		t.Errorf("tun0: %s, %q", f.Stamps, f.StampsWhy)
	}
}

func TestClockOffset(t *testing.T) {
	if _, err := clockOffset("/dev/ptp-none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such clock: %v", err)
	}
	if _, err := clockOffset("/dev/null"); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("not a clock: %v", err)
	}
	clocks, _ := os.ReadDir("/sys/class/ptp")
	for _, c := range clocks {
		d, err := clockOffset("/dev/" + c.Name())
		if err != nil || d.Abs() > 100*365*24*time.Hour {
			t.Errorf("%s: %v, %v", c.Name(), d, err)
		}
	}
}
