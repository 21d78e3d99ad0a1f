// Package kubernetes reads from clusters which pod, service or node has an address.
//
// Each cluster is a cloud.Source that tells by itself (cloud.Watcher): informers of
// client-go keep pods, services, nodes and endpoint slices, and some seconds after a
// change a new Snapshot goes out. Of a pod is kept what names it; annotations,
// environment and volumes are not.
//
// A pod is called by what made it. That of a ReplicaSet is its Deployment, as the
// label pod-template-hash tells where the name of one ends, and that of a Job its
// CronJob: nothing has to be asked for, and no permission for it to be given.
// Pods with the network of their node have no address of their own: it is the node's.
//
// Neither the typed clients of client-go nor their scheme are used, as those register
// every type that there is when a program starts, whether it asks a cluster or not.
package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"mirrorscope/cloud"
)

// Provider is what Interface.Provider says of clusters.
const Provider = "kubernetes"

// Sources gives one for each cluster. The Config must be valid. None of them does
// anything yet.
func Sources(c Config) []cloud.Source {
	contexts := c.Contexts
	if len(contexts) == 0 {
		contexts = []string{""}
	}
	var all []cloud.Source
	for _, name := range contexts {
		s := &cluster{name: cmp.Or(c.Cluster, name, "cluster"), context: name, network: c.Network, kubeconfig: c.Kubeconfig, settle: time.Second, apart: 5 * time.Second, patience: time.Minute}
		s.connect = s.dial
		all = append(all, s)
	}
	return all
}

// accountDirectory is where a pod finds its service account.
const accountDirectory = "/var/run/secrets/kubernetes.io"

// Reach is what a process still needs once it has given up its rights.
func Reach(c Config) cloud.Reach {
	r := cloud.Client()
	if c.Kubeconfig == "" {
		r.AddFile(accountDirectory)
		r.AddURL("https://kubernetes:" + os.Getenv("KUBERNETES_SERVICE_PORT"))
		return r
	}
	r.AddFile(c.Kubeconfig)
	all, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		return r // the first look says so
	}
	file := func(path string) {
		if path != "" && !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(c.Kubeconfig), path)
		}
		r.AddFile(path)
	}
	for _, v := range all.Clusters {
		r.AddURL(v.Server)
		r.AddURL(v.ProxyURL)
		file(v.CertificateAuthority)
	}
	for _, v := range all.AuthInfos {
		file(v.ClientCertificate)
		file(v.ClientKey)
		file(v.TokenFile)
	}
	return r
}

// cluster is a cloud.Watcher. Its fields are set before the first look.
type cluster struct {
	name, context, network, kubeconfig string

	settle   time.Duration // from a change to its Snapshot, as more may follow
	apart    time.Duration // between two Snapshots, at least
	patience time.Duration // until all lists are there

	connect func() (*lists, error)
}

// Name implements cloud.Source.
func (c *cluster) Name() string { return Provider + "/" + c.name }

// resource is one kind of object.
type resource struct {
	name    string // as in the API
	example runtime.Object
	from    cache.ListerWatcherWithContext
}

// lists are all that is read.
type lists struct{ pods, services, nodes, slices resource }

func (l *lists) all() []*resource { return []*resource{&l.nodes, &l.services, &l.slices, &l.pods} }

// newLists makes them of what gives the objects.
func newLists(pods, services, nodes, slices cache.ListerWatcherWithContext) *lists {
	return &lists{
		pods: resource{"pods", &corev1.Pod{}, pods}, services: resource{"services", &corev1.Service{}, services},
		nodes: resource{"nodes", &corev1.Node{}, nodes}, slices: resource{"endpointslices", &discoveryv1.EndpointSlice{}, slices},
	}
}

// quiet keeps client-go from writing to standard error: what goes wrong is told by
// the Keeper, once.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// dial makes clients of the configuration. The cluster is not asked yet.
func (c *cluster) dial() (*lists, error) {
	quiet()
	cfg, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), discoveryv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs := serializer.NewCodecFactory(scheme).WithoutConversion()
	client := func(path string, v schema.GroupVersion) (*rest.RESTClient, error) {
		one := rest.CopyConfig(cfg)
		one.APIPath, one.GroupVersion, one.NegotiatedSerializer = path, &v, codecs
		return rest.RESTClientFor(one)
	}
	core, err := client("/api", corev1.SchemeGroupVersion)
	if err != nil {
		return nil, trouble("make a client", "", err)
	}
	discovery, err := client("/apis", discoveryv1.SchemeGroupVersion)
	if err != nil {
		return nil, trouble("make a client", "", err)
	}
	from := func(client *rest.RESTClient, name string) cache.ListerWatcherWithContext {
		return cache.NewListWatchFromClient(client, name, metav1.NamespaceAll, fields.Everything())
	}
	return newLists(from(core, "pods"), from(core, "services"), from(core, "nodes"), from(discovery, "endpointslices")), nil
}

func (c *cluster) restConfig() (cfg *rest.Config, err error) {
	if c.kubeconfig == "" {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return nil, &cloud.Trouble{Doing: "find the cluster", Err: cloud.Cause(err, "", ""), Mend: "set cloud.kubernetes.kubeconfig, or run the sensor in a pod with a service account"}
		}
	} else {
		overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context}
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.kubeconfig}, overrides).ClientConfig()
		if err != nil {
			return nil, &cloud.Trouble{Doing: "read " + c.kubeconfig, Err: cloud.Cause(err, "", ""), Mend: "see whether the sensor's user can read it, and whether it has that context: kubectl config get-contexts"}
		}
	}
	if cfg.ExecProvider != nil || cfg.AuthProvider != nil {
		return nil, &cloud.Trouble{Doing: "read " + c.kubeconfig, Err: errors.New("its credentials come from a program or a plugin, and the sensor runs none"), Mend: "make a service account and a kubeconfig with its token, as docs/how-to/kubernetes-names.md shows"}
	}
	cfg.UserAgent = "mirrorscope"
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.AcceptContentTypes, cfg.ContentType = runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON, runtime.ContentTypeProtobuf
	return cfg, nil
}

// trouble makes an error of the client one for an operator. verb is what was asked of
// a resource; "" nothing.
func trouble(doing, verb string, err error) error {
	var already *cloud.Trouble
	if errors.As(err, &already) {
		return err
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return &cloud.Trouble{Doing: doing, Err: cloud.Cause(err, "", ""), Mend: cloud.Unreachable(err)}
	}
	s := status.Status()
	mend := ""
	switch s.Code {
	case http.StatusUnauthorized:
		mend = "the token is not valid: make a new one, or see whether the clock of this machine is right"
	case http.StatusForbidden:
		mend = fmt.Sprintf("allow %s to the service account, by the ClusterRole of docs/how-to/kubernetes-names.md", verb)
	case http.StatusTooManyRequests:
		mend = "the API server has too much to do; it is tried again later"
	}
	return &cloud.Trouble{Doing: doing, Err: cloud.Cause(err, string(s.Reason), strings.TrimSpace(s.Message)), Mend: mend}
}

// Fetch implements cloud.Source: it lists everything once.
func (c *cluster) Fetch(ctx context.Context) (*cloud.Snapshot, error) {
	l, err := c.connect()
	if err != nil {
		return nil, err
	}
	b := newBuilder(c)
	for _, r := range l.all() {
		if err := each(ctx, r, b.add); err != nil {
			return nil, err
		}
	}
	return b.snapshot(), nil
}
