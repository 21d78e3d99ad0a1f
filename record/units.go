package record

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of octets that a configuration writes as "64MiB" or "2GiB".
// All units are powers of 1024.
type Size int64

// units by rising power of 1024.
var units = [...]string{"", "KiB", "MiB", "GiB", "TiB"}

// String gives the largest unit of which the size is a whole number.
func (s Size) String() string {
	n, i := int64(s), 0
	for ; i < len(units)-1 && n != 0 && n%1024 == 0; i++ {
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	for i := len(units) - 1; i >= 0; i-- {
		number, ok := strings.CutSuffix(string(text), units[i])
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if n = math.Ldexp(n, 10*i); err != nil || !(n >= 0 && n < math.MaxInt64) {
			break
		}
		*s = Size(n)
		return nil
	}
	return fmt.Errorf("%q is no size; write 64MiB or 2GiB", text)
}

// Duration is a time that a configuration writes as "30s", "10m" or "1h30m".
type Duration time.Duration

// String leaves out the zeros that time.Duration adds.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration; write 30s, 10m or 1h", text)
	}
	*d = Duration(v)
	return nil
}
