package aws

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"

	"mirrorscope/cloud"
)

// changing are the parts of messages that differ each time.
var changing = regexp.MustCompile(`(?i)\s*(encoded authorization failure message:.*|\(?request ?id:? [0-9a-f-]+\)?)`)

// trouble makes an error of the SDK one for an operator. action is the permission
// that was needed; "" none.
func trouble(doing, action string, err error) error {
	var already *cloud.Trouble
	if errors.As(err, &already) {
		return err
	}
	code, message := "", ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), strings.TrimSpace(changing.ReplaceAllString(api.ErrorMessage(), ""))
	}
	service, operation := innermost(err)
	if operation == "AssumeRole" {
		doing, action = "assume the role", assume
	}
	if action != "" {
		doing = fmt.Sprintf("%s by %s", doing, action)
	}
	mend := mendOf(code, action)
	cause := cloud.Cause(err, code, message)
	switch {
	case mend != "":
	case code == "" && service != "STS" && lacking.MatchString(err.Error()):
		// Whatever the last place said in which they were looked for.
		cause = errors.New("there are no credentials")
		mend = "give this machine a role (IAM instance profile) with the policy of docs/how-to/aws.md, with the metadata service's hop limit at 2 in a container; or set cloud.aws.profile"
	default:
		mend = cloud.Unreachable(err)
	}
	return &cloud.Trouble{Doing: doing, Err: cause, Mend: mend}
}

// innermost is the call that failed: credentials are asked for within other calls.
func innermost(err error) (service, operation string) {
	var op *smithy.OperationError
	for errors.As(err, &op) {
		service, operation, err = op.Service(), op.Operation(), op.Err
	}
	return service, operation
}

// lacking are the errors of an SDK that finds no credentials.
var lacking = regexp.MustCompile(`get credentials|failed to refresh cached credentials|no EC2 IMDS role`)

func mendOf(code, action string) string {
	switch code {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AccessDeniedFault":
		if action == assume || action == "" {
			return "let the role be assumed: sts:AssumeRole in the policy of the sensor, its identity and the external id in the role's trust policy"
		}
		return "allow " + action + " in the policy of the identity (docs/how-to/aws.md)"
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken":
		return "the credentials are not valid there: see whether the key still exists, the region is enabled for the account, and the clock of this machine is right"
	case "OptInRequired":
		return "enable the region for the account, or take it out of cloud.aws.regions"
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return "renew the credentials, or let the machine's role give them; see whether its clock is right"
	case "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException":
		return "others use up the limit of the account; it is tried again later. Lower cloud.aws.requests_per_second, or raise cloud.period"
	}
	return ""
}

// assume is the permission to take the role of another account.
const assume = "sts:AssumeRole"
