"""Drivers and device plugins of others, spoken to over real sockets: registration, claims, devices by number, health, refusals."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.machine.devices.driving import DriverError, Given
from lightship.node.machine.devices.plugins import channel, counted, dra, hpack, protobuf
from lightship.node.machine.devices.plugins.channel import CallError
from lightship.node.machine.devices.plugins.counted import Counted, PluginError
from lightship.node.machine.devices.plugins.dra import Drivers
from lightship.node.machine.devices.plugins.hpack import Decoder, HeaderError
from lightship.node.machine.devices.plugins.protobuf import WireError
from lightship.node.machine.devices.plugins.registry import Registry
from lightship.node.machine.devices.plugins.serving import RefusedError, serving
from lightship.node.runtimes.runtime import Mount

from .contract import until
from .plugins import Answer, RefusalError, entry, info, plugin

CLAIM = {"metadata": {"namespace": "default", "name": "c", "uid": "u"}}
V1 = dra.SERVICES["v1.DRAPlugin"]
COUNTED = "/v1beta1.DevicePlugin/"


# the wire ---------------------------------------------------------------------------------------------------------------------------


def test_headers_as_in_the_examples_of_their_definition() -> None:
    decoder = Decoder()
    first = decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    assert first == {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "www.example.com"}
    second = decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf"))
    assert second == {**first, "cache-control": "no-cache"}
    third = decoder.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    assert third[":authority"] == "www.example.com"
    assert third["custom-key"] == "custom-value"
    assert Decoder().decode(hpack.encode([("a", "b" * 300), ("c", "")])) == {"a": "b" * 300, "c": ""}


@pytest.mark.parametrize("block", ["ff", "ffffffffffff7f", "80", "40", "4005ab", "0082ffff0161"])
def test_headers_that_are_none(block: str) -> None:
    with pytest.raises(HeaderError):
        Decoder().decode(bytes.fromhex(block))


def test_messages_come_back_as_they_went() -> None:
    message = (
        protobuf.field(1, "a") + protobuf.field(2, 300) + protobuf.repeated(3, ["", "b"]) + protobuf.field(4, -1) + protobuf.field(5, "")
    )
    fields = protobuf.parse(message)
    assert (protobuf.text(fields, 1), protobuf.integer(fields, 2), protobuf.texts(fields, 3)) == ("a", 300, ["", "b"])
    assert (protobuf.integer(fields, 4), protobuf.text(fields, 5)) == (-1, "")
    assert protobuf.parse(b"\x0d\x01\x02\x03\x04") == {1: [b"\x01\x02\x03\x04"]}


@pytest.mark.parametrize("raw", [b"\x0a\x05a", b"\x08", b"\x0b", b"\x08" + b"\xff" * 11])
def test_messages_that_are_none(raw: bytes) -> None:
    with pytest.raises(WireError):
        protobuf.parse(raw)


# calls ------------------------------------------------------------------------------------------------------------------------------


def test_calls_and_what_becomes_of_them(tmp_path: Path) -> None:
    async def refuse(request: bytes) -> bytes:
        raise RefusedError("not today: 5% off")

    async def double(request: bytes) -> bytes:
        return request * 2

    async def scenario() -> None:
        path = tmp_path / ("long" * 30) / "x.sock"  # longer than an address of a socket may be
        async with serving(path, {"/s/Double": double, "/s/Refuse": refuse}):
            with pytest.raises(CallError, match="is too large to be sent"):
                await channel.call(path, "/s/Double", b"x" * 70_000, 10)
            assert await channel.call(path, "/s/Double", b"x" * 30_000, 10) == b"x" * 60_000
            assert await channel.call(path, "/s/Double", b"", 10) == b""
            with pytest.raises(CallError, match="rpc error: code = Unknown desc = not today: 5% off"):
                await channel.call(path, "/s/Refuse", b"", 10)
            with pytest.raises(CallError, match="code = Unimplemented desc = unknown method /s/None"):
                await channel.call(path, "/s/None", b"", 10)
        with pytest.raises(CallError, match="code = Unavailable desc = connection error"):
            await channel.call(path, "/s/Double", b"", 10)

    asyncio.run(scenario())


def test_a_server_that_says_nothing_or_nonsense(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                writer.close()

        async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_unix_server(silent, tmp_path / "silent"):
            with pytest.raises(CallError, match="DeadlineExceeded"):
                await channel.call(tmp_path / "silent", "/s/M", b"", 0.05)
        async with await asyncio.start_unix_server(rude, tmp_path / "rude"):
            with pytest.raises(CallError, match="code = Unavailable desc = connection error"):
                await channel.call(tmp_path / "rude", "/s/M", b"", 10)

    asyncio.run(scenario())


# drivers ----------------------------------------------------------------------------------------------------------------------------


class Node:
    """What a node has for plugins, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wiped: list[str] = []
        self.drivers = Drivers(SystemClock(), self._wipe)
        self.counted = Counted(directory / "device-plugins", directory / "counted.json", SystemClock())
        self._registry = Registry(directory, {"DRAPlugin": self.drivers, "DevicePlugin": self.counted}, SystemClock())

    async def _wipe(self, driver: str) -> None:
        self.wiped.append(driver)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Node"]:
        tasks = [asyncio.create_task(self._registry.run()), asyncio.create_task(self.counted.run())]
        try:
            await until((self.directory / "device-plugins/kubelet.sock").exists)
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.drivers.close()


def on_node(tmp_path: Path, scenario: Callable[[Node], Any]) -> None:
    async def whole() -> None:
        async with Node(tmp_path).running() as node:
            await scenario(node)

    asyncio.run(whole())


def driver(*versions: str, service: str = V1) -> dict[str, Answer]:
    device = protobuf.field(2, "pool") + protobuf.field(3, "dev") + protobuf.always(4, "example.com/gpu=one") + protobuf.always(1, "r")
    return {
        **info("DRAPlugin", "gpu.example.com", None, *versions),
        service + "NodePrepareResources": lambda _: entry("u", protobuf.always(1, device)),
        service + "NodeUnprepareResources": lambda _: entry("u", b""),
    }


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_driver_prepares_claims(tmp_path: Path, version: str) -> None:
    async def scenario(node: Node) -> None:
        service = f"{version}.DRAPlugin"
        async with plugin(tmp_path / "plugins_registry/a.sock", driver(service, service=dra.SERVICES[service])) as asked:
            await until(lambda: "gpu.example.com" in node.drivers)
            await until(lambda: len(asked) == 2)
            assert asked[1] == ("NotifyRegistrationStatus", b"\x08\x01")
            found = await node.drivers.get("gpu.example.com").prepare([CLAIM])
            assert found["u"].devices == [Given(pool="pool", device="dev", requests=["r"], cdi=["example.com/gpu=one"])]
            assert protobuf.texts(protobuf.parse(protobuf.messages(protobuf.parse(asked[2][1]), 1)[0]), 2) == ["u"]
            assert await node.drivers.get("gpu.example.com").unprepare([CLAIM]) == {"u": ""}
        await until(lambda: "gpu.example.com" not in node.drivers)
        with pytest.raises(DriverError, match=r"DRA driver gpu.example.com is not registered"):
            node.drivers.get("gpu.example.com")

    on_node(tmp_path, scenario)


def test_a_driver_that_fails(tmp_path: Path) -> None:
    def refuse(_: bytes) -> bytes:
        raise RefusalError("no power")

    async def scenario(node: Node) -> None:
        failing = driver("v1.DRAPlugin")
        failing[V1 + "NodePrepareResources"] = refuse
        failing[V1 + "NodeUnprepareResources"] = lambda _: entry("u", protobuf.field(1, "still in use"))
        async with plugin(tmp_path / "plugins_registry/a.sock", failing):
            await until(lambda: "gpu.example.com" in node.drivers)
            with pytest.raises(DriverError, match="rpc error: code = Unknown desc = no power"):
                await node.drivers.get("gpu.example.com").prepare([CLAIM])
            assert await node.drivers.get("gpu.example.com").unprepare([CLAIM]) == {"u": "still in use"}

    on_node(tmp_path, scenario)


def test_a_plugin_that_is_not_taken_is_told_why(tmp_path: Path) -> None:
    async def scenario(node: Node) -> None:
        for name, answers in (("old", driver("v1alpha3.Node")), ("strange", info("CSIPlugin", "x", None, "1.0.0"))):
            async with plugin(tmp_path / f"plugins_registry/{name}.sock", answers) as asked:
                await until(lambda asked=asked: len(asked) >= 2)  # type: ignore[misc]  # its type is that of the list
                said = protobuf.text(protobuf.parse(asked[1][1]), 2)
                wanted = {
                    "old": 'none of services supported by the plugin (["v1alpha3.Node"]) are supported by the kubelet'
                    ' (["v1.DRAPlugin" "v1beta1.DRAPlugin"])',
                    "strange": "no handler registered for plugin type: CSIPlugin",
                }
                assert wanted[name] in said

    on_node(tmp_path, scenario)


def test_the_newest_instance_is_asked_and_the_older_takes_over_again(tmp_path: Path) -> None:
    async def scenario(node: Node) -> None:
        async with plugin(tmp_path / "plugins_registry/a.sock", driver("v1.DRAPlugin")):
            await until(lambda: "gpu.example.com" in node.drivers)
            older = node.drivers.get("gpu.example.com")
            async with plugin(tmp_path / "plugins_registry/b.sock", driver("v1.DRAPlugin")):
                await until(lambda: node.drivers.get("gpu.example.com") is not older)
            await until(lambda: node.drivers.get("gpu.example.com") is older)

    on_node(tmp_path, scenario)


def test_a_driver_in_a_pod_names_its_socket_as_the_pod_sees_it(tmp_path: Path) -> None:
    async def scenario(node: Node) -> None:
        registration = info("DRAPlugin", "gpu.example.com", Path("/var/lib/kubelet/plugins/x/dra.sock"), "v1.DRAPlugin")
        async with plugin(tmp_path / "plugins_registry/a.sock", registration), plugin(tmp_path / "plugins/x/dra.sock", driver()):
            await until(lambda: "gpu.example.com" in node.drivers)
            assert await node.drivers.get("gpu.example.com").unprepare([CLAIM]) == {"u": ""}

    on_node(tmp_path, scenario)


def test_health_that_a_driver_tells(tmp_path: Path) -> None:
    def health(state: int, message: str) -> bytes:
        which = protobuf.field(1, "pool") + protobuf.field(2, "dev")
        return protobuf.always(
            1, protobuf.always(1, which) + protobuf.field(2, state) + protobuf.field(4, 600) + protobuf.field(5, message)
        )

    async def scenario(node: Node) -> None:
        told: asyncio.Queue[bytes] = asyncio.Queue()
        device = Given(pool="pool", device="dev")
        answers = driver("v1.DRAPlugin", dra.HEALTH)
        answers["/v1alpha1.DRAResourceHealth/NodeWatchResources"] = lambda _: told
        async with plugin(tmp_path / "plugins_registry/a.sock", answers):
            await until(lambda: "gpu.example.com" in node.drivers)
            assert node.drivers.healthy("gpu.example.com", device) == {"health": "Unknown"}
            told.put_nowait(health(1, ""))
            await until(lambda: node.drivers.healthy("gpu.example.com", device) == {"health": "Healthy"})
            told.put_nowait(health(2, "x" * 2000))
            await until(lambda: node.drivers.healthy("gpu.example.com", device)["health"] == "Unhealthy")
            assert node.drivers.healthy("gpu.example.com", device)["message"] == "x" * 1021 + "..."

    on_node(tmp_path, scenario)


# device plugins ---------------------------------------------------------------------------------------------------------------------


class Source:
    """A device plugin with two devices, and its answers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: asyncio.Queue[bytes] = asyncio.Queue()
        device = protobuf.field(1, "/dev/in") + protobuf.field(2, "/dev/null") + protobuf.field(3, "rw")
        mount = protobuf.field(1, "/in") + protobuf.field(2, "/lib") + protobuf.field(3, True)
        answer = entry("KEY", b"value") + protobuf.always(2, mount) + protobuf.always(3, device)
        self.answers: dict[str, Answer] = {
            COUNTED + "ListAndWatch": lambda _: self.told,
            COUNTED + "Allocate": lambda _: protobuf.always(1, answer),
            COUNTED + "PreStartContainer": lambda _: b"",
            COUNTED + "GetDevicePluginOptions": lambda _: protobuf.field(1, True),
            COUNTED + "GetPreferredAllocation": lambda _: protobuf.always(1, protobuf.repeated(1, ["two"])),
        }

    def tell(self, **devices: bool) -> None:
        words = {True: "Healthy", False: "Unhealthy"}
        self.told.put_nowait(protobuf.repeated(1, (protobuf.field(1, n) + protobuf.field(2, words[w]) for n, w in devices.items())))

    async def register(self, version: str = "v1beta1", resource: str = "example.com/thing", *, options: bytes = b"") -> None:
        wanted = protobuf.field(1, version) + protobuf.field(2, "p.sock") + protobuf.field(3, resource) + protobuf.field(4, options)
        await channel.call(self.directory / "kubelet.sock", counted.REGISTER, wanted, 10)


BOTH = protobuf.field(1, True) + protobuf.field(2, True)


def test_a_device_plugin_from_registration_to_its_end(tmp_path: Path) -> None:
    async def scenario(node: Node) -> None:
        source = Source(tmp_path / "device-plugins")
        async with plugin(tmp_path / "device-plugins/p.sock", source.answers) as asked:
            await source.register(options=BOTH)
            source.tell(one=True, two=True, three=False)
            await until(lambda: node.counted.amounts() == ({"example.com/thing": 3}, {"example.com/thing": 2}))
            assert await node.counted.assign("p", "a", "example.com/thing", 1) == ["two"]
            assert await node.counted.assign("p", "a", "example.com/thing", 1) == ["two"]
            assert [method for method, _ in asked] == ["ListAndWatch", "GetPreferredAllocation", "Allocate"]
            await node.counted.prepare_start("p", "a")
            assert asked[-1] == ("PreStartContainer", protobuf.always(1, "two"))
            edits = node.counted.edits("p", "a", [])
            assert edits.defaults == {"KEY": "value"}
            assert edits.mounts == [Mount(source="/lib", target="/in", read_only=True), Mount(source="/dev/null", target="/dev/in")]
            with pytest.raises(PluginError, match=r"unavailable for example.com/thing. Requested: 2, Available: 1"):
                await node.counted.assign("q", "a", "example.com/thing", 2)
            again = Counted(tmp_path / "device-plugins", tmp_path / "counted.json", SystemClock())
            assert [t.ids for t in again.of("p", "a")] == [["two"]]
            source.tell(one=True, two=False)
            await until(lambda: node.counted.health("p", "a") == {"example.com/thing": [("two", "Unhealthy")]})
            node.counted.release("p")
        await until(lambda: node.counted.amounts()[1] == {"example.com/thing": 0})
        with pytest.raises(PluginError, match="no healthy devices present; cannot allocate unhealthy devices"):
            await node.counted.assign("q", "a", "example.com/thing", 1)

    on_node(tmp_path, scenario)


def test_a_device_plugin_of_the_registry(tmp_path: Path) -> None:
    async def scenario(node: Node) -> None:
        source = Source(tmp_path)
        answers = {**source.answers, **info("DevicePlugin", "example.com/thing", None, "v1beta1")}
        async with plugin(tmp_path / "plugins_registry/p.sock", answers):
            source.tell(one=True)
            await until(lambda: node.counted.amounts()[1] == {"example.com/thing": 1})

    on_node(tmp_path, scenario)


@pytest.mark.parametrize(
    ("version", "resource", "said"),
    [
        ("v2", "example.com/a", 'requested API version "v2" is not supported by kubelet. Supported version is "v1beta1"'),
        ("v1beta1", "thing", 'the ResourceName "thing" is invalid'),
        ("v1beta1", "kubernetes.io/thing", 'the ResourceName "kubernetes.io/thing" is invalid'),
    ],
)
def test_device_plugins_that_are_refused(tmp_path: Path, version: str, resource: str, said: str) -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(CallError) as caught:
            await Source(tmp_path / "device-plugins").register(version, resource)
        assert said in str(caught.value)

    on_node(tmp_path, scenario)


def test_an_allocation_that_fails_gives_the_devices_back(tmp_path: Path) -> None:
    def refuse(_: bytes) -> bytes:
        raise RefusalError("broken")

    async def scenario(node: Node) -> None:
        source = Source(tmp_path / "device-plugins")
        source.answers[COUNTED + "Allocate"] = refuse
        async with plugin(tmp_path / "device-plugins/p.sock", source.answers):
            await source.register()
            source.tell(one=True)
            await until(lambda: node.counted.amounts()[1] == {"example.com/thing": 1})
            for _ in range(2):
                with pytest.raises(PluginError, match="desc = broken"):
                    await node.counted.assign("p", "a", "example.com/thing", 1)
        with pytest.raises(PluginError, match=r"cannot allocate unregistered device example.com/other"):
            await node.counted.assign("p", "a", "example.com/other", 1)

    on_node(tmp_path, scenario)
