"""The marker that chooses a stack's time, and the example of the README and docs/time.md."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run
from tests.support import ROOT, leftovers

pytestmark = pytest.mark.real

SHOP = """
from harness import App, Topology
import pytest

@pytest.fixture(scope="session")
def dapr_topology():
    return Topology(App("shop", asgi="shop:app", inbox=True))
"""
APP = (ROOT / "tests" / "virtual_time" / "apps" / "shop.py").read_text()


def example() -> str:
    """The first block of Python in the page."""
    found = re.search(r"^```python\n(.*?)^```$", (ROOT / "docs" / "time.md").read_text(),
                      re.DOTALL | re.MULTILINE)  # fmt: skip
    assert found is not None
    return found[1]


def test_the_readme_has_the_same_example() -> None:
    """The next test runs it."""
    assert f"```python\n{example()}```" in (ROOT / "README.md").read_text()


def test_the_example_of_the_docs_passes_beside_tests_in_real_time(
    inner: Run, pytester: pytest.Pytester
) -> None:
    """Each on a stack of its own; without the marker, the clock says what to do."""
    (pytester.path / "shop.py").write_text(APP)
    real = """

def test_real_time_is_not_moved(dapr_sync):
    with pytest.raises(Exception, match="follows real time") as told:
        dapr_sync.clock.now()
    assert 'pytest.mark.dapr(time="virtual")' in str(told.value)

@pytest.mark.dapr(time="virtual")
class TestOfTheSame:
    def test_the_stack_is_shared(self, dapr_sync):
        before = dapr_sync.clock.now()
        assert dapr_sync.clock.advance("1 year").now > before

def test_real_time_again(dapr_stack):
    assert dapr_stack.topology.time == "real"
"""
    result = inner(example() + real, conftest=SHOP)

    result.assert_outcomes(passed=4)
    assert 2 == result.stdout.str().count("nodes are ready")
    assert [] == leftovers(pytester.path)


def test_the_example_passes_on_a_stack_that_workers_share(
    inner: Run, pytester: pytest.Pytester
) -> None:
    """They move its only clock one after the other."""
    (pytester.path / "shop.py").write_text(APP)
    noted = """

@pytest.mark.dapr(time="virtual")
def test_the_clock_is_moved_by_one_at_a_time(dapr_sync):
    before = dapr_sync.clock.now()
    for day in range(1, 20):
        assert dapr_sync.clock.advance("1 day").now == before + timedelta(days=day)
"""
    test = f"from datetime import timedelta\n{example()}{noted}"

    result = inner(test, "-n2", "--dist=each", conftest=SHOP)

    result.assert_outcomes(passed=4)
    assert 1 == result.stdout.str().count("started a stack that the workers share")


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("time='soon'", "takes time='real' or 'virtual'"),
        ("'virtual'", "takes time='real' or 'virtual'"),
        ("time='virtual', speed=2", "it has time='virtual', speed=2"),
        ("exclusive='yes'", "exclusive=True or False; it has exclusive='yes'"),
        ("", "it has nothing"),
    ],
)
def test_a_marker_that_says_something_else_is_refused(inner: Run, marker: str, said: str) -> None:
    """Before anything starts."""
    result = inner(f"""
        import pytest

        @pytest.mark.dapr({marker})
        def test_x(dapr_sync): pass
    """)

    assert said in result.stdout.str() + result.stderr.str()
    assert result.ret


@pytest.mark.parametrize("marker", ["time='virtual'", "exclusive=True"])
def test_a_marker_on_a_test_without_a_stack_is_refused(inner: Run, marker: str) -> None:
    """It would change nothing."""
    result = inner(f"""
        import pytest

        @pytest.mark.dapr({marker})
        def test_x(): pass
    """)

    assert "needs the fixture dapr or dapr_sync" in result.stdout.str() + result.stderr.str()
    assert result.ret
