"""The messages that the kernel gets, on paper; what it makes of them is seen in the tests of the sandbox."""

import struct
import sys

import pytest

from lightship.node.launch import wire
from lightship.node.launch.netlink import Netlink, attribute, attributes


@pytest.mark.parametrize("value", [b"", b"a", b"abcd", b"eth0\0"])
def test_attributes_are_padded_and_found_again(value: bytes) -> None:
    data = attribute(3, value) + attribute(7, b"next")
    assert len(data) % 4 == 0
    assert list(attributes(data)) == [(3, value), (7, b"next")]


def test_broken_attributes_end_the_walk() -> None:
    assert list(attributes(attribute(1, b"good") + struct.pack("=HH", 0, 9))) == [(1, b"good")]


@pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink is Linux's")
def test_a_refusal_names_the_operation() -> None:
    with Netlink() as net:
        assert net.links()["lo"] == net.index("lo")
        with pytest.raises(OSError, match="delete link 999999"):
            net.delete(999_999)


@pytest.mark.skipif(sys.platform != "linux", reason="SEQPACKET pairs are Linux's")
@pytest.mark.parametrize("size", [0, 100, 1_000_000])
def test_messages_of_any_size_arrive_with_their_descriptors(size: int) -> None:
    near, far = wire.pair()
    with near, far, open("/dev/null") as file:
        wire.send(far, {"text": "x" * size}, [file.fileno()])
        packet = wire.receive(near)
        assert packet is not None
        assert packet.message == {"text": "x" * size}
        assert len(packet.fds) == 1
        assert packet.pid > 0
        with open(packet.fds[0]):
            pass
        far.close()
        assert wire.receive(near) is None
