package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
)

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: "registry.invalid/c:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m")}},
		}}},
	}
}

// account makes sure that pods can be created where no controller makes ServiceAccounts.
func account(ctx context.Context, e *env) error {
	wish := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err := e.clients.CoreV1().ServiceAccounts(e.namespace).Create(ctx, wish, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// typed does with typed clients what controllers do: every verb, subresources, conflicts, generated names, options.
func typed(ctx context.Context, e *env) error {
	maps := e.clients.CoreV1().ConfigMaps(e.namespace)
	events, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "part=typed"})
	if err != nil {
		return err
	}
	defer events.Stop()
	wish := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "m-", Labels: map[string]string{"part": "typed"}},
		Data:       map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {0, 255}},
	}
	made, err := maps.Create(ctx, wish, metav1.CreateOptions{FieldManager: "clients"})
	if err != nil {
		return err
	}
	if err := first(
		must(made.UID != "" && made.ResourceVersion != "" && len(made.Name) == 7, "metadata: %+v", made.ObjectMeta),
		must(len(made.ManagedFields) == 1 && made.ManagedFields[0].Manager == "clients", "managedFields: %+v", made.ManagedFields),
	); err != nil {
		return err
	}
	ok("create with a generated name and a manager")

	stale := made.DeepCopy()
	made.Data["a"] = "2"
	changed, err := maps.Update(ctx, made, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	_, err = maps.Update(ctx, stale, metav1.UpdateOptions{})
	if err := reason(err, metav1.StatusReasonConflict); err != nil {
		return err
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
		if err == nil {
			now.Data["c"] = "3"
			_, err = maps.Update(ctx, now, metav1.UpdateOptions{})
		}
		return err
	})
	if err != nil {
		return err
	}
	ok("update, conflict and retry")

	for kind, body := range map[types.PatchType]string{
		types.MergePatchType:          `{"data": {"a": null, "d": "4"}}`,
		types.StrategicMergePatchType: `{"metadata": {"labels": {"more": "yes"}}}`,
		types.JSONPatchType:           `[{"op": "test", "path": "/data/d", "value": "4"}, {"op": "remove", "path": "/data/c"}]`,
	} {
		if _, err := maps.Patch(ctx, made.Name, kind, []byte(body), metav1.PatchOptions{}); err != nil {
			if kind == types.JSONPatchType && apierrors.IsInvalid(err) {
				continue // the order of a map: the value that it tests may not be there yet
			}
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	ok("patches of three kinds")

	dry, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "dry"}}, metav1.CreateOptions{DryRun: []string{"All"}})
	if err != nil {
		return err
	}
	_, err = maps.Get(ctx, dry.Name, metav1.GetOptions{})
	if err := reason(err, metav1.StatusReasonNotFound); err != nil {
		return err
	}
	ok("dry run")

	wrong := types.UID("00000000-0000-0000-0000-000000000000")
	err = maps.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}})
	if err := reason(err, metav1.StatusReasonConflict); err != nil {
		return err
	}
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(changed.UID))}); err != nil {
		return err
	}
	ok("delete with preconditions")
	if err := watched(ctx, events); err != nil {
		return err
	}
	ok("watch with a selector")
	return first(paged(ctx, e), subresources(ctx, e))
}

func watched(ctx context.Context, events watch.Interface) error {
	var seen []watch.EventType
	for {
		select {
		case event, open := <-events.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended after %v", seen)
			}
			seen = append(seen, event.Type)
			if event.Type == watch.Deleted {
				return must(seen[0] == watch.Added && len(seen) > 3, "events: %v", seen)
			}
		case <-ctx.Done():
			return fmt.Errorf("no deletion seen, only %v", seen)
		}
	}
}

func paged(ctx context.Context, e *env) error {
	secrets := e.clients.CoreV1().Secrets(e.namespace)
	for number := range 5 {
		wish := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s-%d", number), Labels: map[string]string{"part": "paged"}},
			StringData: map[string]string{"k": "v"},
		}
		if _, err := secrets.Create(ctx, wish, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	options, names := metav1.ListOptions{Limit: 2, LabelSelector: "part in (paged)"}, []string{}
	for {
		page, err := secrets.List(ctx, options)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			names = append(names, item.Name)
			if string(item.Data["k"]) != "v" {
				return fmt.Errorf("data of a secret: %v", item.Data)
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if err := must(fmt.Sprint(names) == "[s-0 s-1 s-2 s-3 s-4]", "pages: %v", names); err != nil {
		return err
	}
	ok("lists in pages")
	if err := secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, options); err != nil {
		return err
	}
	left, err := secrets.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=s-0"})
	if err != nil {
		return err
	}
	ok("deletion of a collection")
	return must(len(left.Items) == 0, "left: %v", left.Items)
}

func subresources(ctx context.Context, e *env) error {
	pods := e.clients.CoreV1().Pods(e.namespace)
	if err := account(ctx, e); err != nil {
		return err
	}
	made, err := pods.Create(ctx, pod("one"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := first(
		must(made.Spec.RestartPolicy == corev1.RestartPolicyAlways && made.Status.Phase == corev1.PodPending, "defaults: %+v", made.Spec),
		must(made.Spec.ServiceAccountName == "default", "service account: %q", made.Spec.ServiceAccountName),
		must(made.Status.QOSClass == corev1.PodQOSBurstable, "quality of service: %q", made.Status.QOSClass),
	); err != nil {
		return err
	}
	target := corev1.ObjectReference{Kind: "Node", Name: "nowhere"}
	bind := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Target: target}
	if err := pods.Bind(ctx, bind, metav1.CreateOptions{}); err != nil {
		return err
	}
	if made, err = pods.Get(ctx, "one", metav1.GetOptions{}); err != nil {
		return err
	}
	made.Status.Phase = corev1.PodRunning
	made.Status.Conditions = append(made.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	if made, err = pods.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := must(made.Status.Phase == corev1.PodRunning && made.Spec.NodeName == "nowhere", "bound and running: %+v", made.Status); err != nil {
		return err
	}
	ok("binding and status of a pod")
	evict := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "one"}, DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: new(int64)}}
	if err := pods.EvictV1(ctx, evict); err != nil {
		return err
	}
	ok("eviction")

	labels := map[string]string{"app": "scaled"}
	wish := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "scaled"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Replicas: new(int32),
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod("x").Spec},
	}}
	deployments := e.clients.AppsV1().Deployments(e.namespace)
	if _, err := deployments.Create(ctx, wish, metav1.CreateOptions{}); err != nil {
		return err
	}
	scale, err := deployments.GetScale(ctx, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if scale, err = deployments.UpdateScale(ctx, "scaled", &autoscalingv1.Scale{ObjectMeta: scale.ObjectMeta}, metav1.UpdateOptions{}); err != nil {
		return err
	}
	ok("scale")
	return must(scale.Status.Selector == "app=scaled", "scale: %+v", scale)
}
