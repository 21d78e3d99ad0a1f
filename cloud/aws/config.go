package aws

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Config says what of AWS is read.
type Config struct {
	Enabled bool     `toml:"enabled" comment:"Read interfaces and instances of EC2."`
	Regions []string `toml:"regions" comment:"Regions, as [\"eu-central-1\"]. Empty: that of the environment or, if it says none, of this machine"`
	Profile string   `toml:"profile" comment:"Profile of ~/.aws/config, or of the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name. Empty:\nwhat the environment says, else the role of this machine. Programs (credential_process) are not run"`

	OwnAccount bool      `toml:"own_account" comment:"Read the account of the credentials. Others are tables of their own, each with a role of it to assume:\n\n  [[cloud.aws.accounts]]\n  role_arn = \"arn:aws:iam::123456789012:role/mirrorscope-read\"\n  external_id = \"…\"             # if the role asks for one\n  regions = [\"eu-west-1\"]       # if others than above"`
	Accounts   []Account `toml:"accounts,omitempty"`

	MirrorLoss        bool    `toml:"mirror_loss" comment:"Ask CloudWatch what Traffic Mirroring did not copy, of the instances whose mirrored packets come here. It\ncharges for each metric asked for: four of each instance, every five minutes"`
	RequestsPerSecond float64 `toml:"requests_per_second" comment:"The most requests of each account and region in a second. AWS lets all users of an account together make 20"`
}

// Account is another account than that of the credentials.
type Account struct {
	RoleARN    string   `toml:"role_arn"`
	ExternalID string   `toml:"external_id"`
	Regions    []string `toml:"regions"`
}

// DefaultConfig reads nothing; once enabled, the account and region of the machine.
func DefaultConfig() Config {
	return Config{Regions: []string{}, OwnAccount: true, MirrorLoss: true, RequestsPerSecond: 4}
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)
	roleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=,.@/-]+$`)
)

// Validate tells every field that cannot be used.
func (c *Config) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	regions := func(field string, list []string) {
		for i, r := range list {
			switch {
			case !regionName.MatchString(r):
				bad(field, "%q is no region, as eu-central-1", r)
			case slices.Contains(list[:i], r):
				bad(field, "%s is there twice", r)
			}
		}
	}
	regions("regions", c.Regions)
	for i := range c.Accounts {
		a := &c.Accounts[i]
		field := fmt.Sprintf("accounts[%d]", i)
		if !roleARN.MatchString(a.RoleARN) {
			bad(field+".role_arn", "%q is no role, as arn:aws:iam::123456789012:role/mirrorscope-read", a.RoleARN)
		}
		if slices.ContainsFunc(c.Accounts[:i], func(o Account) bool { return o.RoleARN == a.RoleARN }) {
			bad(field+".role_arn", "%s is there twice; give it several regions", a.RoleARN)
		}
		regions(field+".regions", a.Regions)
	}
	if c.RequestsPerSecond <= 0 || c.RequestsPerSecond > 20 {
		bad("requests_per_second", "%v is not above 0 and at most 20", c.RequestsPerSecond)
	}
	if c.Enabled && !c.OwnAccount && len(c.Accounts) == 0 {
		bad("own_account", "is false, and no accounts are given: there is nothing to read")
	}
	return errors.Join(errs...)
}
