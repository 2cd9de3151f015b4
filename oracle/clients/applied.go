package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/csaupgrade"
)

func wanted(namespace, image string, replicas int32) *appsapply.DeploymentApplyConfiguration {
	labels := map[string]string{"app": "apply"}
	container := coreapply.Container().WithName("c").WithImage(image).WithPorts(coreapply.ContainerPort().WithContainerPort(80).WithName("http"))
	return appsapply.Deployment("apply", namespace).WithLabels(labels).WithSpec(appsapply.DeploymentSpec().
		WithReplicas(replicas).
		WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(coreapply.PodSpec().WithContainers(container))))
}

// applied uses server-side apply with typed configurations: several managers, conflicts, extraction, and migration from client-side apply.
func applied(ctx context.Context, e *env) error {
	deployments := e.clients.AppsV1().Deployments(e.namespace)
	mine := metav1.ApplyOptions{FieldManager: "mine"}
	made, err := deployments.Apply(ctx, wanted(e.namespace, "registry.invalid/c:1", 2), mine)
	if err != nil {
		return err
	}
	again, err := deployments.Apply(ctx, wanted(e.namespace, "registry.invalid/c:1", 2), mine)
	if err != nil {
		return err
	}
	if err := must(made.ResourceVersion == again.ResourceVersion, "the same again is a new version"); err != nil {
		return err
	}
	ok("apply, and apply of the same")
	theirs := metav1.ApplyOptions{FieldManager: "theirs"}
	_, err = deployments.Apply(ctx, wanted(e.namespace, "registry.invalid/c:2", 3), theirs)
	if err := reason(err, metav1.StatusReasonConflict); err != nil {
		return err
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || len(status.ErrStatus.Details.Causes) != 2 {
		return fmt.Errorf("causes of a conflict: %v", err)
	}
	if err := must(strings.Contains(err.Error(), `conflicts with "mine"`), "conflict: %v", err); err != nil {
		return err
	}
	theirs.Force = true
	forced, err := deployments.Apply(ctx, wanted(e.namespace, "registry.invalid/c:2", 3), theirs)
	if err != nil {
		return err
	}
	if err := must(*forced.Spec.Replicas == 3, "forced: %+v", forced.Spec); err != nil {
		return err
	}
	ok("conflicts and force")
	own, err := appsapply.ExtractDeployment(forced, "mine")
	if err != nil {
		return err
	}
	if err := must(own.Spec != nil && own.Spec.Replicas == nil && own.Spec.Selector != nil, "extracted: %+v", own.Spec); err != nil {
		return err
	}
	ok("extraction of what a manager owns")
	less := appsapply.Deployment("apply", e.namespace)
	if _, err := deployments.Apply(ctx, less, mine); err != nil {
		return err
	}
	now, err := deployments.Get(ctx, "apply", metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, entry := range now.ManagedFields {
		if entry.Manager == "mine" {
			return fmt.Errorf("a manager that wants nothing is still listed: %+v", entry)
		}
	}
	ok("a manager that lets go")
	if _, err := deployments.ApplyStatus(ctx, appsapply.Deployment("apply", e.namespace).WithStatus(appsapply.DeploymentStatus().WithReplicas(1)), mine); err != nil {
		return err
	}
	ok("apply of a status")
	return migrated(ctx, e)
}

func migrated(ctx context.Context, e *env) error {
	maps := e.clients.CoreV1().ConfigMaps(e.namespace)
	wish := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "old"}, Data: map[string]string{"a": "1", "b": "2"}}
	made, err := maps.Create(ctx, wish, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	if err != nil {
		return err
	}
	if err := csaupgrade.UpgradeManagedFields(made, sets.New("kubectl-client-side-apply"), "kubectl"); err != nil {
		return err
	}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	now, err := maps.Apply(ctx, coreapply.ConfigMap("old", e.namespace).WithData(map[string]string{"a": "1"}), metav1.ApplyOptions{FieldManager: "kubectl"})
	if err != nil {
		return err
	}
	ok("migration from client-side apply")
	return must(len(now.Data) == 1, "data: %v", now.Data)
}

// refused asks for what the server must refuse, and reads the errors as programs do.
func refused(ctx context.Context, e *env) error {
	maps := e.clients.CoreV1().ConfigMaps(e.namespace)
	_, err := maps.Get(ctx, "none", metav1.GetOptions{})
	if err := first(reason(err, metav1.StatusReasonNotFound), must(strings.HasSuffix(err.Error(), `configmaps "none" not found`), "%v", err)); err != nil {
		return err
	}
	twice := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "twice"}}
	if _, err := maps.Create(ctx, twice, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = maps.Create(ctx, twice, metav1.CreateOptions{})
	if err := reason(err, metav1.StatusReasonAlreadyExists); err != nil {
		return err
	}
	if err := account(ctx, e); err != nil {
		return err
	}
	bad := pod("Not_A_Name")
	bad.Spec.Containers[0].Image = ""
	_, err = e.clients.CoreV1().Pods(e.namespace).Create(ctx, bad, metav1.CreateOptions{})
	if err := reason(err, metav1.StatusReasonInvalid); err != nil {
		return err
	}
	var status *apierrors.StatusError
	errors.As(err, &status)
	if err := must(len(status.ErrStatus.Details.Causes) == 2, "causes: %+v", status.ErrStatus.Details); err != nil {
		return err
	}
	ok("not found, already there, invalid with causes")
	_, err = maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "1", ResourceVersionMatch: "Never"})
	if err := reason(err, metav1.StatusReasonInvalid); err != nil {
		return err
	}
	_, err = maps.List(ctx, metav1.ListOptions{FieldSelector: "data.a=b"})
	if err := reason(err, metav1.StatusReasonBadRequest); err != nil {
		return err
	}
	stranger := rest.CopyConfig(e.config)
	stranger.Impersonate = rest.ImpersonationConfig{UserName: "stranger", Groups: []string{"nobodies"}}
	clients, err := kubernetes.NewForConfig(stranger)
	if err != nil {
		return err
	}
	_, err = clients.CoreV1().ConfigMaps(e.namespace).List(ctx, metav1.ListOptions{})
	if err := reason(err, metav1.StatusReasonForbidden); err != nil {
		return err
	}
	nobody := rest.AnonymousClientConfig(e.config)
	nobody.BearerToken = "wrong"
	if clients, err = kubernetes.NewForConfig(nobody); err != nil {
		return err
	}
	_, err = clients.CoreV1().ConfigMaps(e.namespace).List(ctx, metav1.ListOptions{})
	if err := reason(err, metav1.StatusReasonUnauthorized); err != nil {
		return err
	}
	ok("bad requests, forbidden, unauthorized")
	return nil
}
