"""What the server says of itself: discovery plain and aggregated, versions, health, OpenAPI."""

from tests.parity.steps import PROTOBUF, Scenario, Step, get

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
GROUPS = (
    *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io"),
    *("authorization.k8s.io", "autoscaling", "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io"),
    *("flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io"),
    *("scheduling.k8s.io", "storage.k8s.io"),
)
STEPS = [
    get("/api"),
    get("/api/"),
    get("/apis"),
    get("/api/v1"),
    get("/apis/autoscaling/v2"),
    *(step for group in GROUPS for step in (get(f"/apis/{group}"), get(f"/apis/{group}/v1"))),
    get("/api", AGGREGATED),
    get("/apis", AGGREGATED),
    get("/apis", f"{AGGREGATED},application/json"),
    get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
    get("/apis", "application/yaml"),
    get("/apis", "text/html"),
    get("/apis/apps", PROTOBUF),
    get("/apis/apps/v1", "application/yaml"),
    get("/"),
    get("/healthz"),
    get("/livez"),
    get("/readyz"),
    get("/livez/ping"),
    get("/livez/nope"),
    get("/healthz?exclude=ping"),
    get("/openapi"),
    get("/openapi/v3/nope"),
    get("/openid/v1/jwks/x"),
    get("/.well-known/openid-configuration", "text/html"),
    get("/metrics/x"),
    get("/logs"),
    get("/debug/x"),
    get("/index.html"),
    Step("POST", "/version"),
    Step("HEAD", "/healthz"),
    Step("PUT", "/api/v1"),
]
SCENARIOS = (Scenario("discovery", STEPS),)
