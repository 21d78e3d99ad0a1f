package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"mirrorscope/cloud"
)

// attempts is how often a call is tried that is throttled, or whose answer is lost.
const attempts = 8

// Session settings of the client: as other AWS programs have them, and what the
// desired state says in their place.
func (a *AWS) load(ctx context.Context) (aws.Config, error) {
	// A client of its own, or the SDK takes one later that cannot be wrapped.
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(awshttp.NewBuildableClient())}
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	}
	if a.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(a.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("settings of AWS: %w", err)
	}
	if cfg.Region == "" {
		return cfg, errors.New("no region of AWS: give aws.region, or set AWS_REGION")
	}
	cfg.HTTPClient = cloud.KeepBodies(cfg.HTTPClient)
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.RateLimiter = ratelimit.None // Limit is ours; a long run of throttling is waited for
		})
	}
	if a.Role != "" {
		provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), a.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "mirrorscope"
			if a.ExternalID != "" {
				o.ExternalID = aws.String(a.ExternalID)
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(provider)
	}
	return cfg, nil
}

// NewClient gives the client for a desired state: where and as whom it says, and
// not faster than it says.
func NewClient(ctx context.Context, c *Config) (*ec2.Client, error) {
	cfg, err := c.AWS.load(ctx)
	if err != nil {
		return nil, err
	}
	return ec2.NewFromConfig(cfg, NewLimit(c.Rate.ChangesPerSecond).Apply), nil
}

// Limit holds calls that change something back, each attempt of them, so that no
// more than a number of them are begun in any second. It may be used by several
// goroutines.
type Limit struct {
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error

	gap  time.Duration
	mu   sync.Mutex
	next time.Time // when the next call may begin
}

// NewLimit gives a limit of so many calls a second, evenly spaced.
func NewLimit(perSecond float64) *Limit {
	return &Limit{Now: time.Now, Sleep: sleep, gap: time.Duration(float64(time.Second) / perSecond)}
}

// Apply makes it hold for a client; an option of ec2.New.
func (l *Limit) Apply(o *ec2.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		wait := middleware.FinalizeMiddlewareFunc("LimitChanges", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if mutating[awsmiddleware.GetOperationName(ctx)] {
				if err := l.wait(ctx); err != nil {
					return middleware.FinalizeOutput{}, middleware.Metadata{}, err
				}
			}
			return next.HandleFinalize(ctx, in)
		})
		return stack.Finalize.Insert(wait, "Retry", middleware.After) // once for each attempt
	})
}

func (l *Limit) wait(ctx context.Context) error {
	l.mu.Lock()
	now := l.Now()
	at := now
	if l.next.After(at) {
		at = l.next
	}
	l.next = at.Add(l.gap)
	l.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		return l.Sleep(ctx, d)
	}
	return ctx.Err()
}

// sleep waits, or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
