"""Behind `/proxy`: pods are reached, and nothing that somebody merely says is one."""

import pytest

from lightship.apiserver.proxying.places import is_proxyable
from lightship.meta.objects import Obj

from .http_site import PODS, HttpSite, pod, run

SERVICES = "/api/v1/namespaces/default/services"
ENDPOINTS = "/api/v1/namespaces/default/endpoints"


@pytest.mark.parametrize(
    ("address", "want"),
    [
        *(("10.0.0.1", True), ("192.168.1.1", True), ("8.8.8.8", True), ("fd00::1", True), ("2001:db8::1", True)),
        *(("127.0.0.1", False), ("127.9.9.9", False), ("::1", False), ("::ffff:127.0.0.1", False), ("0.0.0.0", False), ("::", False)),
        *(("169.254.169.254", False), ("fe80::1", False), ("224.0.0.1", False), ("ff02::1", False), ("255.255.255.255", False)),
        *(("", False), ("localhost", False), ("010.0.0.1", False)),
    ],
)
def test_addresses(address: str, want: bool) -> None:
    assert is_proxyable(address) is want


async def ran(site: HttpSite, name: str, ip: str) -> None:
    """A pod of a node that is not ours, which claims to have this address."""
    made = pod(name)
    assert (await site.ask("POST", PODS, made)).code == 201
    status: Obj = {"metadata": {"name": name}, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}}
    patched = await site.ask("PATCH", f"{PODS}/{name}/status", status, content_type="application/merge-patch+json")
    assert patched.code == 200


def test_a_pod_cannot_lead_to_this_machine() -> None:
    async def test(site: HttpSite) -> None:
        for i, ip in enumerate(("127.0.0.1", "169.254.169.254")):
            await ran(site, f"p{i}", ip)
            answer = await site.ask("GET", f"{PODS}/p{i}:{site.listener.port}/proxy/healthz")
            assert (answer.code, answer.obj["message"]) == (400, "address not allowed")

    run(test)


def test_a_page_without_a_final_slash_is_sent_to_the_one_with_it() -> None:
    async def test(site: HttpSite) -> None:
        await ran(site, "p", "10.244.0.9")
        for method in ("GET", "HEAD"):
            answer = await site.ask(method, f"{PODS}/p/proxy?a=b")
            assert (answer.code, answer.headers["location"]) == (301, f"{PODS}/p/proxy/?a=b")
        assert (await site.ask("GET", f"{PODS}/nobody/proxy")).code == 404

    run(test)


def test_a_service_leads_to_pods_only() -> None:
    async def test(site: HttpSite) -> None:
        port = site.listener.port
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": port}]}}
        assert (await site.ask("POST", SERVICES, service)).code == 201
        lost = await site.ask("GET", f"{SERVICES}/s/proxy/")
        assert (lost.code, lost.obj["message"]) == (404, 'services "s" not found'), "it has no Endpoints yet"
        subset = {"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": port}]}
        assert (await site.ask("POST", ENDPOINTS, {"metadata": {"name": "s"}, "subsets": [subset]})).code == 201
        for name in ("s", f"s:{port}", f"http:s:{port}"):
            nobody = await site.ask("GET", f"{SERVICES}/{name}/proxy/")
            assert (nobody.code, nobody.obj["message"]) == (503, f'no endpoints available for service "{name}"')
        other = await site.ask("GET", f"{SERVICES}/s:7/proxy/")
        assert (other.code, other.obj["message"]) == (503, 'no service port 7 found for service "s"')
        external = {"metadata": {"name": "x"}, "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}}
        assert (await site.ask("POST", SERVICES, external)).code == 201
        assert (await site.ask("GET", f"{SERVICES}/x:{port}/proxy/")).code == 404

    run(test)


@pytest.mark.slow
def test_policies_are_asked_about_connections() -> None:
    rule = {"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/proxy", "pods/exec"]}
    expression = "request.subResource == 'exec' ? !has(object.stdin) : object.path.startsWith('/open')"
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression, "message": "closed"}]}

    async def test(site: HttpSite) -> None:
        policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
        assert (await site.ask("POST", f"{policies}ies", {"metadata": {"name": "p"}, "spec": spec})).code == 201
        binding = {"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
        assert (await site.ask("POST", f"{policies}ybindings", binding)).code == 201
        await ran(site, "a", "127.0.0.1")
        for path, code in (("proxy/shut", 422), ("proxy/open", 400), ("exec?command=ls&stdin=1", 422)):
            answer = await site.ask("GET", f"{PODS}/a/{path}")
            assert answer.code == code, answer.obj
            assert ("closed" in answer.obj["message"]) is (code == 422)
        dry = await site.ask("GET", f"{PODS}/a/proxy/open?dryRun=All")
        assert (dry.code, dry.obj["message"]) == (400, "dryRun is not supported")

    run(test)
