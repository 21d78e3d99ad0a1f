// Package azure reads from Azure Resource Manager what stands behind addresses.
//
// Each subscription is a cloud.Source. A look lists network interfaces, public IP
// addresses, load balancers, virtual machines and scale sets; of scale sets in
// uniform orchestration, whose machines and interfaces are in no other list, also
// those. Only the whole of them is a Snapshot. One that vanishes between two lists
// is gone.
//
// Ids are those of resources, in lower case, as Azure does not care for case and its
// lists do not agree on it.
//
// The SDK pages, and tries again where Azure is busy; each attempt waits for room
// below a rate that is under the limit of a principal (250 reads, and 25 more each
// second; How Azure Resource Manager throttles requests).
package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/time/rate"

	inventory "mirrorscope/cloud"
)

// Provider is what Interface.Provider says of Azure.
const Provider = "azure"

// here stands for the subscription of the machine, where the configuration names
// none.
const here = "here"

var clouds = map[string]cloud.Configuration{"public": cloud.AzurePublic, "government": cloud.AzureGovernment, "china": cloud.AzureChina}

// Sources gives one for each subscription. The Config must be valid. None of them
// does anything yet.
func Sources(c Config) []inventory.Source {
	ids := c.Subscriptions
	if len(ids) == 0 {
		ids = []string{""}
	}
	var all []inventory.Source
	for _, id := range ids {
		limit := rate.NewLimiter(rate.Limit(c.RequestsPerSecond), int(max(c.RequestsPerSecond, 1)))
		all = append(all, &subscription{
			id: strings.ToLower(id), client: c.ClientID, machine: machineMetadata,
			options: policy.ClientOptions{
				Cloud:            clouds[c.Cloud],
				Retry:            policy.RetryOptions{MaxRetries: 4, RetryDelay: time.Second, MaxRetryDelay: 20 * time.Second, TryTimeout: time.Minute},
				Telemetry:        policy.TelemetryOptions{ApplicationID: "mirrorscope"},
				PerRetryPolicies: []policy.Policy{slow{limit}},
			},
		})
	}
	return all
}

// Reach is what a process still needs once it has given up its rights.
func Reach(Config) inventory.Reach {
	r := inventory.Client()
	for _, name := range []string{"AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		r.AddFile(os.Getenv(name))
	}
	for _, name := range []string{"AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"} {
		r.AddURL(os.Getenv(name))
	}
	return r
}

// subscription is an inventory.Source. Its fields are set before the first look.
type subscription struct {
	id      string // "": that of the machine
	client  string // id of the identity; "": any
	machine string // URL that tells the subscription of the machine
	options policy.ClientOptions

	mu         sync.Mutex
	real       string                 // id; "": not known yet
	credential azcore.TokenCredential // nil: not made yet
}

// Name implements inventory.Source.
func (s *subscription) Name() string {
	if s.id == "" {
		return Provider + "/" + here
	}
	return Provider + "/" + s.id
}

// slow has each attempt of a request wait until the rate allows it.
type slow struct{ limit *rate.Limiter }

// Do implements policy.Policy.
func (s slow) Do(r *policy.Request) (*http.Response, error) {
	if err := s.limit.Wait(r.Raw().Context()); err != nil {
		return nil, err
	}
	return r.Next()
}

// open finds credentials and subscription, once it can.
func (s *subscription) open(ctx context.Context) (id string, credential azcore.TokenCredential, o *arm.ClientOptions, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.real == "" {
		if s.real = s.id; s.real == "" {
			if s.real, err = s.ofMachine(ctx); err != nil {
				return "", nil, nil, err
			}
		}
	}
	if s.credential == nil {
		if s.credential, err = s.credentials(); err != nil {
			return "", nil, nil, trouble("find credentials", "", err)
		}
	}
	return s.real, s.credential, &arm.ClientOptions{ClientOptions: s.options, DisableRPRegistration: true}, nil
}

// credentials are those of the environment, of a pod, or of the machine: in the order
// of azidentity, without those that run programs.
func (s *subscription) credentials() (azcore.TokenCredential, error) {
	var chain []azcore.TokenCredential
	o := s.options
	o.PerRetryPolicies = nil // a token is no read
	if s.client == "" {
		if c, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: o}); err == nil {
			chain = append(chain, c)
		}
		if c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o}); err == nil {
			chain = append(chain, c)
		}
	}
	m := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: o}
	if s.client != "" {
		m.ID = azidentity.ClientID(s.client)
	}
	c, err := azidentity.NewManagedIdentityCredential(m)
	if err != nil {
		return nil, err
	}
	return azidentity.NewChainedTokenCredential(append(chain, c), nil)
}

// machineMetadata is where a machine of Azure is told its subscription.
const machineMetadata = "http://169.254.169.254/metadata/instance/compute/subscriptionId?api-version=2021-02-01&format=text"

func (s *subscription) ofMachine(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	unknown := &inventory.Trouble{Doing: "no subscription is known, and the machine's metadata service does not tell", Mend: "set cloud.azure.subscriptions"}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.machine, nil)
	if err != nil {
		return "", unknown
	}
	r.Header.Set("Metadata", "true")
	answer, err := (&http.Client{Transport: &http.Transport{Proxy: nil}}).Do(r) // proxies do not reach it
	if err != nil {
		return "", unknown
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	id, err := io.ReadAll(io.LimitReader(answer.Body, 100))
	if err != nil || answer.StatusCode != http.StatusOK || !uuid.Match(id) {
		return "", unknown
	}
	return strings.ToLower(string(id)), nil
}

// trouble makes an error of the SDK one for an operator. action is the permission
// that was needed; "" none.
func trouble(doing, action string, err error) error {
	if action != "" {
		doing += " by " + action
	}
	var already *inventory.Trouble
	var api *azcore.ResponseError
	var denied *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &already):
		return err
	case errors.As(err, &denied):
		return &inventory.Trouble{Doing: doing, Err: errors.New("there are no credentials, or they are not valid: " + firstLine(denied.Error())), Mend: noCredentials}
	case errors.As(err, &api):
		code, message := api.ErrorCode, said(api)
		if code == "" {
			code = fmt.Sprint(api.StatusCode)
		}
		return &inventory.Trouble{Doing: doing, Err: inventory.Cause(err, code, message), Mend: mendOf(api, action)}
	}
	if text := err.Error(); strings.Contains(text, "ChainedTokenCredential") || strings.Contains(text, "ManagedIdentityCredential") {
		return &inventory.Trouble{Doing: doing, Err: errors.New("there are no credentials"), Mend: noCredentials}
	}
	return &inventory.Trouble{Doing: doing, Err: inventory.Cause(err, "", ""), Mend: inventory.Unreachable(err)}
}

const noCredentials = "give this machine a managed identity with the role of docs/how-to/azure.md, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET in the environment of the sensor"

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

// said is the message in the body of an answer.
func said(e *azcore.ResponseError) string {
	if e.RawResponse == nil {
		return ""
	}
	body, err := runtime.Payload(e.RawResponse)
	if err != nil {
		return ""
	}
	var content struct{ Error struct{ Message string } }
	if json.Unmarshal(body, &content) != nil {
		return ""
	}
	return content.Error.Message
}

func mendOf(e *azcore.ResponseError, action string) string {
	switch {
	case e.StatusCode == http.StatusForbidden:
		return "grant " + action + " to the identity on the subscription, by the role of docs/how-to/azure.md or Reader; a grant takes some minutes to hold"
	case e.StatusCode == http.StatusUnauthorized:
		return "the token is not valid there: see whether the subscription belongs to the identity's tenant, and whether cloud.azure.cloud is right"
	case e.StatusCode == http.StatusNotFound:
		return "see whether there is such a subscription, and take it out of cloud.azure.subscriptions if not"
	case e.StatusCode == http.StatusTooManyRequests:
		return "others use up the limit of the identity; it is tried again later. Lower cloud.azure.requests_per_second, or raise cloud.period"
	}
	return ""
}
