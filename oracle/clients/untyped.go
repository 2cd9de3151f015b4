package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// dynamically does what programs do that know no types: the dynamic client, partial metadata, and a client of its own encoding.
func dynamically(ctx context.Context, e *env) error {
	clients, err := dynamic.NewForConfig(e.config)
	if err != nil {
		return err
	}
	maps := clients.Resource(configMaps).Namespace(e.namespace)
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "free", "labels": map[string]any{"part": "dynamic"}},
		"data": map[string]any{"a": "1"},
	}}
	if _, err := maps.Create(ctx, obj, metav1.CreateOptions{}); err != nil {
		return err
	}
	obj.Object["data"] = map[string]any{"a": "2"}
	applied, err := maps.Apply(ctx, "free", obj, metav1.ApplyOptions{FieldManager: "clients", Force: true})
	if err != nil {
		return err
	}
	value, _, _ := unstructured.NestedString(applied.Object, "data", "a")
	if err := must(value == "2", "applied: %v", applied.Object); err != nil {
		return err
	}
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "part=dynamic"})
	if err != nil {
		return err
	}
	if err := must(len(list.Items) == 1 && list.GetResourceVersion() != "", "list: %v", list); err != nil {
		return err
	}
	ok("dynamic client: create, apply, list")

	partial, err := metadata.NewForConfig(e.config)
	if err != nil {
		return err
	}
	found, err := partial.Resource(configMaps).Namespace(e.namespace).Get(ctx, "free", metav1.GetOptions{})
	if err != nil {
		return err
	}
	ok("metadata alone")
	if err := must(found.Labels["part"] == "dynamic", "metadata: %+v", found); err != nil {
		return err
	}
	events, err := partial.Resource(configMaps).Namespace(e.namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	defer events.Stop()
	select {
	case event := <-events.ResultChan():
		_, good := event.Object.(*metav1.PartialObjectMetadata)
		ok("watch of metadata alone")
		return must(good, "event: %+v", event)
	case <-time.After(20 * time.Second):
		return fmt.Errorf("no event of metadata")
	}
}

// discovered looks at what the server serves, as kubectl and generic controllers do.
func discovered(ctx context.Context, e *env) error {
	known := e.clients.Discovery()
	version, err := known.ServerVersion()
	if err != nil {
		return err
	}
	groups, lists, err := known.ServerGroupsAndResources()
	if err != nil {
		return err
	}
	if err := must(version.Major == "1" && len(groups) > 15 && len(lists) > 15, "%s serves %d groups", version, len(groups)); err != nil {
		return err
	}
	preferred, err := known.ServerPreferredNamespacedResources()
	if err != nil {
		return err
	}
	if err := must(slices.ContainsFunc(preferred, func(list *metav1.APIResourceList) bool { return list.GroupVersion == "batch/v1" }), "batch/v1"); err != nil {
		return err
	}
	ok("groups and resources")
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known)), known, nil)
	for short, kind := range map[string]string{"deploy": "Deployment", "cm": "ConfigMap", "hpa": "HorizontalPodAutoscaler", "pdb": "PodDisruptionBudget"} {
		gvr, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: short})
		if err != nil {
			return err
		}
		gvk, err := mapper.KindFor(gvr)
		if err != nil {
			return err
		}
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			return err
		}
		if err := must(gvk.Kind == kind && mapping.Scope.Name() == meta.RESTScopeNameNamespace, "%s is %s", short, gvk); err != nil {
			return err
		}
	}
	ok("RESTMapper and short names")
	root := openapi3.NewRoot(known.OpenAPIV3())
	document, err := root.GVSpec(schema.GroupVersion{Group: "apps", Version: "v1"})
	if err != nil {
		return err
	}
	old, err := known.OpenAPISchema()
	if err != nil {
		return err
	}
	if err := must(document.Components.Schemas["io.k8s.api.apps.v1.Deployment"] != nil && len(old.GetDefinitions().GetAdditionalProperties()) > 300, "schemas"); err != nil {
		return err
	}
	ok("OpenAPI 3, and 2 in protobuf")
	return scaled(ctx, e)
}

// scaled uses the polymorphic scale client of autoscalers.
func scaled(ctx context.Context, e *env) error {
	known := e.clients.Discovery()
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known))
	client, err := scale.NewForConfig(e.config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(known))
	if err != nil {
		return err
	}
	_, err = client.Scales(e.namespace).Get(ctx, schema.GroupResource{Group: "apps", Resource: "deployments"}, "none", metav1.GetOptions{})
	if err := reason(err, metav1.StatusReasonNotFound); err != nil {
		return err
	}
	ok("scale client by discovery")
	return nil
}

// encoded insists on each encoding that client-go knows.
func encoded(ctx context.Context, e *env) error {
	for _, kind := range []string{"application/json", "application/vnd.kubernetes.protobuf", "application/cbor,application/json;q=0.9"} {
		config := rest.CopyConfig(e.config)
		config.AcceptContentTypes = kind
		if kind == "application/vnd.kubernetes.protobuf" {
			config.ContentType = kind
		}
		clients, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		found, err := clients.CoreV1().Namespaces().Get(ctx, e.namespace, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if found.Labels["kubernetes.io/metadata.name"] != e.namespace {
			return fmt.Errorf("%s: %+v", kind, found)
		}
		list, err := clients.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if err := must(len(list.Items) > 50, "%s: %d roles", kind, len(list.Items)); err != nil {
			return err
		}
		ok("%s", kind)
	}
	return nil
}
