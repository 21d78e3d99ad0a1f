package mirror

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
)

// code gives the error code of the API; "" the error is not one of the API.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// explain says in short what went wrong: the API's code and message, without the
// way they took.
func explain(err error) string {
	var e smithy.APIError
	switch {
	case errors.As(err, &e):
		return e.ErrorCode() + ": " + e.ErrorMessage()
	case errors.Is(err, context.Canceled):
		return "stopped"
	}
	return err.Error()
}

// notFound tells whether an id does not exist, and of what kind it was by a part
// of the code; "" any.
func notFound(err error, kind string) bool {
	c := code(err)
	return strings.HasSuffix(c, ".NotFound") && strings.Contains(c, kind)
}

// limitReached tells whether a quota is used up. The codes are not documented one
// by one; being throttled is another thing.
func limitReached(err error) bool {
	c := code(err)
	return strings.HasSuffix(c, "LimitExceeded") && !throttled(err)
}

func throttled(err error) bool {
	switch code(err) {
	case "RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "TooManyRequestsException", "EC2ThrottledException", "ClientRequestLimitExceeded":
		return true
	}
	return false
}

// ofInterface tells whether the quota is that of a source.
func ofInterface(err error) bool { return strings.Contains(code(err), "PerInterface") }

// refusedForGood tells whether asking again soon makes no sense: the API has
// understood what it was asked for, and does not want it.
func refusedForGood(err error) bool {
	var e smithy.APIError
	if !errors.As(err, &e) || throttled(err) || notFound(err, "") {
		return false
	}
	switch e.ErrorCode() {
	case "UnauthorizedOperation", "AuthFailure", "RequestExpired", "InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable", "IdempotentParameterMismatch":
		return false
	}
	return e.ErrorFault() != smithy.FaultServer
}

// Answers to a dry run.
const (
	codeWouldWork    = "DryRunOperation"
	codeUnauthorized = "UnauthorizedOperation"
)
