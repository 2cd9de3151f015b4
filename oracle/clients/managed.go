package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/go-logr/logr"
)

const (
	boatGroup = "clients.lightship.dev"
	finalizer = boatGroup + "/crew"
)

var boatKind = schema.GroupVersionKind{Group: boatGroup, Version: "v1", Kind: "Boat"}

func boat() *unstructured.Unstructured {
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(boatKind)
	return found
}

// definition is a custom kind with a status, a scale, defaults, a rule, columns and a selectable field.
func definition() *extensions.CustomResourceDefinition {
	text, number := extensions.JSONSchemaProps{Type: "string"}, extensions.JSONSchemaProps{Type: "integer", Format: "int32"}
	crew := *number.DeepCopy()
	crew.Default = &extensions.JSON{Raw: []byte("1")}
	crew.XValidations = extensions.ValidationRules{{Rule: "self <= 9", Message: "too many for a boat"}}
	object := func(properties map[string]extensions.JSONSchemaProps) extensions.JSONSchemaProps {
		return extensions.JSONSchemaProps{Type: "object", Properties: properties}
	}
	spec := object(map[string]extensions.JSONSchemaProps{"crew": crew, "colour": text})
	spec.Default = &extensions.JSON{Raw: []byte("{}")}
	root := object(map[string]extensions.JSONSchemaProps{
		"spec": spec, "status": object(map[string]extensions.JSONSchemaProps{"aboard": number, "phase": text}),
	})
	return &extensions.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "boats." + boatGroup},
		Spec: extensions.CustomResourceDefinitionSpec{
			Group: boatGroup, Scope: extensions.NamespaceScoped,
			Names: extensions.CustomResourceDefinitionNames{Plural: "boats", Singular: "boat", Kind: "Boat", ListKind: "BoatList", ShortNames: []string{"bt"}},
			Versions: []extensions.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &extensions.CustomResourceValidation{OpenAPIV3Schema: &root},
				Subresources: &extensions.CustomResourceSubresources{
					Status: &extensions.CustomResourceSubresourceStatus{},
					Scale:  &extensions.CustomResourceSubresourceScale{SpecReplicasPath: ".spec.crew", StatusReplicasPath: ".status.aboard"},
				},
				AdditionalPrinterColumns: []extensions.CustomResourceColumnDefinition{{Name: "Crew", Type: "integer", JSONPath: ".spec.crew"}},
				SelectableFields:         []extensions.SelectableField{{JSONPath: ".spec.colour"}},
			}},
		},
	}
}

// managed runs a controller-runtime manager: a cache, a controller of a custom kind with finalizers and owned objects, webhooks that the
// server calls here, leader election.
func managed(ctx context.Context, e *env) error {
	log.SetLogger(logr.Discard())
	kinds := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(kinds))
	utilruntime.Must(extensions.AddToScheme(kinds))
	direct, err := client.New(e.config, client.Options{Scheme: kinds})
	if err != nil {
		return err
	}
	if err := installed(ctx, direct); err != nil {
		return err
	}
	defer func() { _ = direct.Delete(context.Background(), definition()) }()
	ok("definition installed and served")
	server, bundle, port, err := hooks()
	if err != nil {
		return err
	}
	yes := true
	mgr, err := ctrl.NewManager(e.config, ctrl.Options{
		Scheme: kinds, WebhookServer: server, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionID: "boats", LeaderElectionNamespace: e.namespace, LeaderElectionReleaseOnCancel: true,
		Client: client.Options{Cache: &client.CacheOptions{Unstructured: yes}},
	})
	if err != nil {
		return err
	}
	mgr.GetWebhookServer() // a manager runs the server that somebody has asked it for
	crew := &reconciler{Client: mgr.GetClient()}
	if err := ctrl.NewControllerManagedBy(mgr).For(boat()).Owns(&corev1.ConfigMap{}).Named("boats-" + e.namespace).Complete(crew); err != nil {
		return err
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.ConfigMap{}, "data.boat", func(obj client.Object) []string {
		return []string{obj.(*corev1.ConfigMap).Data["boat"]}
	}); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	select {
	case <-mgr.Elected():
	case err := <-ended:
		stop()
		return fmt.Errorf("the manager ended: %w", err)
	case <-ctx.Done():
		stop()
		return fmt.Errorf("never elected")
	}
	ok("manager elected")
	err = sail(ctx, e, mgr, direct, bundle, port)
	stop()
	if over := <-ended; err == nil {
		err = over
	}
	return err
}

func installed(ctx context.Context, direct client.Client) error {
	if err := direct.Create(ctx, definition()); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return until(ctx, "definition established", func() (bool, error) {
		found := &extensions.CustomResourceDefinition{}
		if err := direct.Get(ctx, client.ObjectKey{Name: "boats." + boatGroup}, found); err != nil {
			return false, err
		}
		for _, condition := range found.Status.Conditions {
			if condition.Type == extensions.Established && condition.Status == extensions.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

type reconciler struct{ client.Client }

// Reconcile gives each boat a ConfigMap for each of its crew's seats, says so in its status, and cleans up before it goes.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	found := boat()
	if err := r.Get(ctx, request.NamespacedName, found); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if found.GetDeletionTimestamp() != nil {
		if controllerutil.RemoveFinalizer(found, finalizer) {
			return ctrl.Result{}, r.Update(ctx, found)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(found, finalizer) {
		return ctrl.Result{}, r.Update(ctx, found)
	}
	seats, _, _ := unstructured.NestedInt64(found.Object, "spec", "crew")
	for number := range seats {
		seat := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", found.GetName(), number), Namespace: found.GetNamespace()}}
		if _, err := controllerutil.CreateOrUpdate(ctx, r.Client, seat, func() error {
			seat.Data = map[string]string{"boat": found.GetName()}
			return controllerutil.SetControllerReference(found, seat, r.Scheme())
		}); err != nil {
			return ctrl.Result{}, err
		}
	}
	before := found.DeepCopy()
	_ = unstructured.SetNestedField(found.Object, seats, "status", "aboard")
	_ = unstructured.SetNestedField(found.Object, "Sailing", "status", "phase")
	return ctrl.Result{}, r.Status().Patch(ctx, found, client.MergeFrom(before))
}

// hooks is a webhook server on this machine: one hook paints boats, the other refuses pink ones.
func hooks() (webhook.Server, []byte, int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, nil, 0, err
	}
	certificate, bundle, err := selfSigned()
	if err != nil {
		return nil, nil, 0, err
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(config *tls.Config) {
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
	}}})
	server.Register("/paint", &webhook.Admission{Handler: admission.HandlerFunc(paint)})
	server.Register("/taste", &webhook.Admission{Handler: admission.HandlerFunc(taste)})
	return server, bundle, port, nil
}

func paint(_ context.Context, request admission.Request) admission.Response {
	var found unstructured.Unstructured
	if err := json.Unmarshal(request.Object.Raw, &found); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if colour, _, _ := unstructured.NestedString(found.Object, "spec", "colour"); colour != "" {
		return admission.Allowed("painted already")
	}
	_ = unstructured.SetNestedField(found.Object, "blue", "spec", "colour")
	painted, err := json.Marshal(&found)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, painted)
}

func taste(_ context.Context, request admission.Request) admission.Response {
	var found unstructured.Unstructured
	if err := json.Unmarshal(request.Object.Raw, &found); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if colour, _, _ := unstructured.NestedString(found.Object, "spec", "colour"); colour == "pink" {
		return admission.Denied("no pink boats")
	}
	return admission.Allowed("").WithWarnings("boats sink")
}

func registered(namespace string, bundle []byte, port int) []client.Object {
	one := func(path string) (admissionv1.WebhookClientConfig, []admissionv1.RuleWithOperations, *metav1.LabelSelector) {
		url := fmt.Sprintf("https://127.0.0.1:%d%s", port, path)
		rule := admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{boatGroup}, APIVersions: []string{"v1"}, Resources: []string{"boats"}},
		}
		home := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}}
		return admissionv1.WebhookClientConfig{URL: &url, CABundle: bundle}, []admissionv1.RuleWithOperations{rule}, home
	}
	none := admissionv1.SideEffectClassNone
	mutating := admissionv1.MutatingWebhook{Name: "paint." + boatGroup, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}
	mutating.ClientConfig, mutating.Rules, mutating.NamespaceSelector = one("/paint")
	validating := admissionv1.ValidatingWebhook{Name: "taste." + boatGroup, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}
	validating.ClientConfig, validating.Rules, validating.NamespaceSelector = one("/taste")
	meta := metav1.ObjectMeta{Name: namespace + "-boats"}
	return []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.MutatingWebhook{mutating}},
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: meta, Webhooks: []admissionv1.ValidatingWebhook{validating}},
	}
}

// sail uses the running manager: what its webhooks say, what its controller does, what its cache finds.
func sail(ctx context.Context, e *env, mgr manager.Manager, direct client.Client, bundle []byte, port int) error {
	for _, configuration := range registered(e.namespace, bundle, port) {
		if err := direct.Create(ctx, configuration); err != nil {
			return err
		}
		defer func() { _ = direct.Delete(context.Background(), configuration) }()
	}
	pink := boat()
	pink.SetNamespace(e.namespace)
	pink.SetName("pink")
	_ = unstructured.SetNestedField(pink.Object, "pink", "spec", "colour")
	want := fmt.Sprintf("admission webhook %q denied the request: no pink boats", "taste."+boatGroup)
	if err := until(ctx, "pink boats refused", func() (bool, error) {
		err := direct.Create(ctx, pink.DeepCopy(), client.DryRunAll)
		return err != nil && err.Error() == want && apierrors.IsForbidden(err), err
	}); err != nil {
		return err
	}
	ok("validating webhook")
	found := boat()
	found.SetNamespace(e.namespace)
	found.SetName("jolly")
	if err := direct.Create(ctx, found); err != nil {
		return err
	}
	colour, _, _ := unstructured.NestedString(found.Object, "spec", "colour")
	seats, _, _ := unstructured.NestedInt64(found.Object, "spec", "crew")
	if err := must(colour == "blue" && seats == 1, "painted and defaulted: %v", found.Object); err != nil {
		return err
	}
	ok("mutating webhook and defaults")
	key := client.ObjectKeyFromObject(found)
	sailing := func(aboard int64) error {
		return until(ctx, "sailing", func() (bool, error) {
			now := boat()
			if err := mgr.GetClient().Get(ctx, key, now); err != nil {
				return false, err
			}
			count, _, _ := unstructured.NestedInt64(now.Object, "status", "aboard")
			return count == aboard, nil
		})
	}
	if err := sailing(1); err != nil {
		return err
	}
	ok("controller, finalizer and patch of the status")
	return first(crewed(ctx, e, mgr, direct, key, sailing), sunk(ctx, mgr, direct, key))
}

func crewed(ctx context.Context, e *env, mgr manager.Manager, direct client.Client, key client.ObjectKey, sailing func(int64) error) error {
	found := boat()
	if err := direct.Get(ctx, key, found); err != nil {
		return err
	}
	before := found.DeepCopy()
	_ = unstructured.SetNestedField(found.Object, int64(10), "spec", "crew")
	err := direct.Patch(ctx, found, client.MergeFrom(before))
	if err := reason(err, metav1.StatusReasonInvalid); err != nil {
		return err
	}
	ok("rule of a definition")
	found = before.DeepCopy()
	_ = unstructured.SetNestedField(found.Object, int64(3), "spec", "crew")
	if err := direct.Patch(ctx, found, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	if err := sailing(3); err != nil {
		return err
	}
	if err := until(ctx, "seats", func() (bool, error) {
		seats := &corev1.ConfigMapList{}
		err := mgr.GetClient().List(ctx, seats, client.InNamespace(e.namespace), client.MatchingFields{"data.boat": key.Name})
		return len(seats.Items) == 3, err
	}); err != nil {
		return err
	}
	ok("cache with an index of its own")
	blue := &unstructured.UnstructuredList{}
	blue.SetGroupVersionKind(boatKind)
	if err := direct.List(ctx, blue, client.InNamespace(e.namespace), client.MatchingFields{"spec.colour": "blue"}); err != nil {
		return err
	}
	ok("selectable field")
	return must(len(blue.Items) == 1, "blue boats: %d", len(blue.Items))
}

func sunk(ctx context.Context, mgr manager.Manager, direct client.Client, key client.ObjectKey) error {
	found := boat()
	found.SetNamespace(key.Namespace)
	found.SetName(key.Name)
	if err := direct.Delete(ctx, found); err != nil {
		return err
	}
	if err := until(ctx, "gone", func() (bool, error) {
		return apierrors.IsNotFound(mgr.GetClient().Get(ctx, key, boat())), nil
	}); err != nil {
		return err
	}
	ok("finalizer let go, cache empty")
	return nil
}
