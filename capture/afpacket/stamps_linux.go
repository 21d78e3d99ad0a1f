package afpacket

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// maxClockOffset is how far a card's clock may be from the machine's. One that
// nothing synchronises is off by years, one that runs on TAI by 37 s.
const maxClockOffset = 10 * time.Millisecond

// stamps is what was decided on time stamps.
type stamps struct {
	hardware bool
	why      string
	before   *unix.HwTstampConfig // the card's setting before ours; nil where it was not changed
}

// chooseStamps decides by the interface's abilities, and switches the card's
// stamps on. It fails only where the configuration insists on them.
func chooseStamps(control int, name, want string) (stamps, error) {
	if want == stampsSoftware {
		return stamps{why: "configured"}, nil
	}
	s, err := hardwareStamps(control, name)
	switch {
	case err == nil:
		return s, nil
	case want == stampsHardware:
		return stamps{}, fmt.Errorf("hardware time stamps: %w", err)
	}
	return stamps{why: err.Error()}, nil
}

func hardwareStamps(control int, name string) (stamps, error) {
	info, err := unix.IoctlGetEthtoolTsInfo(control, name)
	if err != nil {
		return stamps{}, fmt.Errorf("the driver tells of none: %w", err)
	}
	if err := able(info); err != nil {
		return stamps{}, err
	}
	offset, err := clockOffset(fmt.Sprintf("/dev/ptp%d", info.Phc_index))
	if err != nil {
		return stamps{}, err
	}
	if offset.Abs() > maxClockOffset {
		return stamps{}, fmt.Errorf("the card's clock /dev/ptp%d is %v off the machine's: synchronise it (phc2sys)", info.Phc_index, offset)
	}
	s := stamps{hardware: true, why: fmt.Sprintf("the card stamps every frame, by the clock /dev/ptp%d, %v off the machine's", info.Phc_index, offset)}
	s.before, err = switchOn(control, name)
	return s, err
}

// errNoStamps is what a card without them gives. The others can be mended.
var errNoStamps = errors.New("the card has none")

// able tells what the card lacks.
func able(info *unix.EthtoolTsInfo) error {
	const need = unix.SOF_TIMESTAMPING_RX_HARDWARE | unix.SOF_TIMESTAMPING_RAW_HARDWARE
	switch {
	case info.So_timestamping&need != need:
		return errNoStamps
	case info.Rx_filters&(1<<unix.HWTSTAMP_FILTER_ALL) == 0:
		return fmt.Errorf("%w but for PTP", errNoStamps)
	case info.Phc_index < 0:
		return errors.New("the card has no clock that can be read")
	}
	return nil
}

// switchOn has the card stamp every frame that it receives, and gives the
// setting that was in force if it was another.
func switchOn(control int, name string) (*unix.HwTstampConfig, error) {
	before, err := unix.IoctlGetHwTstamp(control, name)
	if err != nil {
		before = &unix.HwTstampConfig{} // a driver that cannot tell; off is what it starts with
	}
	if before.Rx_filter == unix.HWTSTAMP_FILTER_ALL {
		return nil, nil
	}
	set := *before
	set.Rx_filter = unix.HWTSTAMP_FILTER_ALL
	if err := unix.IoctlSetHwTstamp(control, name, &set); err != nil {
		return nil, fmt.Errorf("switch the card's stamps on (needs CAP_NET_ADMIN): %w", err)
	}
	return before, nil
}

// switchBack is switchOn undone, as far as the process still may.
func (s *stamps) switchBack(control int, name string) {
	if s.before != nil {
		_ = unix.IoctlSetHwTstamp(control, name, s.before) // not possible without CAP_NET_ADMIN, and harmless
		s.before = nil
	}
}

// clockOffset is by how much a PTP hardware clock is ahead of the machine's.
func clockOffset(path string) (time.Duration, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open the card's clock %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var card unix.Timespec
	before := time.Now()
	if err := unix.ClockGettime(unix.FdToClockID(fd), &card); err != nil {
		return 0, fmt.Errorf("read the card's clock %s: %w", path, err)
	}
	middle := before.Add(time.Since(before) / 2)
	return time.Unix(card.Unix()).Sub(middle), nil
}
