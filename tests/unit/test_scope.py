"""A node is planned with a scope, which is all that it sees of its stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import App, ConfigError, Kafka, Postgres, Process, Topology
from harness.core.node import Node
from harness.stack.book import AddressBook
from harness.stack.planning.addresses import HOST
from tests.support import Fake
from tests.unit.test_environment import book_of


def containers(folder: Path, *nodes: Node) -> AddressBook:
    """A book of a stack in containers, on a machine that they know as 172.17.0.1."""
    return book_of(folder, *nodes, gateway="172.17.0.1")


def test_what_is_asked_becomes_a_need(tmp_path: Path) -> None:
    """Addresses, exports and placeholders; the node itself is none, nor what need not be ready."""
    book = book_of(tmp_path, *(Fake(name, values={"url": "x"}) for name in "abcde"))
    scope = book.scope("a")

    scope.endpoint()
    scope.address("a")
    scope.address("b")
    scope.exports("c")
    scope.fill("${d.url}", "here")
    scope.address("e", waits=False)
    scope.exports("e", waits=False)

    assert {"b", "c", "d"} == scope.needs


class Through(Fake):
    """A node whose exports are those of another one."""

    def exports(self, scope):  # type: ignore[no-untyped-def]  # as in Fake
        return scope.exports("behind")


def test_what_an_export_asks_for_is_a_need_of_whoever_asked_for_the_export(tmp_path: Path) -> None:
    """And scopes of other nodes learn nothing of it."""
    book = book_of(
        tmp_path, Fake("user"), Through("front"), Fake("behind", values={"url": "x"}), Fake("other")
    )
    scope, other = book.scope("user"), book.scope("other")

    assert "x" == scope.fill("${front.url}", "here")
    assert {"front", "behind"} == scope.needs
    assert set() == other.needs


def test_a_secret_is_random_and_the_same_wherever_it_is_referred_to(tmp_path: Path) -> None:
    """It is no node, so nobody waits for it; its purpose is what a test asks for it by."""
    book, other = (book_of(tmp_path / name, Fake("a"), Fake("b")) for name in ("one", "two"))
    scope = book.scope("a")

    filled = scope.fill("<${secret.sign-in}>", "here")

    assert filled == book.scope("b").fill("<${secret.sign-in}>", "there")
    assert filled == f"<{book.token('sign-in-secret')}>"
    assert filled != other.scope("a").fill("<${secret.sign-in}>", "here")
    assert filled != scope.fill("<${secret.other}>", "here")
    assert len(filled.encode()) >= 32 + len("<>")
    assert book.token("sign-in-secret") in book.secrets()
    assert set() == scope.needs


@pytest.mark.parametrize("text", ["${secret}", "${secret.}"])
def test_a_secret_without_a_name_is_refused(tmp_path: Path, text: str) -> None:
    """It would be the same for everybody."""
    with pytest.raises(ConfigError, match=r"env of a.*names nothing"):
        book_of(tmp_path, Fake("a")).scope("a").fill(text, "env of a")


def test_an_address_is_seen_from_the_viewer(tmp_path: Path) -> None:
    """In containers: this machine, another pod, the same pod, a process of this machine."""
    shop, worker = (
        App("shop", command="serve", inbox=True),
        Process("worker", command="work {port}"),
    )
    book = containers(tmp_path, shop, worker, Process("local", command="x {port}", on_host=True))

    assert "127.0.0.1" == book.scope("shop", HOST).endpoint().host
    assert "shop" == book.scope("worker").address("shop").host
    assert "127.0.0.1" == book.scope("shop-inbox").address("shop").host
    assert "172.17.0.1" == book.scope("worker").address("local").host
    assert "127.0.0.1" == book.scope("local").address("worker").host
    assert "worker" == book.scope("worker").network().host


def test_a_broker_exports_what_the_viewer_can_reach(tmp_path: Path) -> None:
    """One listener for this machine, one for the other containers."""
    book = containers(tmp_path, Kafka(), Process("worker", command="work"))

    assert book.exports("kafka")["brokers"].startswith("127.0.0.1:")
    assert book.exports("kafka", "worker")["brokers"].startswith("kafka:")


def test_a_fixed_port_is_the_first_that_is_reserved(tmp_path: Path) -> None:
    """Whoever asks for it, and by its name."""
    book = book_of(tmp_path, Postgres(port=5432), Fake("a", fixed_ports={"admin": 9000}))

    assert 5432 == book.scope("a").address("postgres").port
    assert 9000 == book.scope("a").endpoint("admin").port
    assert {5432, 9000} == book.chosen_ports()


def test_only_a_sidecar_reads_resources(tmp_path: Path) -> None:
    """Another node gets a sentence."""
    book = book_of(tmp_path, App("shop", command="serve"))

    assert [] == list(book.scope("shop-daprd").resources())
    with pytest.raises(ConfigError, match="node 'shop' is not a sidecar"):
        book.scope("shop").resources()


def test_a_topology_knows_its_sidecars(tmp_path: Path) -> None:
    """By role, not by name."""
    topology = Topology(App("a", command="serve"), Process("x-daprd", command="serve"))

    assert ["a-daprd"] == [each.name for each in topology.sidecars()]
    assert ["a"] == topology.app_ids()
