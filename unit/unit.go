// Package unit has the types of what people write in configurations and flags:
// sizes and durations.
package unit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of octets that is written as "64MiB", "2GiB", "2G" or
// "65536". All units are powers of 1024, as memory is counted. It is a flag's
// value as well, which must not be 0.
type Size int64

// sizeUnits by the letter that they start with.
const sizeUnits = "KMGT"

// String gives the largest unit of which the size is a whole number.
func (s Size) String() string {
	n, unit := int64(s), ""
	for i := 0; i < len(sizeUnits) && n != 0 && n%1024 == 0; i++ {
		n, unit = n/1024, sizeUnits[i:i+1]+"iB"
	}
	return strconv.FormatInt(n, 10) + unit
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	number := strings.TrimRight(string(text), "KMGTiBbkmgt ")
	unit := strings.ToUpper(strings.TrimSpace(string(text[len(number):])))
	shift := 0
	if unit != "" && unit != "B" {
		i := strings.IndexByte(sizeUnits, unit[0])
		if rest := unit[1:]; i < 0 || rest != "" && rest != "B" && rest != "IB" {
			return fmt.Errorf("unknown unit %q; take KiB, MiB, GiB or TiB", text[len(number):])
		}
		shift = 10 * (i + 1)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return fmt.Errorf("%q is no size; write 512MiB or 2GiB", text)
	}
	if n = math.Ldexp(n, shift); n >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = Size(n)
	return nil
}

// Set implements pflag.Value.
func (s *Size) Set(text string) error {
	var n Size
	if err := n.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%q is no size; write 512MiB or 2GiB", text)
	}
	*s = n
	return nil
}

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// Duration is a time that is written as "30s", "10m" or "1h30m".
type Duration time.Duration

// String leaves out the zeros that time.Duration adds: "1h", not "1h0m0s".
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
