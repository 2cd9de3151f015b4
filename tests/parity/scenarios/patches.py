"""Patches that work: merge, strategic, JSON, and server-side apply with its conflicts and owners."""

from tests.parity.steps import APPLY, STRATEGIC, Scenario, apply, get, json_patch, patch, post, put, strategic

from .samples import DEPLOYMENT_SPEC, LABELS, POD_SPEC, config, named, pod

PORTS = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
STRATEGIC_STEPS = [
    post("deployments", named("d", spec=DEPLOYMENT_SPEC)),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "j"}]}}}}),
    strategic(
        "deployments/d",
        {
            "spec": {
                "template": {
                    "spec": {"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}], "containers": [{"name": "d", "image": "k"}]}
                }
            }
        },
    ),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "c", "$patch": "delete"}]}}}}),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"$patch": "replace"}, {"name": "z", "image": "z"}]}}}}),
    strategic("deployments/d", {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": None}}}),
    strategic("deployments/d", {"spec": {"strategy": {"$patch": "replace", "type": "RollingUpdate"}}}),
    strategic("deployments/d", {"metadata": {"finalizers": ["a/b"], "$deleteFromPrimitiveList/finalizers": ["x/y"]}}),
    strategic("deployments/d", {"metadata": {"finalizers": ["c/d"]}}),
    strategic("deployments/d", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b", "c/d"]}}),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"image": "noname"}]}}}}),
    strategic("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "z", "$patch": "foo"}]}}}}),
    strategic("deployments/d", {"spec": {"template": {"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}}}),
    strategic("deployments/d", {"spec": {"selector": None}}),
    strategic("deployments/d", {"spec": {"replicas": None}}),
    strategic("deployments/d", {"$patch": "replace", "metadata": {"name": "d"}, "spec": DEPLOYMENT_SPEC}),
    post("services", named("s", spec={"ports": PORTS})),
    strategic("services/s", {"spec": {"ports": [{"port": 82, "name": "c"}]}}),
    strategic("services/s", {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}),
    strategic("services/s", {"spec": {"$setElementOrder/ports": [{"port": 82}, {"port": 81}]}}),
    post("serviceaccounts", named("a", secrets=[{"name": "x"}])),
    strategic("serviceaccounts/a", {"secrets": [{"name": "y"}], "imagePullSecrets": [{"name": "z"}]}),
    strategic("serviceaccounts/a", {"secrets": None}),
    patch("deployments/d", "spec: {paused: true}", STRATEGIC),
]
OTHERS = [
    post("configmaps", config("a", x="1")),
    patch("configmaps/a", {"data": {"x": None, "y": "2"}, "metadata": {"labels": {"a": "b"}}}),
    patch("configmaps/a", {"metadata": {"labels": {"a": None}}}),
    patch("configmaps/a", {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}),
    json_patch("configmaps/a", {"op": "add", "path": "/data/z", "value": "3"}, {"op": "test", "path": "/data/z", "value": "3"}),
    json_patch("configmaps/a", {"op": "move", "from": "/data/z", "path": "/data/w"}, {"op": "copy", "from": "/data/w", "path": "/data/v"}),
    json_patch("configmaps/a", {"op": "remove", "path": "/data"}),
    json_patch(
        "configmaps/a", {"op": "replace", "path": "", "value": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}}
    ),
    json_patch("configmaps/a"),
    post("pods", named("p", spec=POD_SPEC)),
    json_patch("pods/p", {"op": "replace", "path": "/spec/containers/0/image", "value": "new"}),
    json_patch("pods/p", {"op": "add", "path": "/spec/tolerations/-", "value": {"key": "x", "operator": "Exists"}}),
    json_patch("pods/p", {"op": "add", "path": "/spec/tolerations/99", "value": {}}),
    json_patch("pods/p", {"op": "remove", "path": "/spec/tolerations/-1"}),
    patch("pods/p", {"spec": {"containers": [{"name": "c", "image": "newer"}]}}),
    patch("pods/p/status", {"status": {"phase": "Running"}}),
    strategic("pods/p/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    strategic("pods/p/status", {"status": {"conditions": [{"type": "Other", "status": "False"}]}}),
    patch("pods/p/status", {"metadata": {"labels": {"by": "status"}}, "spec": {"nodeName": "x"}}),
    get("pods/p"),
]
C = "configmaps/a"
APPLIES = [
    apply(C, {"data": {"x": "1"}}),
    apply(C, {"data": {"x": "1"}}),
    apply(C, {"data": {"x": "2"}}, "two"),
    apply(C, {"data": {"x": "2", "y": "1"}}, "two", force=True),
    apply(C, {"data": {"x": "3"}}),
    apply(C, {"data": {}}),
    apply(C, {"data": {"y": "1"}}),
    apply(C, {"data": {"z": "1"}}, "two"),
    patch(C, {"data": {"w": "1"}}),
    apply(C, {"data": {"w": "2"}}, "three"),
    apply(C, {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["x/y"]}}, "meta"),
    apply(C, {"metadata": {"labels": {"a": "c"}}}, "meta2"),
    apply(C, {"metadata": {"finalizers": ["z/z"]}}, "meta2"),
    apply(C, {"metadata": {}}, "meta"),
    put(C, config("a", q="1")),
    patch(C, {"metadata": {"managedFields": []}}),
    patch(C, {"metadata": {"managedFields": [{}]}}),
    apply(C, {"data": {"q": "1"}}),
    apply("configmaps/made", {"data": {"x": "1"}}),
    apply("configmaps/dry?dryRun=All", {"data": {"x": "1"}}),
    get("configmaps/dry"),
    apply("configmaps/made", {"metadata": {"resourceVersion": "1"}, "data": {"x": "2"}}),
    apply("deployments/d", {"spec": DEPLOYMENT_SPEC}),
    apply("deployments/d", {"spec": {"replicas": 3}}, "scaler"),
    apply("deployments/d", {"spec": {**DEPLOYMENT_SPEC, "replicas": 2}}),
    apply("deployments/d", {"spec": {**DEPLOYMENT_SPEC, "replicas": 2}}, force=True),
    apply("deployments/d/scale", {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 5}}, "scaler"),
    apply("deployments/d/scale", {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 5}}, "scaler", force=True),
    put("deployments/d/scale", named("d", spec={"replicas": 1})),
    get("deployments/d"),
    apply("deployments/d/status", {"status": {"replicas": 1, "observedGeneration": 1}}, "status"),
    apply(
        "deployments/d",
        {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s", "env": [{"name": "E", "value": "1"}]}]}}}},
        "side",
    ),
    apply("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}}}, "side"),
    apply("deployments/d", {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other"}]}}}}, "side"),
    apply("deployments/d", {"spec": {"nope": 1}}, "side"),
    apply("services/s", {"spec": {"ports": [{"port": 80}]}}),
    apply("services/s", {"spec": {"ports": [{"port": 80, "protocol": "UDP"}]}}, "two"),
    apply("services/s", {"spec": {"ports": [{"port": 80, "protocol": "UDP", "name": "u"}]}}, "two"),
    apply("services/s", {"spec": {"ports": [{"port": 80, "name": "t"}]}}),
    apply("services/s", {"spec": {"ports": [{"port": 80, "name": "t"}, {"port": 80, "name": "t2"}]}}),
    patch("configmaps/yaml?fieldManager=y", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {a: '1'}\n", APPLY),
    patch("configmaps/yaml?fieldManager=y&fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\ndata: {a: '1', a: '2'}\n", APPLY),
    post("pods", pod("p", labels=LABELS)),
    apply("pods/p", {"spec": {"containers": [{"name": "c", "image": "new"}]}}),
    apply("pods/p", {"spec": {"containers": [{"name": "c", "image": "new"}]}}, force=True),
    apply("pods/p", {"metadata": {"labels": {"app": "y"}}}),
    apply("namespaces/$ns-new", {}),
]
SCENARIOS = (
    Scenario("patch-strategic", STRATEGIC_STEPS),
    Scenario("patch-others", OTHERS),
    Scenario("patch-apply", APPLIES),
)
