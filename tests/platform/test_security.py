"""Secure by default: who gets in, where it listens, what a pod may do with its token, and what pods see of the machine."""

import base64
import json
import re
import socket
import ssl
from pathlib import Path

import pytest

from .kit import CONFIG_MAPS, PODS, SECRETS, Api, Site, descendants, eventually

pytestmark = pytest.mark.slow
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


@pytest.mark.parametrize("token", ["", "wrong", "a" * 43, "x.y.z", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06YWRtaW4ifQ."])
def test_who_proves_nothing_gets_nothing(site: Site, token: str) -> None:
    api = Api.of(site.kubeconfig, token)
    for path in (CONFIG_MAPS, SECRETS, "/api", "/apis", "/openapi/v3", "/metrics", "/nonsense"):
        answer = api.call("GET", path)
        assert answer.code == (401 if token else 403), path
        assert (answer.body["kind"], answer.body["reason"]) == ("Status", "Unauthorized" if token else "Forbidden")
    assert api.call("POST", CONFIG_MAPS, {"metadata": {"name": "x"}}).code == (401 if token else 403)
    # Health and version are public; a credential that is offered must be good all the same.
    assert [api.call("GET", path).code for path in ("/readyz", "/livez", "/version")] == [401 if token else 200] * 3


@pytest.mark.parametrize("header", ["Basic YWRtaW46YWRtaW4=", "Bearer", "bearer  ", "Token x", "Bearer \xff"])
def test_odd_credentials(site: Site, header: str) -> None:
    request = f"GET /api/v1/nodes HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\nConnection: close\r\n\r\n"
    assert _raw(site, request).startswith("HTTP/1.1 40")


def test_plain_http_is_told_so(site: Site) -> None:
    with socket.create_connection(_address(site), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        said = plain.recv(1000)
    assert b"200" not in said
    assert Api.of(site.kubeconfig).call("GET", CONFIG_MAPS).code == 200, "and the next one is served"


def test_its_certificate_is_vouched_for_by_its_own_ca_only(site: Site) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(_address(site), timeout=10) as plain:
        ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")
    context = ssl.create_default_context(cafile=str(site.data / "pki" / "ca.crt"))
    with socket.create_connection(_address(site), timeout=10) as plain, context.wrap_socket(plain, server_hostname="localhost") as secure:
        assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_nothing_listens_beyond_the_loopback(site: Site) -> None:
    open_to_the_world = []
    for pid in (site.pid, *(process.pid for process in descendants(site.pid))):
        sockets = {match[1] for fd in _links(Path(f"/proc/{pid}/fd")) if (match := re.fullmatch(r"socket:\[(\d+)\]", fd))}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            # The table of our own network namespace: sockets that live in the pods' network are not in it.
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                listening = fields[3] == "0A" or (table.startswith("udp") and fields[2].endswith(":0000"))
                if fields[9] in sockets and listening and fields[1].partition(":")[0] not in LOOPBACK:
                    open_to_the_world.append((pid, table, fields[1]))
    assert open_to_the_world == []


def _links(folder: Path) -> list[str]:
    found = []
    for entry in folder.iterdir():
        try:
            found.append(str(entry.readlink()))
        except OSError:
            pass  # closed meanwhile
    return found


ASK = """
import json, os, ssl, urllib.error, urllib.request
base = "/var/run/secrets/kubernetes.io/serviceaccount"
base = os.environ.get("LIGHTSHIP_POD_ROOT", "") + base
token = open(base + "/token").read()
context = ssl.create_default_context(cafile=base + "/ca.crt")
server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
def ask(method, path, body=None):
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(server + path, method=method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
"""


def _from_inside(site: Site, name: str, calls: list[tuple[str, str, object]]) -> list[int]:
    script = ASK + f"print(json.dumps([ask(m, p, json.dumps(b).encode() if b is not None else None) for m, p, b in {calls!r}]))"
    site.api.run(name, "", container={"command": ["python", "-c", script]})
    site.api.phase(name, "Succeeded", "Failed")
    answers: list[int] = json.loads(site.api.log(name).splitlines()[-1])
    site.api.delete(f"{PODS}/{name}?gracePeriodSeconds=0")
    return answers


def test_a_pods_token_opens_no_doors(site: Site) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "data": {"k": "dg=="}}
    site.api.create(SECRETS, secret)
    calls: list[tuple[str, str, object]] = [
        ("GET", SECRETS, None),
        ("GET", f"{SECRETS}/secret", None),
        ("GET", "/api/v1/secrets", None),
        ("POST", SECRETS, {"metadata": {"name": "x"}}),
        ("DELETE", f"{SECRETS}/secret", None),
        ("POST", PODS, {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {}}),
        ("GET", "/apis", None),
        ("GET", "/version", None),
    ]
    assert _from_inside(site, "curious", calls) == [403] * 7 + [200, 200]
    assert site.api.get(f"{SECRETS}/secret")["data"] == {"k": "dg=="}
    site.api.delete(f"{SECRETS}/secret")


def test_a_token_dies_with_its_pod(site: Site) -> None:
    where = "${LIGHTSHIP_POD_ROOT}/var/run/secrets/kubernetes.io/serviceaccount/token"
    site.api.run("talks", f"cat {where}; echo; sleep 1000")
    site.api.phase("talks", "Running")
    site.api.until(f"{PODS}/talks", lambda pod: site.api.log("talks").strip(), "has printed its token")
    token = site.api.log("talks").strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["kubernetes.io"]["pod"]["name"] == "talks"
    api = Api.of(site.kubeconfig, token)
    assert api.call("GET", "/apis").code == 200
    altered = ".".join([*token.split(".")[:2], "A" * len(token.split(".")[2])])
    assert Api.of(site.kubeconfig, altered).call("GET", "/apis").code == 401
    site.api.delete(f"{PODS}/talks?gracePeriodSeconds=0")
    site.api.call("GET", CONFIG_MAPS)
    assert _gone(site, "talks")
    assert api.call("GET", "/apis").code == 401


def _gone(site: Site, pod: str) -> bool:
    return eventually(lambda: site.api.call("GET", f"{PODS}/{pod}").code == 404, f"{pod} is gone")


def test_pods_do_not_see_the_platforms_files(site: Site) -> None:
    node = site.api.get("/api/v1/nodes")["items"][0]
    if node["metadata"]["annotations"]["lightship.dev/runtime"] != "sandbox":
        pytest.skip("host mode protects no files, and says so")
    files = " ".join(str(path) for path in (site.data / "pki" / "admin.token", site.kubeconfig, site.data / "state.db", "/etc/shadow"))
    site.api.run(
        "looks", f"for f in {files}; do cat $f 2>/dev/null | grep -q . && echo SEEN $f; done; ls {site.data} 2>/dev/null; echo done"
    )
    site.api.phase("looks", "Succeeded", "Failed")
    assert site.api.log("looks") == "done\n"
    site.api.delete(f"{PODS}/looks?gracePeriodSeconds=0")


def _address(site: Site) -> tuple[str, int]:
    return "127.0.0.1", int(site.url.rpartition(":")[2])


def _raw(site: Site, request: str) -> str:
    context = ssl.create_default_context(cafile=str(site.data / "pki" / "ca.crt"))
    with socket.create_connection(_address(site), timeout=10) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        secure.sendall(request.encode("latin-1"))
        return secure.recv(10_000).decode("latin-1")
