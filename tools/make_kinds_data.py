"""Make `src/lightship/kinds/data/*.json` from a running kube-apiserver, so that facts about kinds are read, never remembered.

    python tools/make_kinds_data.py --server https://127.0.0.1:6443 --token TOKEN --ca ca.crt

The server must have native gangs on, as `oracle.programs.GANGS` says. Asks for aggregated discovery, the OpenAPI v3 documents and the Table
columns of every kind in `SERVED`, leaves out the prose, and writes two files: `resources.json` (names, scope, verbs, columns) and
`schemas.json` (the schemas of those kinds and of everything they refer to). Only the standard library is used, so that any Python can run
it.
"""

import argparse
import json
import pathlib
import ssl
import urllib.request
from typing import Any

GROUPS = {
    "v1": (
        "bindings componentstatuses configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims "
        "persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services"
    ),
    "apiregistration.k8s.io/v1": "apiservices",
    "apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "events.k8s.io/v1": "events",
    "autoscaling/v2": "horizontalpodautoscalers",
    "autoscaling/v1": "horizontalpodautoscalers",
    "batch/v1": "cronjobs jobs",
    "certificates.k8s.io/v1": "certificatesigningrequests",
    "networking.k8s.io/v1": "ingressclasses ingresses ipaddresses networkpolicies servicecidrs",
    "policy/v1": "poddisruptionbudgets",
    "rbac.authorization.k8s.io/v1": "clusterrolebindings clusterroles rolebindings roles",
    "storage.k8s.io/v1": "csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses",
    "admissionregistration.k8s.io/v1": (
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations "
        "validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations"
    ),
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "scheduling.k8s.io/v1": "priorityclasses",
    "scheduling.k8s.io/v1alpha2": "podgroups workloads",
    "coordination.k8s.io/v1": "leases",
    "node.k8s.io/v1": "runtimeclasses",
    "discovery.k8s.io/v1": "endpointslices",
    "resource.k8s.io/v1": "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
    "flowcontrol.apiserver.k8s.io/v1": "flowschemas prioritylevelconfigurations",
}
"""What the server offers, in the order in which the real one lists it in discovery."""
SERVED = tuple(f"{group}/{plural}" for group, plurals in GROUPS.items() for plural in plurals.split())

ALSO = (
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
)
"""Schemas of request bodies and answers that are no stored kinds."""

SERVER_SCOPE_KEYS = "x-kubernetes-group-version-kind"
CORE, BATCH, SCHEDULING = "io.k8s.api.core.v1.", "io.k8s.api.batch.v1.", "io.k8s.api.scheduling.v1."
APPS, AUTOSCALING, POLICY = "io.k8s.api.apps.v1.", "io.k8s.api.autoscaling.v2.", "io.k8s.api.policy.v1."
ENUMS: dict[tuple[str, str], list[str]] = {
    (CORE + "PodSpec", "restartPolicy"): ["Always", "OnFailure", "Never"],
    (CORE + "PodSpec", "dnsPolicy"): ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    (CORE + "Container", "terminationMessagePolicy"): ["File", "FallbackToLogsOnError"],
    (CORE + "EphemeralContainer", "terminationMessagePolicy"): ["File", "FallbackToLogsOnError"],
    (CORE + "Toleration", "effect"): ["NoSchedule", "PreferNoSchedule", "NoExecute"],
    (BATCH + "JobSpec", "completionMode"): ["NonIndexed", "Indexed"],
    (SCHEDULING + "PriorityClass", "preemptionPolicy"): ["PreemptLowerPriority", "Never"],
}
"""The order in which the real server names the choices when it refuses one, which is not the schemas' alphabetical one."""
BY_HAND = (
    ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "key"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "operator"),
    (CORE + "Taint", "key"),
    (CORE + "Taint", "effect"),
    (CORE + "Toleration", "operator"),
    (CORE + "NodeSelectorRequirement", "operator"),
    (CORE + "PodAffinityTerm", "topologyKey"),
    (CORE + "TopologySpreadConstraint", "topologyKey"),
    (CORE + "TopologySpreadConstraint", "whenUnsatisfiable"),
    (BATCH + "CronJobSpec", "schedule"),
    (BATCH + "CronJobSpec", "concurrencyPolicy"),
    (APPS + "DeploymentStrategy", "type"),
    (APPS + "DaemonSetUpdateStrategy", "type"),
    (APPS + "DeploymentSpec", "selector"),
    (APPS + "DaemonSetSpec", "selector"),
    (APPS + "ReplicaSetSpec", "selector"),
    (APPS + "StatefulSetSpec", "selector"),
    (APPS + "StatefulSetSpec", "podManagementPolicy"),
    (APPS + "StatefulSetUpdateStrategy", "type"),
    (APPS + "StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted"),
    (APPS + "StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled"),
)
"""Fields that the real server judges in other words than their schema's enum or required list, or not at all."""
PARTS_BY_HAND = (CORE + "PodSpec",)
"""Parts of kinds of which the rooms' own rules judge everything but the types of values."""
WHOLE_BY_HAND = (
    (CORE, "Endpoints Event LimitRange PersistentVolume PersistentVolumeClaim ResourceQuota Service"),
    ("io.k8s.api.admissionregistration.v1.", "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration"),
    ("io.k8s.api.admissionregistration.v1.", "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration"),
    ("io.k8s.api.autoscaling.v1.", "HorizontalPodAutoscaler"),
    (AUTOSCALING, "HorizontalPodAutoscaler"),
    ("io.k8s.api.certificates.v1.", "CertificateSigningRequest"),
    ("io.k8s.api.coordination.v1.", "Lease"),
    ("io.k8s.api.discovery.v1.", "EndpointSlice"),
    ("io.k8s.api.events.v1.", "Event"),
    ("io.k8s.api.flowcontrol.v1.", "FlowSchema PriorityLevelConfiguration"),
    ("io.k8s.api.networking.v1.", "Ingress IngressClass IPAddress NetworkPolicy ServiceCIDR"),
    ("io.k8s.api.node.v1.", "RuntimeClass"),
    (POLICY, "PodDisruptionBudget"),
    ("io.k8s.api.resource.v1.", "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice"),
    ("io.k8s.api.rbac.v1.", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    (SCHEDULING, "PriorityClass"),
    ("io.k8s.api.scheduling.v1alpha2.", "PodGroup Workload"),
    (
        "io.k8s.api.storage.v1.",
        "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
    ),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.", "APIService"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.", "CustomResourceDefinition"),
)
"""Kinds of which the rooms' own rules judge everything but the types of values."""
MARK = "x-lightship-by-hand"
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
TARGET = pathlib.Path(__file__).resolve().parent.parent / "src" / "lightship" / "kinds" / "data"


class Server:
    """A kube-apiserver to read from."""

    def __init__(self, address: str, token: str, ca: str | None) -> None:
        self.address = address.rstrip("/")
        self.token = token
        self.tls = ssl.create_default_context(cafile=ca)
        # Its own serving certificate as the trust anchor is common with throw-away servers and need not be a CA's.
        self.tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def get(self, path: str, accept: str = "application/json") -> Any:
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {self.token}", "Accept": accept})
        with urllib.request.urlopen(request, context=self.tls) as answer:
            return json.load(answer)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--server", required=True, help="address, such as https://127.0.0.1:6443")
    arguments.add_argument("--token", required=True, help="bearer token of somebody who may list everything")
    arguments.add_argument("--ca", help="PEM file that its certificate is checked against")
    options = arguments.parse_args()
    server = Server(options.server, options.token, options.ca)
    components = read_components(server)
    resources = read_resources(server, components)
    wanted = [r["schema"] for r in resources.values()] + list(ALSO)
    write("resources.json", resources)
    write("schemas.json", reachable(components, wanted))


def read_components(server: Server) -> dict[str, Any]:
    """All component schemas of the groups that are served or referred to, without prose."""
    found: dict[str, Any] = {}
    prefixes = {group_path(s) for s in SERVED} | {"apis/authentication.k8s.io/v1", "apis/authorization.k8s.io/v1"}
    for prefix in sorted(prefixes):
        found.update(server.get(f"/openapi/v3/{prefix}")["components"]["schemas"])
    components = {name: without_prose(schema) for name, schema in found.items()}
    for (definition, field), choices in ENUMS.items():
        schema = components[definition]["properties"][field]
        if sorted(choices) != sorted(schema["enum"]):
            raise SystemExit(f"{definition} {field}: the server's choices are {schema['enum']}, ENUMS has {choices}")
        schema["enum"] = choices
    for definition, field in BY_HAND:
        schema = components[definition]["properties"][field]
        schema.get("items", schema)[MARK] = True
    for definition in PARTS_BY_HAND:
        components[definition][MARK] = "inside"
    for package, kinds in WHOLE_BY_HAND:
        for kind in kinds.split():
            components[package + kind][MARK] = True
    return components


def read_resources(server: Server, components: dict[str, Any]) -> dict[str, Any]:
    by_kind = {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in components.items()
        for gvk in schema.get(SERVER_SCOPE_KEYS, ())
    }
    discovered = read_discovery(server)
    found = {}
    for identity in SERVED:
        resource = discovered[identity]
        group, _, rest = identity.rpartition("/")[0].rpartition("/")
        kind = resource["responseKind"]["kind"]
        found[identity] = {
            "kind": kind,
            "singular": resource["singularResource"],
            "namespaced": resource["scope"] == "Namespaced",
            "shortNames": resource.get("shortNames", []),
            "categories": resource.get("categories", []),
            "verbs": resource["verbs"],
            "subresources": {
                s["subresource"]: {"kind": gvk_text(s["responseKind"]), "verbs": s["verbs"]} for s in resource.get("subresources", ())
            },
            "schema": by_kind[(group, rest, kind)],
            "columns": [[c["name"], c["type"], c["format"], c["priority"]] for c in read_columns(server, identity, resource)],
        }
    return found


def read_discovery(server: Server) -> dict[str, Any]:
    found = {}
    for path in ("/api", "/apis"):
        for group in server.get(path, DISCOVERY)["items"]:
            for version in group["versions"]:
                prefix = "/".join(p for p in (group["metadata"].get("name", ""), version["version"]) if p)
                found.update({f"{prefix}/{r['resource']}": r for r in version["resources"]})
    return found


def read_columns(server: Server, identity: str, resource: dict[str, Any]) -> Any:
    """What is not listed has no table."""
    if "list" not in resource["verbs"]:
        return []
    return server.get(f"/{group_path(identity)}/{identity.rpartition('/')[2]}?limit=1", TABLE)["columnDefinitions"]


def group_path(identity: str) -> str:
    prefix = identity.rpartition("/")[0]
    return f"apis/{prefix}" if "/" in prefix else f"api/{prefix}"


def gvk_text(kind: dict[str, str]) -> str:
    return "/".join(p for p in (kind.get("group", ""), kind.get("version", ""), kind["kind"]) if p)


def without_prose(schema: Any) -> Any:
    """A schema without descriptions; `properties` is a map of names, in which `description` may be a field."""
    if isinstance(schema, list):
        return [without_prose(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: without_prose(value[name]) for name in sorted(value)}
        elif key != "description":
            found[key] = without_prose(value)
    return found


def references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    found = set().union(*map(references, schema.values()))
    if isinstance(schema.get("$ref"), str):
        found.add(schema["$ref"].rpartition("/")[2])
    return found


def reachable(components: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = components[name]
            wanted.extend(references(components[name]))
    return {name: found[name] for name in sorted(found)}


def write(name: str, content: dict[str, Any]) -> None:
    """One entry per line: small, and still readable in a diff."""
    lines = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in content.items()]
    target = TARGET / name
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{target}: {len(content)} entries, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
