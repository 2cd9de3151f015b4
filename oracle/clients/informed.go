package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
)

// informed keeps caches: shared informers (which stream their first list since client-go 0.35), an index, a queue, metadata alone.
func informed(ctx context.Context, e *env) error {
	const count = 50
	maps := e.clients.CoreV1().ConfigMaps(e.namespace)
	for number := range count {
		wish := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m-%d", number), Labels: map[string]string{"third": fmt.Sprint(number % 3)}}}
		if _, err := maps.Create(ctx, wish, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(e.clients, 0, informers.WithNamespace(e.namespace))
	informer := factory.Core().V1().ConfigMaps()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	var added, updated, deleted atomic.Int32
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			added.Add(1)
			queue.Add(obj.(*corev1.ConfigMap).Name)
		},
		UpdateFunc: func(_, obj any) { updated.Add(1) },
		DeleteFunc: func(obj any) { deleted.Add(1) },
	})
	if err != nil {
		return err
	}
	if err := informer.Informer().AddIndexers(cache.Indexers{"third": func(obj any) ([]string, error) {
		return []string{obj.(*corev1.ConfigMap).Labels["third"]}, nil
	}}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("no cache of %v", kind)
		}
	}
	found, err := informer.Lister().ConfigMaps(e.namespace).List(labels.SelectorFromSet(labels.Set{"third": "0"}))
	if err != nil {
		return err
	}
	indexed, err := informer.Informer().GetIndexer().ByIndex("third", "0")
	if err != nil {
		return err
	}
	if err := must(len(found) == 17 && len(indexed) == 17, "listed %d, indexed %d", len(found), len(indexed)); err != nil {
		return err
	}
	ok("informer, lister and index of %d objects", count)
	for number := range count {
		name := fmt.Sprintf("m-%d", number)
		if number%2 == 0 {
			err = maps.Delete(ctx, name, metav1.DeleteOptions{})
		} else {
			_, err = maps.Patch(ctx, name, "application/merge-patch+json", []byte(`{"data": {"a": "1"}}`), metav1.PatchOptions{})
		}
		if err != nil {
			return err
		}
	}
	if err := until(ctx, "all events", func() (bool, error) { return updated.Load() >= count/2 && deleted.Load() >= count/2, nil }); err != nil {
		return fmt.Errorf("%w: %d added, %d updated, %d deleted", err, added.Load(), updated.Load(), deleted.Load())
	}
	ok("events of an informer")
	partial, err := metadata.NewForConfig(e.config)
	if err != nil {
		return err
	}
	some := metadatainformer.NewFilteredSharedInformerFactory(partial, 0, e.namespace, nil)
	metas := some.ForResource(configMaps)
	metas.Informer()
	some.Start(ctx.Done())
	if !some.WaitForCacheSync(ctx.Done())[configMaps] {
		return fmt.Errorf("no cache of metadata")
	}
	left, err := metas.Lister().List(labels.SelectorFromSet(labels.Set{"third": "1"}))
	if err != nil {
		return err
	}
	ok("informer of metadata alone")
	return first(must(len(left) == 9, "metadata of %d", len(left)), streamed(ctx, e), recorded(ctx, e))
}

// streamed asks for the first list as a watch, as reflectors do, and reads the bookmark that ends it.
func streamed(ctx context.Context, e *env) error {
	yes := true
	options := metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	stream, err := e.clients.CoreV1().ConfigMaps(e.namespace).Watch(ctx, options)
	if err != nil {
		return err
	}
	defer stream.Stop()
	seen := 0
	for {
		select {
		case event, open := <-stream.ResultChan():
			if !open {
				return fmt.Errorf("the stream ended after %d", seen)
			}
			if event.Type == "BOOKMARK" {
				marked := event.Object.(*corev1.ConfigMap).Annotations[metav1.InitialEventsAnnotationKey]
				ok("list as a stream, with its bookmark")
				return must(marked == "true" && seen >= 25, "bookmark after %d, marked %q", seen, marked)
			}
			seen++
		case <-time.After(20 * time.Second):
			return fmt.Errorf("no bookmark after %d events", seen)
		}
	}
}

// recorded writes Events through both recorders; the second of the same is counted, not stored.
func recorded(ctx context.Context, e *env) error {
	about, err := e.clients.CoreV1().ConfigMaps(e.namespace).Get(ctx, "m-1", metav1.GetOptions{})
	if err != nil {
		return err
	}
	old := record.NewBroadcaster()
	defer old.Shutdown()
	old.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: e.clients.CoreV1().Events(e.namespace)})
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "clients"})
	for range 3 {
		recorder.Event(about, corev1.EventTypeNormal, "Seen", "seen by the old recorder")
	}
	fresh := events.NewBroadcaster(&events.EventSinkImpl{Interface: e.clients.EventsV1()})
	defer fresh.Shutdown()
	if err := fresh.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	fresh.NewRecorder(scheme.Scheme, "clients").Eventf(about, nil, corev1.EventTypeNormal, "Noted", "Note", "seen by the new recorder")
	err = until(ctx, "events", func() (bool, error) {
		counted, err := e.clients.CoreV1().Events(e.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Seen,involvedObject.name=m-1"})
		if err != nil {
			return false, err
		}
		noted, err := e.clients.EventsV1().Events(e.namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Noted"})
		if err != nil {
			return false, err
		}
		return len(counted.Items) == 1 && counted.Items[0].Count == 3 && len(noted.Items) == 1, nil
	})
	if err == nil {
		ok("events through both recorders")
	}
	return err
}

// election lets two candidates hold one Lease in turn.
func election(ctx context.Context, e *env) error {
	leads := make(chan string, 10)
	candidate := func(ctx context.Context, name string, done chan<- struct{}) {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: "lead", Namespace: e.namespace},
			Client:     e.clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(ctx context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		})
		close(done)
	}
	one, stop := context.WithCancel(ctx)
	first, second := make(chan struct{}), make(chan struct{})
	go candidate(one, "one", first)
	if leader, err := next(ctx, leads); err != nil || leader != "one" {
		stop()
		return fmt.Errorf("wanted one, got %q: %v", leader, err)
	}
	two, halt := context.WithCancel(ctx)
	defer halt()
	go candidate(two, "two", second)
	stop()
	<-first
	if leader, err := next(ctx, leads); err != nil || leader != "two" {
		return fmt.Errorf("wanted two, got %q: %v", leader, err)
	}
	lease, err := e.clients.CoordinationV1().Leases(e.namespace).Get(ctx, "lead", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := must(*lease.Spec.HolderIdentity == "two" && *lease.Spec.LeaseTransitions == 1, "lease: %+v", lease.Spec); err != nil {
		return err
	}
	halt()
	<-second
	ok("leader election and handing over")
	return nil
}

func next(ctx context.Context, names <-chan string) (string, error) {
	select {
	case name := <-names:
		return name, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
