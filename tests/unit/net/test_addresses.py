from __future__ import annotations

import pytest

from pumas.net.addresses import is_named_private, is_private


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "::7f00:1",
        "2001:db8::1",
        "fec0::1",
        "::ffff:0:7f00:1",
    ],
)
def test_what_cannot_be_reached_from_everywhere_is_private(address):
    assert is_private(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "140.82.121.4", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_other_addresses_are_public(address):
    assert not is_private(address)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("192.168.0.1", True),
        ("::1", True),
        ("huggingface.co", False),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.1", True),
        ("localhost.example.org", False),
        ("8.8.8.8", False),
    ],
)
def test_a_host_can_be_private_by_its_name(host, expected):
    assert is_named_private(host) is expected
