"""Our `mpirun` and its way into other nodes, without pods: lists of hosts, command lines, ranks, keys, and commands over loopback."""

import asyncio
import base64
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509

from lightship.train import sshkeys
from lightship.train.runtime.mpi import agent, credentials, frames, hosts, launch, openmpi, options, remote
from lightship.train.runtime.mpi.hosts import Host
from lightship.train.runtime.mpi.options import Options


def key_file(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "id_rsa"
    path.write_bytes(base64.b64decode(sshkeys.make()["ssh-privatekey"]))
    return path


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a slots=2\nb slots=1\n", [("a", 2), ("b", 1)]),
        ("# nodes\na\n\nuser@b slots = 3 max_slots=4 # last\n", [("a", 5), ("b", 3)]),
        ("a\na\n", [("a", 10)]),
    ],
)
def test_hostfiles(text: str, want: list[tuple[str, int]]) -> None:
    assert hosts.parse_hostfile(text, 5) == want


@pytest.mark.parametrize(
    ("text", "why"),
    [("a slots=x", "x is no number of slots"), ("a b", '"b" is no setting of a host'), ("a slots=", '"slots" is no setting')],
)
def test_hostfiles_that_cannot_be_understood(text: str, why: str) -> None:
    with pytest.raises(hosts.PlacementError, match=why):
        hosts.parse_hostfile(text)


def test_hosts_of_the_command_line() -> None:
    assert hosts.parse_hosts("a:2,b,a") == [("a", 3), ("b", 1)]
    assert hosts.narrowed([Host("a", 4), Host("b", 4)], [Host("b", 1)]) == [("b", 1)]
    with pytest.raises(hosts.PlacementError, match="--host names c, which the hostfile does not"):
        hosts.narrowed([Host("a", 4)], [Host("c", 1)])
    with pytest.raises(hosts.PlacementError, match="many is no number"):
        hosts.parse_hosts("a:many")


TWO = [Host("a", 2), Host("b", 2)]


@pytest.mark.parametrize(
    ("count", "how", "want"),
    [
        (None, {}, "aabb"),
        (3, {}, "aab"),
        (2, {"around": True}, "ab"),
        (None, {"around": True}, "abab"),
        (None, {"per_node": 1}, "ab"),
        (6, {"over": True}, "aabbab"),
        (1, {"per_node": 3}, "a"),
    ],
)
def test_ranks_fill_slots_in_the_order_of_hosts(count: int | None, how: dict[str, bool], want: str) -> None:
    found = hosts.place(TWO, count, **how)
    assert "".join(rank.host for rank in found) == want
    assert [rank.rank for rank in found] == list(range(len(want)))
    for host in set(want):
        local = [rank for rank in found if rank.host == host]
        assert [(rank.local_rank, rank.local_size, rank.node) for rank in local] == [
            (i, len(local), "ab".index(host)) for i in range(len(local))
        ]


def test_too_many_are_refused() -> None:
    with pytest.raises(hosts.PlacementError, match=r"not enough slots for 5 processes \(a: 2, b: 2\); --oversubscribe runs more"):
        hosts.place(TWO, 5)
    with pytest.raises(hosts.PlacementError, match="there is no host"):
        hosts.place([])
    with pytest.raises(hosts.PlacementError, match="-n 0: at least one"):
        hosts.place(TWO, 0)


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("--hostfile /etc/mpi/hostfile bash -c x", Options(["bash", "-c", "x"], hostfile="/etc/mpi/hostfile")),
        ("-np 1 bash -c x", Options(["bash", "-c", "x"], count=1)),
        ("-n 4 -N 2 --oversubscribe -- -odd", Options(["-odd"], count=4, per_node=2, over=True)),
        ("-x A=1 -x B -x GONE --bind-to none -mca btl ^openib x -n 3", Options(["x", "-n", "3"], exports={"A": "1", "B": "2"})),
        ("--host a:2 -H b --map-by node --tag-output x", Options(["x"], hosts="a:2,b", around=True, tagged=True)),
        ("--map-by ppr:2:node:oversubscribe --np=4 --timeout 9 x", Options(["x"], count=4, per_node=2, over=True, timeout=9)),
        ("--allow-run-as-root --output tag --wdir /tmp x", Options(["x"], tagged=True, directory="/tmp")),
    ],
)
def test_command_lines(line: str, want: Options) -> None:
    assert options.parse(line.split(), {"B": "2"}) == want


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-n two x", "-n two: not a number"),
        ("-n", "-n lacks its value"),
        ("-n 2", "no program is named"),
        ("--app file x", "--app is not supported here"),
        ("-n 1 a : -n 1 b", "several programs"),
        ("--output dir=x y", "only tag is"),
    ],
)
def test_command_lines_that_are_refused(line: str, why: str) -> None:
    with pytest.raises(options.OptionsError, match=why):
        options.parse(line.split(), {})


def test_the_environments_own_hostfile(tmp_path: Path) -> None:
    file = tmp_path / "hostfile"
    file.write_text("a\nb slots=1\n")
    environment = {"OMPI_MCA_orte_default_hostfile": str(file), "OMPI_MCA_orte_set_default_slots": "3"}
    assert [rank.host for rank in launch.placement(Options(["x"]), environment)] == ["a", "a", "a", "b"]
    assert [rank.host for rank in launch.placement(Options(["x"], count=1), {})][:1] == ["localhost"]


def test_who_a_rank_is() -> None:
    ranks = hosts.place([Host("a.x", 1), Host("b.x", 2)])
    found = launch.variables(ranks[2], ranks, "a.x")
    assert {name: value for name, value in found.items() if name.startswith("OMPI_COMM")} == {
        "OMPI_COMM_WORLD_SIZE": "3",
        "OMPI_COMM_WORLD_RANK": "2",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
        "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_COMM_WORLD_NODE_RANK": "1",
    }
    assert (found["PMI_RANK"], found["PMI_SIZE"], found["RANK"], found["LOCAL_RANK"]) == ("2", "3", "2", "1")
    assert (found["MASTER_ADDR"], found["MASTER_PORT"], found["GROUP_RANK"]) == ("a.x", "29500", "1")
    assert not any(name.startswith("PMIX_") for name in found), "a library that sees them waits for a server that is not there"


def test_open_mpi_of_either_version_is_told_the_same(tmp_path: Path) -> None:
    launcher = tmp_path / "bin" / "mpirun"
    for name in ("bin/mpirun", "lib/libmpi.so.40"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    environment = {"OMPI_MCA_orte_default_hostfile": "/etc/mpi/hostfile", "OMPI_MCA_hwloc_base_binding_policy": "core"}
    openmpi.prepare(environment, str(launcher), "/x/ssh")
    assert environment["PRTE_MCA_prte_default_hostfile"] == "/etc/mpi/hostfile"
    assert (environment["OMPI_MCA_hwloc_base_binding_policy"], environment["PRTE_MCA_hwloc_default_binding_policy"]) == ("core", "none")
    assert (environment["OMPI_MCA_plm_rsh_agent"], environment["PRTE_MCA_plm_ssh_agent"]) == ("/x/ssh", "/x/ssh")
    assert environment["MLX_MPI_LIBNAME"] == str(tmp_path / "lib" / "libmpi.so.40")


def test_our_own_launcher_is_not_taken_for_open_mpis(tmp_path: Path) -> None:
    for name, text in (("ours", "exec python3 -c 'from lightship.train.runtime.mpi.mpirun import main'"), ("theirs", "\x7fELF")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mpirun").write_text(text)
        (tmp_path / name / "mpirun").chmod(0o755)
    path = f"{tmp_path}/none::{tmp_path}/ours:{tmp_path}/theirs"
    assert openmpi.installed(path) == f"{tmp_path}/theirs/mpirun"
    assert openmpi.installed(f"{tmp_path}/ours") == ""


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("-x -o ConnectionAttempts=10 a.b prted --x 1", ("a.b", 2222, ["prted", "--x", "1"])),
        ("-p 22 -oBatchMode=yes user@a hostname", ("a", 22, ["hostname"])),
        ("-nTp24 a hostname", ("a", 24, ["hostname"])),
    ],
)
def test_command_lines_of_ssh(line: str, want: tuple[str, int, list[str]]) -> None:
    assert remote.parse(line.split()) == want


def test_no_shell_to_log_into() -> None:
    with pytest.raises(SystemExit, match="a host and a command are needed"):
        remote.parse(["a"])


def test_a_certificate_follows_from_the_key(tmp_path: Path) -> None:
    pem = key_file(tmp_path).read_text()
    found = x509.load_der_x509_certificate(credentials.certificate(pem))
    assert credentials.certificate(pem) == credentials.certificate(pem)
    assert found.public_key().curve.name == "secp521r1"  # type: ignore[union-attr]  # an elliptic curve's
    with pytest.raises(credentials.CredentialsError, match="no EC private key"):
        credentials.certificate("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----")


def test_where_the_key_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_homes", lambda: iter([str(tmp_path)]))
    with pytest.raises(credentials.CredentialsError, match="does the runtime's sshAuthMountPath name this user's"):
        credentials.key_file()
    key_file(tmp_path / ".ssh")
    assert credentials.key_file() == tmp_path / ".ssh" / "id_rsa"


def with_agent(key: Path, scenario: Callable[[int, ssl.SSLContext], Awaitable[None]]) -> None:
    """Run a scenario beside an agent on loopback; it gets the port and a client's context of the same key."""

    async def main() -> None:
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(agent.serve(0, credentials.server_context(key), "127.0.0.1", ready))
        try:
            await scenario(await ready, credentials.client_context(key))
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(main())


async def ask(port: int, context: ssl.SSLContext, command: str, given: bytes = b"", **more: object) -> tuple[int, dict[bytes, bytes]]:
    said = {frames.OUTPUT: b"", frames.ERRORS: b""}

    def told(kind: bytes, body: bytes) -> None:
        said[kind] += body

    found = await remote.run("127.0.0.1", {"command": command, **more}, context, port)
    found.feed(given)
    if given:
        found.feed(b"")
    return await found.wait(told), said


@pytest.mark.slow
def test_commands_elsewhere(tmp_path: Path) -> None:
    async def scenario(port: int, context: ssl.SSLContext) -> None:
        code, said = await ask(port, context, "cat; echo $MINE >&2; exit 3", b"x" * 200_000, env={"MINE": "yes"})
        assert (code, len(said[frames.OUTPUT]), said[frames.ERRORS]) == (3, 200_000, b"yes\n")
        assert (await ask(port, context, "kill -9 $$"))[0] == 137
        with pytest.raises(remote.RemoteError, match="No such file"):
            await (await remote.run("127.0.0.1", {"argv": ["/no/such"]}, context, port)).wait(lambda kind, body: None)

    with_agent(key_file(tmp_path), scenario)


@pytest.mark.slow
def test_signals_reach_all_that_a_command_has_started(tmp_path: Path) -> None:
    async def scenario(port: int, context: ssl.SSLContext) -> None:
        found = await remote.run("127.0.0.1", {"command": "sleep 600 & echo up; wait"}, context, port)
        code = await found.wait(lambda kind, body: found.signal(signal.SIGTERM))
        assert code == 143

    with_agent(key_file(tmp_path), scenario)


@pytest.mark.slow
def test_a_command_ends_with_its_connection(tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    async def scenario(port: int, context: ssl.SSLContext) -> None:
        found = await remote.run(
            "127.0.0.1", {"command": f"trap 'touch {gone}; exit' TERM; echo up; while :; do sleep 0.05; done"}, context, port
        )
        up = asyncio.Event()
        waiting = asyncio.create_task(found.wait(lambda kind, body: up.set()))
        await up.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    with_agent(key_file(tmp_path), scenario)  # which does not end before its sessions have
    assert gone.exists()


@pytest.mark.slow
def test_who_has_another_key_gets_nowhere(tmp_path: Path) -> None:
    stranger = key_file(tmp_path / "other")

    async def scenario(port: int, context: ssl.SSLContext) -> None:
        with pytest.raises(remote.RemoteError, match="does not belong to this job: it has another key"):
            await remote.run("127.0.0.1", {"command": f"touch {tmp_path}/in"}, credentials.client_context(stranger), port)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        found = await remote.run("127.0.0.1", {"command": f"touch {tmp_path}/in"}, bare, port)
        with pytest.raises(remote.RemoteError, match="went away"):
            await found.wait(lambda kind, body: None)

    with_agent(key_file(tmp_path / "own"), scenario)
    assert not (tmp_path / "in").exists()


@pytest.mark.slow
def test_nobody_is_waited_for_in_vain(tmp_path: Path) -> None:
    context = credentials.client_context(key_file(tmp_path))
    with pytest.raises(remote.RemoteError, match=r"127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(remote.run("127.0.0.1", {"command": "true"}, context, 1, patience=0))


def launched(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    """Exit code, sorted lines of output and what went to standard error."""
    code = asyncio.run(launch.run(options.parse(arguments, {}), {}))
    out, err = capfd.readouterr()
    return code, sorted(out.splitlines()), err


@pytest.mark.slow
def test_ranks_on_this_host(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "read_input", lambda loop, feed: None)
    show = "import os; print(os.environ['OMPI_COMM_WORLD_RANK'], os.environ['WORLD_SIZE'], os.environ['A'])"
    found = launched("--host", "localhost:2", "-x", "A=b", "--tag-output", sys.executable, "-c", show, capfd=capfd)
    assert found == (0, ["[1,0]<stdout>: 0 2 b", "[1,1]<stdout>: 1 2 b"], "")


@pytest.mark.slow
def test_one_that_fails_ends_the_others(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "read_input", lambda loop, feed: None)
    code, _, err = launched("--host", "localhost:3", "sh", "-c", '[ "$RANK" = 1 ] && exit 7; exec sleep 600', capfd=capfd)
    assert (code, err) == (7, "mpirun: rank 1 on localhost ended with exit code 7; ending the other 2\n")
