"""Who may do what: refusals by RBAC, reviews, impersonation, and rights that nobody can give away without having them."""

from tests.parity.steps import Scenario, delete, get, patch, post, put, watch

from .samples import config, named, pod

RULES = [
    {"verbs": ["get", "list", "watch", "create"], "apiGroups": [""], "resources": ["configmaps"]},
    {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"]},
    {"verbs": ["create", "update", "patch"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
]
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
JOE = "$ns-joe"
SAR = "/apis/authorization.k8s.io/v1"
ASKED = {"namespace": "access", "verb": "get", "resource": "configmaps"}
STEPS = [
    get("configmaps", user="joe"),
    get("configmaps/a", user="joe"),
    watch("configmaps?timeoutSeconds=1", 0, user="joe"),
    post("configmaps", config("a"), user="joe"),
    put("configmaps/a", config("a"), user="joe"),
    patch("configmaps/a", {}, user="joe"),
    delete("configmaps/a", user="joe"),
    delete("configmaps", user="joe"),
    get("nodes", user="joe"),
    get("nodes/x", user="joe"),
    get("/api/v1/pods", user="joe"),
    get("pods/p/log", user="joe"),
    post("pods/p/binding", {}, user="joe"),
    get("deployments/d/scale", user="joe"),
    get("/apis/nope.io/v1/namespaces/$ns/things/x", user="joe"),
    get("/metrics", user="joe"),
    get("/healthz", user="joe"),
    get("/version", user="joe"),
    get("/apis", user="joe"),
    post("roles", named("r", rules=RULES)),
    post("rolebindings", named("r", roleRef=ROLE, subjects=[{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}])),
    get("configmaps", user="ann", until=200),
    post("configmaps", config("a"), user="ann"),
    delete("configmaps/a", user="ann"),
    patch("configmaps/a", {"data": {"a": "b"}}, user="ann"),
    put("configmaps/fresh", config("fresh"), user="ann"),
    get("secrets/mine", user="ann"),
    get("secrets/other", user="ann"),
    get("secrets", user="ann"),
    post("roles", named("more", rules=[{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]), user="ann"),
    post("roles", named("less", rules=[RULES[1]]), user="ann"),
    patch("roles/less", {"rules": [{"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]}]}, user="ann"),
    post("rolebindings", named("x", roleRef={**ROLE, "kind": "ClusterRole", "name": "admin"}), user="ann"),
    post("rolebindings", named("y", roleRef={**ROLE, "kind": "ClusterRole", "name": "nope"}), user="ann"),
    post("rolebindings", named("z", roleRef={**ROLE, "kind": "Foo"})),
    get("configmaps", headers={"Impersonate-Group": "x"}),
    get("configmaps", user="ann", headers={"Impersonate-Extra-a%2fb": "c", "Impersonate-Group": "g", "Impersonate-Uid": "u"}),
    post(f"{SAR}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    post(f"{SAR}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {**ASKED}}}, user="ann"),
    post(f"{SAR}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {**ASKED, "verb": "delete"}}}, user="ann"),
    post(f"{SAR}/selfsubjectaccessreviews", {"spec": {}}),
    post(f"{SAR}/subjectaccessreviews", {"spec": {"user": "joe", "resourceAttributes": ASKED}}),
    post(f"{SAR}/subjectaccessreviews", {"spec": {"resourceAttributes": ASKED}}),
    post(f"{SAR}/subjectaccessreviews", {"spec": {"user": "x", "resourceAttributes": ASKED, "nonResourceAttributes": {"path": "/"}}}),
    post(
        "/apis/authorization.k8s.io/v1/namespaces/$ns/localsubjectaccessreviews",
        {"spec": {"user": "joe", "resourceAttributes": {**ASKED, "namespace": "$ns"}}},
    ),
    post(
        "/apis/authorization.k8s.io/v1/namespaces/$ns/localsubjectaccessreviews",
        {"spec": {"user": "joe", "resourceAttributes": {**ASKED, "namespace": "x"}}},
    ),
    post(f"{SAR}/selfsubjectrulesreviews", {"spec": {"namespace": "$ns"}}, user="ann"),
    post(f"{SAR}/selfsubjectrulesreviews", {"spec": {}}, user="ann"),
    get(f"{SAR}/selfsubjectaccessreviews"),
    post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}),
    post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, user="ann", headers={"Impersonate-Group": "g"}),
    post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "nope"}}),
    post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {}}),
    get("clusterroles/admin"),
    get("clusterroles/view"),
    get("clusterroles/system:discovery"),
    get("clusterrolebindings/system:basic-user"),
    get("clusterroles?fieldSelector=metadata.name=edit"),
    post("clusterroles", named("$ns", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]})),
    post("pods", pod("p"), user="system:serviceaccount:$ns:default"),
    get("configmaps", user="system:anonymous"),
    get("flowschemas/exempt"),
    get("prioritylevelconfigurations/exempt"),
]
SCENARIOS = (Scenario("access", STEPS),)
