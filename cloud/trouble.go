package cloud

import (
	"context"
	"errors"
)

// Trouble is why something of a cloud could not be read, for an operator. Its text
// is the same each time for the same cause: ids of requests and times are not in it,
// so that a log can tell a change from a repetition.
type Trouble struct {
	Doing string // what was tried: "describe the interfaces of eu-central-1"
	Err   error
	Mend  string // what to do; "" nothing but to wait
}

func (t *Trouble) Error() string {
	if t.Err == nil {
		return t.Doing
	}
	return t.Doing + ": " + t.Err.Error()
}

// Unwrap gives the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Mend tells what to do about an error; "" where that is not known.
func Mend(err error) string {
	var t *Trouble
	if errors.As(err, &t) {
		return t.Mend
	}
	return ""
}

// Checker is a Source that can tell beforehand whether it would be answered.
type Checker interface {
	Source
	// Check tries credentials and each permission that Fetch needs, and changes
	// nothing. It gives one Finding for each, good or bad.
	Check(context.Context) []Finding
}

// Finding is the outcome of one trial.
type Finding struct {
	About string // credentials, ec2:DescribeInstances, …
	Found string // what was seen
	OK    bool
	Why   string // what is missing because of it; "" where OK
	Mend  string
}
