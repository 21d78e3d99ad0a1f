package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a flag for a number of octets: "512MiB", "2G", "1073741824". All
// units are powers of 1024, as memory is counted.
type size int64

// sizeUnits by the letter that they start with.
const sizeUnits = "KMGT"

func (s *size) String() string {
	n, unit := int64(*s), ""
	for i := 0; i < len(sizeUnits) && n > 0 && n%1024 == 0; i++ {
		n, unit = n/1024, sizeUnits[i:i+1]+"iB"
	}
	return strconv.FormatInt(n, 10) + unit
}

func (s *size) Set(text string) error {
	number := strings.TrimRight(text, "KMGTiBbkmgt ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(number):]))
	shift := 0
	if unit != "" && unit != "B" {
		i := strings.IndexByte(sizeUnits, unit[0])
		if rest := unit[1:]; i < 0 || rest != "" && rest != "B" && rest != "IB" {
			return fmt.Errorf("unknown unit %q; take KiB, MiB, GiB or TiB", text[len(number):])
		}
		shift = 10 * (i + 1)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n <= 0 {
		return fmt.Errorf("%q is no size; write 512MiB or 2GiB", text)
	}
	n = math.Ldexp(n, shift)
	if n >= math.MaxInt64 {
		return fmt.Errorf("%q is too large", text)
	}
	*s = size(n)
	return nil
}

func (s *size) Type() string { return "size" }
