"""Apps that are started by hand."""

from __future__ import annotations

import subprocess
from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from harness import App, ConfigError, Placement, Postgres, Topology
from harness.cli.external import quoted
from harness.core.external import with_external

AWKWARD = st.text(st.sampled_from("a b'\"\\#=$`{}\n\t;&"), max_size=12)


def test_an_external_app_runs_on_the_host_and_the_others_stay() -> None:
    """Its sidecar and its inbox reach it there; no node is lost or doubled."""
    topology = Topology(
        Postgres(), App("shop", command="serve", inbox=True), App("desk", command="serve")
    )

    changed = with_external(topology, ["shop"])

    assert sorted(n.name for n in topology.nodes) == sorted(n.name for n in changed.nodes)
    shop, desk = changed["shop"], changed["desk"]
    assert isinstance(shop, App)
    assert isinstance(desk, App)
    assert (True, True) == (shop.external, shop.on_host)
    assert (False, False) == (desk.external, desk.on_host)
    assert "" == changed["shop-daprd"].pod
    assert changed["shop-inbox"].on_host
    assert changed["desk-daprd"] == topology["desk-daprd"]


def test_without_external_apps_the_topology_is_the_same_object() -> None:
    """Not a copy."""
    topology = Topology(App("shop", command="serve"))

    assert topology is with_external(topology, [])


@pytest.mark.parametrize("name", ["shp", "placement", "shop-daprd"])
def test_only_an_app_of_the_topology_can_be_external(name: str) -> None:
    """The message suggests one."""
    topology = Topology(App("shop", command="serve"), Placement())

    with pytest.raises(ConfigError, match=f"{name!r} is not an app of the topology") as caught:
        with_external(topology, [name])

    assert "shop" in caught.value.hint


def test_an_app_that_does_not_listen_cannot_be_external() -> None:
    """The stack could not notice its start."""
    with pytest.raises(ConfigError, match="external and does not listen"):
        App("worker", command="work", listens=False, external=True)


@given(AWKWARD | st.text(st.characters(codec="utf-8", exclude_characters="\0\r")))
def test_a_value_in_an_env_file_is_read_back_by_python_dotenv(value: str) -> None:
    """Quotes, backslashes, comments and line ends included."""
    file = StringIO(f"BEFORE=1\nVALUE={quoted(value)}\nAFTER=2\n")

    read = dotenv_values(stream=file, interpolate=False)

    assert {"BEFORE": "1", "VALUE": value, "AFTER": "2"} == read


@pytest.mark.parametrize("value", ["", "a=b", "it's", "$HOME", 'a `b` "c"', "C:\\\\new", "a#b c"])
def test_a_value_in_an_env_file_is_read_back_by_a_shell(value: str) -> None:
    """Where one form exists that suits both."""
    script = f'VALUE={quoted(value)}\nprintf %s "$VALUE"'

    assert value == subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
