"""Pods in namespaces: the runtime contract, and what isolation adds to it. Skipped, with the reason, where there are none."""

import asyncio
import functools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.network import dns, nameserver, relay
from lightship.node.network import facts as network
from lightship.node.runtimes.probe import Abilities, probe
from lightship.node.runtimes.runtime import ContainerError, Mount, RuntimeUnavailableError, Security
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import RuntimeContract, World, gone, pid_of, processes, until


@functools.cache
def abilities() -> Abilities:
    return probe()


SERVE = """
import socket
s = socket.create_server(("0.0.0.0", 29500)); print("up")
c, peer = s.accept(); c.sendall(b"hello " + peer[0].encode()); c.close()
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as c:
    print(c.makefile().read())
"""


class TestSandboxRuntime(RuntimeContract):
    @pytest.fixture(autouse=True)
    def _needs_namespaces(self) -> None:
        if not abilities().sandbox:
            pytest.skip(abilities().reason)

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock())

    def test_two_pods_use_the_same_port_and_talk(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            first, second = await w.pod("a"), await w.pod("b")
            servers = [await w.python(SERVE, pod=pod) for pod in "ab"]
            for server in servers:
                await w.line(server, "up")
            for asker, target, want in (("a", second, first), ("b", first, second)):
                client = await ask(w, asker, target, 29500)
                await w.exit(client)
                assert w.log(client) == f"hello {want}\n"

        self.drive(tmp_path, story)

    def test_files_of_host_and_other_pods_are_not_there(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("of the host")

        async def story(w: World) -> None:
            await w.pod("a")
            await w.pod("b")
            await w.sh("echo mine > /workspace/mine; echo shared > /dev/shm/a", pod="b")
            _, text = await w.sh(f"ls /; echo -; ls /home /workspace /tmp /dev/shm -A; echo -; cat {secret} /etc/shadow 2>/dev/null")
            entries, writable, secrets = text.split("-\n")
            assert set(entries.split()) <= ROOT_ENTRIES
            assert writable.split() == ["/dev/shm:", "/home:", "/tmp:", "/workspace:"], "nothing of the host's or another pod's"
            assert secrets == ""

        self.drive(tmp_path, story)

    def test_mounts_are_at_their_true_paths(self, tmp_path: Path) -> None:
        volume, file = tmp_path / "volume", tmp_path / "file"
        volume.mkdir()
        (volume / "x").write_text("from the volume")
        file.write_text("from the file")
        targets = [
            "/data",
            "/etc/config",
            "/opt/ml/model",
            "/usr/local/deep/er",
            "/var/run/secrets/token",
            "/home/me/.cache",
            "/tmp/in/tmp",
        ]

        async def story(w: World) -> None:
            await w.pod()
            mounts = [Mount(source=str(volume), target=t, read_only=n % 2 == 1) for n, t in enumerate(targets)]
            mounts += [Mount(source=str(file), target="/etc/some.conf"), Mount(source=str(file), target="/dev/termination-log")]
            reads = "".join(f"cat {t}/x; echo;" for t in targets)
            end, text = await w.sh(f"{reads} cat /etc/some.conf; echo; test -d /usr/bin -a -f /etc/hosts && echo whole", mounts=mounts)
            assert text.splitlines() == ["from the volume"] * len(targets) + ["from the file", "whole"]
            assert end.code == 0
            _, text = await w.sh("touch /data/new && echo yes; touch /etc/config/new || echo no; touch /usr/new && echo yes", mounts=mounts)
            assert [line for line in text.splitlines() if line in ("yes", "no")] == ["yes", "no", "yes"]

        self.drive(tmp_path, story)

    def test_memory_volumes_have_a_size(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            mounts = [Mount(target="/fast", size=1 << 20)]
            end, _ = await w.sh("head -c 900000 /dev/zero > /fast/a && ! head -c 900000 /dev/zero > /fast/b", mounts=mounts)
            assert end.code == 0

        self.drive(tmp_path, story)

    def test_mounts_nest_and_links_inside_volumes_lead_nowhere(self, tmp_path: Path) -> None:
        outer, inner, precious = tmp_path / "outer", tmp_path / "inner", tmp_path / "precious"
        for directory in (outer, inner, precious):
            directory.mkdir()
        (inner / "x").write_text("inner")
        (outer / "trap").symlink_to(precious)

        async def story(w: World) -> None:
            await w.pod()
            mounts = [Mount(source=str(inner), target=t) for t in ("/v/sub", "/v/trap/deep")] + [Mount(source=str(outer), target="/v")]
            _, text = await w.sh("cat /v/sub/x; touch /v/by-the-pod", mounts=mounts)
            assert text == "inner\n"

        self.drive(tmp_path, story)
        assert not list(precious.iterdir())
        assert (outer / "by-the-pod").exists()

    @pytest.mark.parametrize("target", ["relative", "/", "/.."])
    def test_impossible_mount_targets_are_refused(self, tmp_path: Path, target: str) -> None:
        async def story(w: World) -> None:
            await w.pod()
            with pytest.raises(ContainerError, match="absolute path"):
                await w.start(["/bin/true"], mounts=[Mount(target=target)])

        self.drive(tmp_path, story)

    def test_names_of_the_pod(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            address = await w.pod(hostname="node-0", hosts="10.9.9.9\tfar away")
            _, text = await w.sh("hostname; getent hosts node-0; getent hosts away; cat /etc/resolv.conf")
            lines = [line.split() for line in text.splitlines()]
            assert lines[:3] == [["node-0"], [address, "node-0"], ["10.9.9.9", "far", "away"]]
            assert lines[3] == ["nameserver", network.DNS_ADDRESS]
            assert "default.svc.cluster.local" in lines[4]

        self.drive(tmp_path, story)

    def test_privileges_are_few(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            _, text = await w.sh(PRIVILEGES)
            assert text.split() == ["0", "no", "no", "no", "no", "no", "no", "free-ports"]

        self.drive(tmp_path, story)

    def test_nothing_is_inherited(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            _, text = await w.sh(
                "for n in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$n && echo $n; done;"
                "readlink /proc/self/fd/0; umask; grep SigIgn /proc/self/status"
            )
            assert text.splitlines() == ["0", "1", "2", "/dev/null", "0022", "SigIgn:\t0000000000000000"]

        before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as in the background of a shell
        try:
            self.drive(tmp_path, story)
        finally:
            signal.signal(signal.SIGQUIT, before)

    def test_another_user_is_that_user(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            _, text = await w.sh(
                "id -u; id -g; touch /workspace/x /tmp/y && stat -c %u /workspace/x; grep CapEff /proc/self/status",
                security=Security(uid=1234, gid=2345),
            )
            assert text.split() == ["1234", "2345", "1234", "CapEff:", "0000000000000000"]

        self.drive(tmp_path, story)

    def test_runaway_children_are_caught(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            token = f"4000.{os.getpid()}"
            await w.pod()
            other = await w.start(["/bin/sleep", token + "1"], name="other")
            await w.sh(f"setsid setsid sleep {token}0 & sleep 0.01; echo up")
            await gone(f"sleep\0{token}0")
            assert processes(f"sleep\0{token}1"), "the neighbour lives on"
            assert other not in w.exits

        self.drive(tmp_path, story)

    def test_a_killed_init_ends_the_pod(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod("a")
            await w.pod("b")
            ends = [await w.start(["/bin/sleep", "1000"], name=f"c{n}") for n in range(2)]
            other = await w.start(["/bin/sleep", "1000"], pod="b")
            os.kill(init_of(w, ends[0]), signal.SIGKILL)
            for end in ends:
                assert (await w.exit(end))[1:3] == (137, 9)
            assert other not in w.exits
            with pytest.raises(ContainerError) as caught:
                await w.start(["/bin/true"])
            assert caught.value.reason == "SandboxGone"
            await w.pod("a")
            assert (await w.sh("exit 4"))[0].code == 4, "created again, it is a new one"

        self.drive(tmp_path, story)

    def test_a_killed_launcher_ends_all_pods(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod("a")
            await w.pod("b")
            ends = [await w.start(["/bin/sleep", "1000"], pod=pod) for pod in "ab"]
            os.kill(launcher_of(w), signal.SIGKILL)
            for end in ends:
                assert (await w.exit(end))[1:3] == (137, 9)
            for call in (w.pod("c"), w.runtime.listen("0.0.0.0", 0)):
                with pytest.raises(RuntimeUnavailableError):
                    await call

        self.drive(tmp_path, story)

    @pytest.mark.slow
    def test_pods_end_with_the_node_even_if_that_is_killed(self, tmp_path: Path) -> None:
        token = f"5000.{os.getpid()}"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.node.victim", "sandbox", str(tmp_path), token], stdout=subprocess.PIPE
        ) as victim:
            assert victim.stdout is not None
            up, launcher = victim.stdout.readline().split()
            assert up == b"up"
            assert processes(f"sleep\0{token}")
            victim.send_signal(signal.SIGKILL)
        asyncio.run(asyncio.wait_for(gone(f"sleep\0{token}"), 10))
        asyncio.run(asyncio.wait_for(until(lambda: not alive(int(launcher))), 10))

    def test_the_node_serves_inside_the_pod_network(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            address = await w.pod()
            with await w.runtime.listen(network.API_ADDRESS, network.API_PORT) as sock, await w.runtime.listen("0.0.0.0", network.API_PORT):
                client = await ask(w, "a", network.API_ADDRESS, network.API_PORT)
                connection, (peer, _) = await asyncio.get_running_loop().sock_accept(sock)
                connection.sendall(b"the api")
                connection.close()
                await w.exit(client)
                assert (peer, w.log(client)) == (address, "the api\n")

        self.drive(tmp_path, story)

    def test_services_have_addresses_that_lead_to_pods(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            backend = await w.pod("a")
            await w.pod("b")
            server = await w.python(SERVE, pod="a")
            await w.line(server, "up")

            async def dial(target: relay.Address, client: relay.Address) -> socket.socket:
                assert target == ("10.96.3.4", 80)
                sock = await w.runtime.open_socket()
                await asyncio.get_running_loop().sock_connect(sock, (backend, 29500))
                return sock

            proxy = asyncio.create_task(relay.serve([await w.runtime.listen("10.96.3.4", 80)], None, dial=dial))
            client = await ask(w, "b", "10.96.3.4", 80)
            await w.exit(client)
            assert w.log(client) == f"hello {network.GATEWAY}\n"
            await cancel(proxy)

        self.drive(tmp_path, story)

    def test_names_resolve_inside_pods(self, tmp_path: Path) -> None:
        async def forward(packet: bytes) -> bytes:
            return dns.answer(packet, dns.parse(packet), 0, ["9.9.9.9"])

        names = {"db.default.svc.cluster.local": dns.Found(["10.244.7.7"])}

        async def story(w: World) -> None:
            await w.pod()
            sock = await w.runtime.listen(network.DNS_ADDRESS, network.DNS_PORT, datagram=True)
            server = asyncio.create_task(nameserver.serve(sock, names.get, forward))
            _, text = await w.sh("getent ahostsv4 db; getent ahostsv4 no-such.default.svc.cluster.local; getent ahostsv4 example.org")
            assert {line.split()[0] for line in text.splitlines()} == {"10.244.7.7", "9.9.9.9"}
            await cancel(server)

        self.drive(tmp_path, story)

    def test_connections_to_the_world_are_relayed(self, tmp_path: Path) -> None:
        asked: list[relay.Address] = []

        async def dial(target: relay.Address, client: relay.Address) -> socket.socket:
            asked.append(target)
            near, far = socket.socketpair()
            near.setblocking(False)
            with far:
                far.sendall(b"from the world")
            return near

        async def story(w: World) -> None:
            await w.pod()
            listener = await w.runtime.listen("0.0.0.0", 443)
            server = asyncio.create_task(relay.serve([listener], relay.Rules(), dial=dial))
            outside = await ask(w, "a", "93.184.216.34", 443)
            await w.exit(outside)
            assert w.log(outside) == "from the world\n"
            for target, port in (("169.254.169.254", 443), ("10.96.0.77", 443), ("93.184.216.34", 8443)):
                refused = await ask(w, "a", target, port)
                assert (await w.exit(refused)).code == 1
            assert asked == [("93.184.216.34", 443)]
            await cancel(server)

        self.drive(tmp_path, story)

    def test_interfaces_go_with_their_pods(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod("watcher")
            await w.pod("a")
            await w.runtime.remove_sandbox("uid-a")
            interfaces = Path(f"/proc/{launcher_of(w)}/net/dev")
            headings, want_left = 2, ("lo", "ls-1")
            await until(lambda: len(interfaces.read_text().splitlines()) == headings + len(want_left))

        self.drive(tmp_path, story)


ROOT_ENTRIES = {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "nix", "opt", "proc", "root", "run", "sbin"}
ROOT_ENTRIES |= {"srv", "sys", "tmp", "usr", "var", "workspace"}
PRIVILEGES = """
grep NoNewPrivs /proc/self/status | cut -f 2
mount -t tmpfs none /mnt 2>/dev/null && echo yes || echo no
hostname other 2>/dev/null && echo yes || echo no
ip link add x type dummy 2>/dev/null && echo yes || echo no
cat /proc/sys/kernel/ns_last_pid >/dev/null 2>&1; (echo 1 > /proc/sys/vm/drop_caches) 2>/dev/null && echo yes || echo no
(echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo yes || echo no
(echo x > /proc/sysrq-trigger) 2>/dev/null && echo yes || echo no
test "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" = 0 && echo free-ports
"""


async def ask(w: World, pod: str, address: str, port: int) -> str:
    """A container that connects and prints what it hears."""
    return await w.python(ASK.replace("sys.argv[1]", repr(address)).replace("sys.argv[2]", str(port)), pod=pod, name="client")


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def alive(pid: int) -> bool:
    """A zombie is not: when it is buried is up to the machine's first process."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def init_of(w: World, container_id: str) -> int:
    runtime: Any = w.runtime
    return pid_of(runtime._owners[container_id].pidfd)


def launcher_of(w: World) -> int:
    runtime: Any = w.runtime
    return pid_of(runtime._launcher.pidfd)
