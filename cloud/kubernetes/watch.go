package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"mirrorscope/cloud"
)

const (
	pageSize = 500
	maxPages = 2000

	// tries is how often in a row an informer may fail before the cluster counts as
	// out of reach; client-go waits ever longer between them.
	tries = 3
)

// each lists a resource to its end.
func each(ctx context.Context, r *resource, take func(runtime.Object)) error {
	o := metav1.ListOptions{Limit: pageSize}
	for range maxPages {
		page, err := r.from.ListWithContext(ctx, o)
		if err != nil {
			return trouble("list "+r.name, "list of "+r.name, err)
		}
		if err := meta.EachListItem(page, func(v runtime.Object) error { take(v); return nil }); err != nil {
			return trouble("list "+r.name, "", err)
		}
		at, err := meta.ListAccessor(page)
		if err != nil {
			return trouble("list "+r.name, "", err)
		}
		if o.Continue = at.GetContinue(); o.Continue == "" {
			return nil
		}
	}
	return &cloud.Trouble{Doing: "list " + r.name, Err: errors.New("the list has no end")}
}

// Watch implements cloud.Watcher.
func (c *cluster) Watch(ctx context.Context, push func(*cloud.Snapshot)) error {
	l, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	changed, failed := make(chan struct{}, 1), make(chan error, 1)
	touch := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	var stores []cache.Store
	var synced []cache.InformerSynced
	ended := make(chan struct{}, len(l.all()))
	running := 0
	defer func() {
		cancel()
		for range running {
			<-ended
		}
	}()
	for _, r := range l.all() {
		informer := cache.NewSharedIndexInformer(&observed{r: r, failed: failed}, r.example, 0, cache.Indexers{})
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { touch() }, UpdateFunc: func(_, _ any) { touch() }, DeleteFunc: func(any) { touch() },
		})
		err = errors.Join(err, informer.SetTransform(slim), informer.SetWatchErrorHandler(func(*cache.Reflector, error) {})) // observed has seen it
		if err != nil {
			return err
		}
		stores, synced = append(stores, informer.GetStore()), append(synced, informer.HasSynced)
		running++
		go func() { informer.RunWithContext(ctx); ended <- struct{}{} }()
	}
	if err := c.sync(ctx, synced, failed); err != nil {
		return err
	}
	for {
		b := newBuilder(c)
		for _, s := range stores {
			for _, v := range s.List() {
				b.add(v.(runtime.Object))
			}
		}
		push(b.snapshot())
		if err := pause(ctx, failed, c.apart-c.settle); err != nil {
			return err
		}
		select {
		case <-changed:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := pause(ctx, failed, c.settle); err != nil {
			return err
		}
		select { // what came meanwhile is in the next Snapshot already
		case <-changed:
		default:
		}
	}
}

// sync waits until all lists are there: half of a cluster would make the other half
// vanish.
func (c *cluster) sync(ctx context.Context, synced []cache.InformerSynced, failed <-chan error) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	late := time.NewTimer(c.patience)
	defer late.Stop()
	for {
		all := true
		for _, s := range synced {
			all = all && s()
		}
		if all {
			return nil
		}
		select {
		case <-look.C:
		case err := <-failed:
			return err
		case <-late.C:
			return &cloud.Trouble{Doing: fmt.Sprintf("the lists of the cluster were not complete within %v", c.patience), Mend: "see whether its API server has too much to do"}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause waits, or tells why not.
func pause(ctx context.Context, failed <-chan error, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// observed gives an informer its objects, and counts how often in a row it fails.
type observed struct {
	r      *resource
	failed chan<- error
	row    atomic.Int32
}

// ListWithContext implements cache.ListerWithContext.
func (o *observed) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	v, err := o.r.from.ListWithContext(ctx, options)
	o.note(ctx, "list", err)
	return v, err
}

// WatchWithContext implements cache.WatcherWithContext.
func (o *observed) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	w, err := o.r.from.WatchWithContext(ctx, options)
	o.note(ctx, "watch", err)
	return w, err
}

// List implements cache.Lister: informers ask for it, and use ListWithContext.
func (o *observed) List(options metav1.ListOptions) (runtime.Object, error) {
	return o.ListWithContext(context.Background(), options)
}

// Watch implements cache.Watcher, likewise.
func (o *observed) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return o.WatchWithContext(context.Background(), options)
}

// IsWatchListSemanticsUnSupported has informers list, and not be sent what is there
// as if it were changes: a proxy in between may not know of that.
func (o *observed) IsWatchListSemanticsUnSupported() bool { return true }

func (o *observed) note(ctx context.Context, verb string, err error) {
	if err == nil {
		o.row.Store(0)
		return
	}
	if ctx.Err() != nil {
		return // it was told to end
	}
	if o.row.Add(1) < tries {
		return
	}
	select {
	case o.failed <- trouble(verb+" "+o.r.name, verb+" of "+o.r.name, err):
	default: // another one was first
	}
}

// Check implements cloud.Checker: each list by its first entry, and whether it would
// be told of changes.
func (c *cluster) Check(ctx context.Context) []cloud.Finding {
	l, err := c.connect()
	if err != nil {
		return []cloud.Finding{bad("credentials", err)}
	}
	var found []cloud.Finding
	one := int64(1)
	for _, r := range l.all() {
		if _, err := r.from.ListWithContext(ctx, metav1.ListOptions{Limit: 1}); err != nil {
			found = append(found, bad("list "+r.name, trouble("list "+r.name, "list of "+r.name, err)))
			continue
		}
		w, err := r.from.WatchWithContext(ctx, metav1.ListOptions{TimeoutSeconds: &one})
		if err != nil {
			found = append(found, bad("watch "+r.name, trouble("watch "+r.name, "watch of "+r.name, err)))
			continue
		}
		w.Stop()
		found = append(found, cloud.Finding{About: r.name, OK: true, Found: "allowed"})
	}
	return found
}

func bad(about string, err error) cloud.Finding {
	return cloud.Finding{About: about, Found: err.Error(), Why: "addresses of this cluster have no names", Mend: cloud.Mend(err)}
}
