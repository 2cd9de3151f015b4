"""HTTP itself: methods, paths, media types, documents, time-outs, and what is said to those who ask wrongly."""

from tests.parity.steps import MERGE, PARTIAL, PARTIAL_LIST, PROTOBUF, TABLE, YAML, Scenario, Step, delete, get, patch, post, put, watch

from .samples import DEPLOYMENT_SPEC, config, named, pod

C = "configmaps"
CORE = "/api/v1/namespaces/$ns"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
STATUSZ = "application/json;as=Statusz;v=v1beta1;g=config.k8s.io"
ODD = ("HEAD", "OPTIONS", "TRACE", "FOO", "get", "X-Y")
"""Methods that no resource knows."""
DOCUMENTS = (
    *("/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/version", "/version/", "/healthz"),
    *("/openid/v1/jwks", "/.well-known/openid-configuration", "/foo", "/apis/nope", "/apis/nope/v1", "/flagz", "/logs"),
)
NAMES = ("..", ".", "%2e%2e", "a%25", "%25")
CRD = {
    "metadata": {"name": "foos.wire.example.com"},
    "spec": {
        "group": "wire.example.com",
        "names": {"plural": "foos", "kind": "Foo"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                            "status": {"type": "object"},
                        },
                    }
                },
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
            }
        ],
    },
}
FOOS = "/apis/wire.example.com/v1/namespaces/$ns/foos"


def _accepting(method: str, path: str, body: object, accept: str, type: str = "application/json") -> Step:
    return Step(method, path, body, {"Accept": accept, "Content-Type": type})


METHODS = [
    post(C, config("a", x="1")),
    *(Step(method, path) for method in ODD for path in (f"{CORE}/{C}", f"{CORE}/{C}/a", f"{CORE}/pods/a/log", "/api/v1/nodes/a/status")),
    *(Step(method, f"{CORE}/{C}") for method in ("PUT", "PATCH")),
    *(Step(method, path) for method in (*ODD, "POST", "PUT", "DELETE", "PATCH") for path in DOCUMENTS),
    *(Step(method, f"{CORE}/pods/a/exec") for method in (*ODD, "PUT", "PATCH", "DELETE")),
    *(Step(method, f"/api/v1/watch/namespaces/$ns/{C}?timeoutSeconds=1") for method in ("POST", "HEAD", "DELETE", "FOO")),
    *(Step(method, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") for method in ("HEAD", "FOO", "PUT", "GET", "DELETE")),
    *(Step(method, "/api/v1/componentstatuses") for method in ("HEAD", "POST", "DELETE")),
    *(Step(method, f"{CORE}/{C}", None, {"Impersonate-User": "joe"}) for method in ("FOO", "HEAD", "PUT", "OPTIONS")),
    *(Step("FOO", path, None, {"Impersonate-User": "joe"}) for path in ("/api", "/foo", f"{CORE}/pods/x/proxy")),
    *(get(f"pods/x/{part}", user="joe") for part in ("exec", "attach", "portforward", "proxy", "log")),
]
PATHS = [
    post(C, config("a", x="1")),
    *(get(f"{CORE}/{C}/{name}") for name in NAMES),
    *(get(f"/apis/apps/v1/namespaces/$ns/deployments/{name}/scale") for name in NAMES),
    *(get(f"/api/v1/{plural}/{name}") for plural in ("nodes", "namespaces") for name in NAMES),
    delete(f"{CORE}/{C}/.."),
    put(f"{CORE}/{C}/..", {"metadata": {"name": ".."}}),
    patch(f"{CORE}/{C}/..", {}),
    get(f"{CORE}/pods/../log"),
    watch(f"{CORE}/{C}/..?timeoutSeconds=1", 0),
    *(get(f"{CORE}/{C}{end}") for end in ("/", "//", "/a/", "/a//", "//a", "/%", "/%zz", "/a%2Fb", "/a/../a", "/a?%zz", "/a?a;b")),
    *(
        get(path)
        for path in ("//version", "/version//", "/version/x", "/api/", "/apis//v1", "//", "/healthz/", "/healthz//ping", "/..", "/../api")
    ),
    *(get(path) for path in ("/apis/apps/", "/apis/apps/v1/", "/apis/apps//deployments", "/api/v1//configmaps", "/./api", "/api/v1/../v1")),
    *(
        get(path)
        for path in ("/apis/apps/v1/nopes", "/apis/apps/v9/deployments", "/apis/apps/v9", "/api/v9", "/apis/nope.example.com/v1/foos")
    ),
    *(
        get(path)
        for path in ("/openid", "/openid/v1", "/openid/v1/x", "/openid/v1/jwks/x", "/.well-known/x", "/swagger.json", "/ui", "/logs/")
    ),
    *(
        get(path)
        for path in (
            "/openapi/v2/",
            "/openapi/",
            "/openapi/v3/",
            "/openapi/v3/nope",
            "/statusz/",
            "/statusz/x",
            "/index.html/",
            "/metrics/",
        )
    ),
    *(get(f"/api/v1/namespaces//{rest}") for rest in (f"{C}?labelSelector=like=none", f"{C}/a", "nodes", "nodes/x", "nopes", "pods/x/log")),
    *(Step(method, f"/api/v1/namespaces//{C}{name}") for method in ("DELETE", "HEAD") for name in ("", "/a")),
    get("/apis/apiregistration.k8s.io/v1/foo"),
    get("/apis/authentication.k8s.io/v1/tokenreviews/x"),
]
MEDIA = [
    post(C, config("a", x="1")),
    post("pods", pod("p")),
    *(get("/version", accept) for accept in ("text/html", YAML, PROTOBUF, "application/*")),
    *(get("/openid/v1/jwks", accept) for accept in ("text/html", YAML, "application/json", "application/*")),
    *(get("/.well-known/openid-configuration", accept) for accept in ("text/html", YAML, "application/*")),
    *(
        get("/statusz", accept)
        for accept in ("application/json", "text/html", YAML, STATUSZ.replace("v1beta1", "v2"), STATUSZ.replace("S", "F"))
    ),
    *(
        get("/apis", accept)
        for accept in ("text/html", "application/*", f"{AGGREGATED};profile=nopeer", AGGREGATED.replace("json", "yaml"))
    ),
    *(get("/apis", AGGREGATED.replace("v2", version)) for version in ("v1", "v2beta1")),
    get("/apis", f"{AGGREGATED.replace('v2', 'v2beta1')},application/json"),
    get("/apis/apps", AGGREGATED),
    *(get("/apis/apps/v1", accept) for accept in ("text/html", YAML, PROTOBUF, "application/json;pretty=1")),
    *(get("pods/p/log", accept) for accept in ("text/plain", "*/*", "text/html", "application/*", "application/json, */*", PROTOBUF)),
    *(get("pods/p/exec", accept) for accept in ("text/html", "text/plain")),
    get(f"{C}/a", "application/yaml;q=0.5,application/json;q=0.9"),
    get(f"{C}/a", "text/html,application/json;q=0.1"),
    get(f"{C}/a", "application/json;q=0"),
    get(f"{C}/a", "*/*;q=0.1,application/yaml;q=0.2"),
    get(f"{C}/a", "application/*;q=0.8"),
    get(f"{C}/a", "application/json;charset=utf-8"),
    get(f"{C}/nope", "application/yaml;pretty=1"),
    get(f"{C}/nope", headers={"User-Agent": "curl/8"}),
    get(f"{C}/a?pretty=false", headers={"User-Agent": "curl/8"}),
    get(f"{C}/a", headers={"User-Agent": "Wget/1"}),
    get(f"{C}/a", headers={"X-HTTP-Method-Override": "DELETE"}),
    get(f"{C}/a", headers={"If-None-Match": "*", "Range": "bytes=0-9"}),
    get(f"{C}/a", headers={"Origin": "http://elsewhere.example.com"}),
    Step("OPTIONS", f"{CORE}/{C}", None, {"Origin": "http://elsewhere.example.com", "Access-Control-Request-Method": "POST"}),
    *(get(f"{C}/a", headers={"Accept-Encoding": encoding}) for encoding in ("gzip", "gzip;q=0", "*", "GZIP", "deflate")),
    *(_accepting("POST", C, config("b"), accept) for accept in (TABLE, PARTIAL, YAML, PROTOBUF, "text/html")),
    _accepting("PUT", f"{C}/a", config("a", x="2"), TABLE),
    _accepting("PATCH", f"{C}/a", {"data": {"x": "3"}}, PARTIAL, MERGE),
    _accepting("POST", "serviceaccounts/default/token", {"spec": {}}, TABLE),
    _accepting("DELETE", "pods/p?gracePeriodSeconds=0", None, TABLE),
    _accepting("DELETE", f"{C}?dryRun=All", None, TABLE),
    _accepting("DELETE", f"{C}?dryRun=All", None, PARTIAL_LIST),
    _accepting("DELETE", f"{C}/a", None, PARTIAL),
    post("deployments", named("d", spec=DEPLOYMENT_SPEC)),
    *(get(f"deployments/d/scale{query}", TABLE) for query in ("", "?includeObject=Object", "?includeObject=None", "?includeObject=Foo")),
    _accepting("PATCH", "deployments/d/scale", {"spec": {"replicas": 3}}, TABLE, MERGE),
    get("deployments/d/scale", PARTIAL),
    *(get(plural, TABLE) for plural in ("limitranges", "roles", "csistoragecapacities", "leases", "podtemplates", "rolebindings")),
    get(C, f"{YAML};as=Table;v=v1;g=meta.k8s.io"),
    get(C, f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io"),
]
OPTIONS = [
    *(post(C, config(name, x="1")) for name in "abc"),
    *(get(f"{path}?timeout=x") for path in ("/healthz", "/nope", "/apis", f"{CORE}/{C}", f"{CORE}/{C}/a", f"{CORE}/pods/p/log")),
    get("/version?timeout=x", headers={"Authorization": ""}),
    post(f"{C}?timeout=x", config("t")),
    *(get(f"{C}/a?timeout={value}") for value in ("5", "-5s", "1h", "0", "1.5h2m", "", "5%20s")),
    watch(f"{C}?timeout=x&timeoutSeconds=1", 3),
    *(
        delete(f"{C}?{query}")
        for query in ("dryRun=All", "dryRun=Foo", "limit=1&dryRun=All", "watch=true&dryRun=All", "labelSelector=a%20b")
    ),
    *(delete(f"{C}?{query}") for query in ("uid=x", "resourceVersion=0&dryRun=All", "fieldSelector=foo=bar", "timeoutSeconds=x")),
    *(
        delete(C, body)
        for body in ({"dryRun": ["All"]}, {"propagationPolicy": "Foo"}, {"kind": "Foo"}, "x", {"preconditions": {"uid": "x"}})
    ),
    *(
        delete(f"{C}/a?{query}")
        for query in ("uid=x", "resourceVersion=1", "uid=&dryRun=All", "gracePeriodSeconds=x", "propagationPolicy=Foo")
    ),
    delete(f"{C}/a?uid=x", {"dryRun": ["All"]}),
    delete(f"{C}?continue=abc"),
    *(get(f"{C}?{query}&limit=1") for query in ("watch=false", "watch=0", "watch=FALSE", "limit=2", "unknown=1", "allowWatchBookmarks=x")),
    *(watch(f"{C}?{query}&timeoutSeconds=1", 1) for query in ("watch=f", "watch", "watch=", "watch=true&watch=false", "limit=1")),
    *(get(f"{C}?{query}") for query in ("limit=99999999999999999999", "sendInitialEvents=false", "labelSelector=a&labelSelector=b")),
    *(get(f"{plural}?limit=1&resourceVersion=0") for plural in (C, "events", "leases", "configmaps")),
]
STREAMS = [
    post("pods", pod("p")),
    post("pods", named("q", spec={"nodeName": "nowhere", "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]})),
    *(
        get(f"pods/{name}/{part}")
        for name in ("p", "q", "nope")
        for part in (
            "log",
            "log?container=zz",
            "exec?command=x&stdout=1",
            "exec",
            "attach",
            "attach?container=c",
            "portforward",
            "portforward?ports=80",
        )
    ),
    *(get(f"pods/p/portforward?ports={ports}") for ports in ("99999999999", "-1", "80,81", "80,x", "80&ports=x", "", "1.5", "65536", "0")),
    *(get(f"pods/p/log?{query}") for query in ("stream=All", "stream=", "tailLines=x", "tailLines=-1", "limitBytes=0", "limitBytes=-1")),
    *(
        get(f"pods/p/log?{query}")
        for query in ("sinceSeconds=-1", "sinceTime=abc", "sinceTime=", "sinceTime=2026-01-01T00:00:00.5%2B02:00")
    ),
    *(get(f"pods/p/log?{query}") for query in ("timestamps=x", "previous=true&follow=true", "container=", "pretty=true", "timeout=x")),
    get("pods/p/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z&tailLines=-1"),
    get("pods/nope/log?tailLines=-1"),
    get("nodes/nope/proxy/"),
    get("nodes/nope/proxy/metrics"),
    get("/api/v1/proxy/nodes/x"),
]
CUSTOM = [
    post("customresourcedefinitions", CRD),
    get(FOOS, until=200),
    *(
        get(path)
        for path in ("/apis/wire.example.com", "/apis/wire.example.com/v1", "/apis/wire.example.com/v2", "/apis/wire.example.com/v2/foos")
    ),
    *(Step(method, f"/apis/wire.example.com{version}") for method in ("POST", "HEAD", "FOO") for version in ("", "/v1", "/v2")),
    get(FOOS, TABLE),
    post(FOOS, {"apiVersion": "wire.example.com/v1", "kind": "Foo", "metadata": {"name": "a"}, "spec": {"replicas": 1}}),
    *(Step(method, path) for method in ODD for path in (FOOS, f"{FOOS}/a", f"{FOOS}/a/status", f"{FOOS}/a/scale", f"{FOOS}/a/nope")),
    *(Step(method, "/apis/wire.example.com/v1/foos") for method in ("GET", "HEAD", "FOO", "POST", "DELETE")),
    *(get(f"{FOOS}/{name}") for name in (*NAMES, "a/", "a//")),
    *(
        get(path)
        for path in (
            "/apis/wire.example.com/v1/foos/a",
            "/apis/wire.example.com/v1/nopes",
            "/apis/wire.example.com/v1/namespaces/$ns/nopes",
        )
    ),
    put(FOOS, {}),
    patch(FOOS, {}),
    *(get(f"{FOOS}/a/{part}", accept) for part in ("status", "scale") for accept in (TABLE, PARTIAL, YAML)),
    *(get(FOOS, accept) for accept in (TABLE, PARTIAL_LIST, YAML, "text/html", f"{TABLE},application/json")),
    _accepting("PATCH", f"{FOOS}/a/scale", {"spec": {"replicas": 3}}, TABLE, MERGE),
    get(f"{FOOS}?limit=1&resourceVersion=0"),
    delete("customresourcedefinitions/foos.wire.example.com"),
]
SCENARIOS = (
    Scenario("wire-methods", METHODS),
    Scenario("wire-paths", PATHS),
    Scenario("wire-media", MEDIA),
    Scenario("wire-options", OPTIONS),
    Scenario("wire-streams", STREAMS),
    Scenario("wire-custom", CUSTOM),
)
