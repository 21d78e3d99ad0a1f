package live

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Micros is a duration in ns that JSON has in µs, with up to three decimals.
type Micros int64

func micros(ns float64) Micros { return Micros(math.Round(ns)) }

func (m Micros) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(m)/1e3, 'f', -1, 64), nil
}

func (m *Micros) UnmarshalJSON(b []byte) error {
	us, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(us) > math.MaxInt64/1e3 {
		return fmt.Errorf("%q is no number of microseconds", b)
	}
	*m = Micros(math.Round(us * 1e3))
	return nil
}

// Moment is ns since the Unix epoch: in JSON RFC 3339, UTC, always with nine
// decimals.
type Moment int64

const momentLayout = "2006-01-02T15:04:05.000000000Z"

func (m Moment) MarshalJSON() ([]byte, error) {
	return time.Unix(0, int64(m)).UTC().AppendFormat(nil, `"`+momentLayout+`"`), nil
}

func (m *Moment) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(`"`+momentLayout+`"`, string(b))
	if err != nil {
		return err
	}
	*m = Moment(t.UnixNano())
	return nil
}

// Ratio is a share, in JSON with four decimals.
type Ratio float64

func (r Ratio) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(float64(r)*1e4)/1e4, 'f', -1, 64), nil
}
