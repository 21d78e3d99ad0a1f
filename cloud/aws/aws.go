// Package aws reads from EC2 what stands behind addresses, and from CloudWatch what
// Traffic Mirroring could not copy.
//
// Each account and region is a cloud.Source, so that what befalls one, a missing
// permission or a throttled API, has no part in the others. A look is four lists,
// in pages of a thousand: DescribeNetworkInterfaces, which is the index of all
// addresses, of managed services too, DescribeInstances, DescribeSubnets and
// DescribeVpcs. Only the whole of them is a Snapshot.
//
// The SDK signs, pages, and tries again with a backoff; each attempt waits for room
// below a rate that is far under what EC2 allows an account (Describe* 20 a second,
// 10 for a list of interfaces or instances without pages; API reference, Request
// throttling). Nothing of the SDK is set up before the first look.
package aws

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"mirrorscope/cloud"
)

// Provider is what Interface.Provider says of AWS.
const Provider = "aws"

// own stands for the account of the credentials, and here for the region of the
// machine, where the configuration does not name it.
const (
	own  = "own"
	here = "here"
)

// Sources gives one for each account and region. The Config must be valid. None of
// them does anything yet.
func Sources(c Config) []cloud.Source {
	s := &session{cfg: c, attempts: 6, backoff: 20 * time.Second}
	var all []cloud.Source
	add := func(a Account) {
		regions := a.Regions
		if len(regions) == 0 {
			regions = c.Regions
		}
		if len(regions) == 0 {
			regions = []string{""}
		}
		for _, r := range regions {
			p := &place{session: s, account: a, region: r, limit: rate.NewLimiter(rate.Limit(c.RequestsPerSecond), int(max(c.RequestsPerSecond, 1)))}
			if c.MirrorLoss {
				all = append(all, &metered{p})
			} else {
				all = append(all, p)
			}
		}
	}
	if c.OwnAccount {
		add(Account{})
	}
	for _, a := range c.Accounts {
		add(a)
	}
	return all
}

// Reach is what a process still needs once it has given up its rights.
func Reach(c Config) cloud.Reach {
	r := cloud.Client()
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CA_BUNDLE"} {
		r.AddFile(os.Getenv(name))
	}
	if home, err := os.UserHomeDir(); err == nil {
		r.AddFile(filepath.Join(home, ".aws"))
	}
	for _, e := range os.Environ() { // AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_EC2, AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_CONTAINER_CREDENTIALS_FULL_URI
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") && strings.Contains(value, "://") {
			r.AddURL(value)
		}
	}
	return r
}

// session is what all places have in common. Its fields are set before the first
// look.
type session struct {
	cfg      Config
	attempts int
	backoff  time.Duration // the longest between two attempts

	mu   sync.Mutex
	base *aws.Config                        // nil: not loaded yet
	as   map[string]aws.CredentialsProvider // by role, as one token is good for all regions
}

// load reads the configuration of the SDK, once it can be.
func (s *session) load(ctx context.Context) (aws.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base != nil {
		return *s.base, nil
	}
	client := awshttp.NewBuildableClient().WithTimeout(time.Minute).WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = 30 * time.Second
		t.MaxIdleConnsPerHost = 2
	})
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}), // errors come back, and are told once
		config.WithAppID("mirrorscope"),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = s.attempts, s.backoff })
		}),
		config.WithEC2IMDSRegion(), // asked only where nothing else tells
	}
	if s.cfg.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(s.cfg.Profile))
	}
	if len(s.cfg.Regions) > 0 {
		options = append(options, config.WithRegion(s.cfg.Regions[0]))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	service, _ := innermost(err)
	switch {
	case service == "ec2imds", err == nil && cfg.Region == "":
		return aws.Config{}, &cloud.Trouble{Doing: "no region is known, and the machine's metadata service does not tell", Mend: "set cloud.aws.regions"}
	case err != nil:
		return aws.Config{}, trouble("read the configuration of AWS", "", err)
	}
	if program := credentialProcess(&cfg); program != "" {
		// Behind Landlock it could not be run, and without it would have what the
		// capture has open.
		return aws.Config{}, &cloud.Trouble{Doing: fmt.Sprintf("the profile's credentials come from a program (%s), and the sensor runs none", program), Mend: "give this machine a role, or a profile with a key or a role (docs/how-to/aws.md)"}
	}
	cfg.HTTPClient = cloud.KeepBodies(cfg.HTTPClient)
	s.base = &cfg
	return cfg, nil
}

// credentialProcess is the program that the profile names to get credentials from, if
// they would come from there.
func credentialProcess(cfg *aws.Config) string {
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" {
		return "" // goes before the profile
	}
	for _, s := range cfg.ConfigSources {
		for shared, ok := s.(config.SharedConfig); ok; {
			if shared.CredentialProcess != "" && !shared.Credentials.HasKeys() {
				return shared.CredentialProcess
			}
			if ok = shared.Source != nil; ok {
				shared = *shared.Source // of a role
			}
		}
	}
	return ""
}

// credentials gives those of an account, given the SDK's configuration.
func (s *session) credentials(cfg aws.Config, a Account) aws.CredentialsProvider {
	if a.RoleARN == "" {
		return cfg.Credentials
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.as[a.RoleARN]; ok {
		return p
	}
	p := aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), a.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "mirrorscope"
		if a.ExternalID != "" {
			o.ExternalID = &a.ExternalID
		}
	}))
	if s.as == nil {
		s.as = map[string]aws.CredentialsProvider{}
	}
	s.as[a.RoleARN] = p
	return p
}

// place is one account and region: a cloud.Source.
type place struct {
	*session
	account Account
	region  string // "": of the machine
	limit   *rate.Limiter
}

// Name implements cloud.Source.
func (p *place) Name() string {
	account := own
	if m := roleARN.FindStringSubmatch(p.account.RoleARN); m != nil {
		account = m[1]
		if p.several(account) {
			account = p.account.RoleARN
		}
	}
	return fmt.Sprintf("%s/%s/%s", Provider, account, cmp.Or(p.region, here))
}

// several tells whether an account is read by more than one role.
func (p *place) several(account string) bool {
	n := 0
	for _, a := range p.cfg.Accounts {
		if m := roleARN.FindStringSubmatch(a.RoleARN); m != nil && m[1] == account {
			n++
		}
	}
	return n > 1
}

// clients of one place.
type clients struct {
	region     string
	ec2        *ec2.Client
	cloudwatch *cloudwatch.Client
	sts        *sts.Client
}

func (p *place) clients(ctx context.Context) (*clients, error) {
	cfg, err := p.load(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Credentials = p.credentials(cfg, p.account)
	if p.region != "" {
		cfg.Region = p.region
	}
	cfg.APIOptions = append(cfg.APIOptions[:len(cfg.APIOptions):len(cfg.APIOptions)], p.slow)
	return &clients{region: cfg.Region, ec2: ec2.NewFromConfig(cfg), cloudwatch: cloudwatch.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg)}, nil
}

// slow has each attempt of a request wait until the rate allows it.
func (p *place) slow(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("mirrorscope/rate", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if err := p.limit.Wait(ctx); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		return next.HandleFinalize(ctx, in)
	}), "Retry", middleware.After)
}
