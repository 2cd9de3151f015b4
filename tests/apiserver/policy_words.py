"""Words to write cases of admission policies with: requests, policies that judge them, and what they bind to.

`NS` in any text stands for the namespace of the case, whose name is also that of its policies. Probes are validations that always fail and
only warn, so that the warnings tell what expressions came to.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lightship.meta.objects import Obj

GROUP = "/apis/admissionregistration.k8s.io/v1"
PLURALS = {
    "ValidatingAdmissionPolicy": f"{GROUP}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{GROUP}/validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": f"{GROUP}/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": f"{GROUP}/mutatingadmissionpolicybindings",
    "ValidatingWebhookConfiguration": f"{GROUP}/validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": f"{GROUP}/mutatingwebhookconfigurations",
    "ConfigMap": "/api/v1/namespaces/NS/configmaps",
    "Secret": "/api/v1/namespaces/NS/secrets",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/NS/pods",
    "Service": "/api/v1/namespaces/NS/services",
    "Deployment": "/apis/apps/v1/namespaces/NS/deployments",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v1/namespaces/NS/horizontalpodautoscalers",
}
MERGE = "application/merge-patch+json"


class Ask(NamedTuple):
    """A request. In paths and bodies `NS` is the case's namespace."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"


class Case(NamedTuple):
    name: str
    setup: Sequence[Obj]
    asks: Sequence[Ask]


def rule(resources: str = "configmaps", group: str = "", version: str = "v1", operations: str = "*", **more: Any) -> Obj:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": resources.split(","),
        "operations": operations.split(","),
        **more,
    }


def policy(*validations: str | Obj, rules: Sequence[Obj] = (), **spec: Any) -> Obj:
    written = [{"expression": v} if isinstance(v, str) else v for v in validations]
    constraints = {"resourceRules": list(rules) or [rule(operations="CREATE,UPDATE")], **spec.pop("constraints", {})}
    spec = {"matchConstraints": constraints, "validations": written, **spec}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "NS"}, "spec": spec}


def binding(*actions: str, name: str = "NS", to: str = "NS", everywhere: bool = False, **spec: Any) -> Obj:
    resources = spec.pop("matchResources", {})
    if not everywhere:
        resources = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "NS"}}, **resources}
    spec = {"policyName": to, "validationActions": list(actions) or ["Deny"], "matchResources": resources, **spec}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": spec,
    }


def probes(*expressions: str, **spec: Any) -> list[Obj]:
    """A policy that only tells what string expressions come to."""
    return [policy(*[{"expression": "false", "messageExpression": f"string({e})"} for e in expressions], **spec), binding("Warn")]


def mutation(*expressions: str, name: str = "NS", rules: Sequence[Obj] = (), **spec: Any) -> list[Obj]:
    """A policy of configurations, or of JSON patches where an expression begins with a bracket, and its binding."""
    mutations = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": e}}
        if e.startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": e}}
        for e in expressions
    ]
    constraints = {"resourceRules": list(rules) or [rule(operations="CREATE,UPDATE")]}
    made = {"matchConstraints": constraints, "mutations": mutations, "reinvocationPolicy": "Never", **spec}
    bound = binding(name=name, to=name)
    bound["kind"] = "MutatingAdmissionPolicyBinding"
    del bound["spec"]["validationActions"]
    api = "admissionregistration.k8s.io/v1"
    return [{"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": made}, bound]


def obj(kind: str, name: str = "a", api: str = "v1", **fields: Any) -> Obj:
    meta = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": {k: v for k, v in meta.items() if v}, **fields}


def create(kind: str = "ConfigMap", name: str = "a", query: str = "", **fields: Any) -> Ask:
    return Ask("POST", PLURALS[kind] + query, obj(kind, name, **fields))


def made(body: Obj, query: str = "") -> Ask:
    return Ask("POST", PLURALS[body["kind"]] + query, body)


def patch(body: Obj, kind: str = "ConfigMap", name: str = "a", query: str = "") -> Ask:
    return Ask("PATCH", f"{PLURALS[kind]}/{name}{query}", body, MERGE)


def delete(kind: str = "ConfigMap", name: str = "a", query: str = "") -> Ask:
    return Ask("DELETE", f"{PLURALS[kind]}/{name}{query}")


def deployment(name: str = "d", **spec: Any) -> Obj:
    container = {"name": "c", "image": "i", **spec.pop("container", {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    made = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": made}


DEPLOYMENTS = rule("deployments", "apps", operations="CREATE,UPDATE")
PARAMS: dict[str, Any] = {"paramKind": {"apiVersion": "v1", "kind": "Secret"}}
HERE: Obj = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "NS"}}}
DENY = {"expression": "false", "message": "no"}


def secret(name: str, value: str, **labels: str) -> Obj:
    return obj("Secret", name, metadata={"labels": labels, "namespace": "NS"}, stringData={"v": value}, type=value)


def refs(**reference: Any) -> Obj:
    return {"paramRef": {"parameterNotFoundAction": "Deny", **reference}}
