"""The built wheel is typed: mypy's strict mode checks a project that uses it."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.real

CONFTEST = """
import pytest

from harness import App, Kafka, Postgres, Settings, Stack, Topology


@pytest.fixture(scope="session")
def dapr_topology(dapr_settings: Settings) -> Topology:
    return Topology(Kafka(topics=["orders"]), Postgres(), App("shop", asgi="shop:app", inbox=True))


@pytest.fixture
def nodes(dapr_stack: Stack) -> list[str]:
    return sorted(dapr_stack.addresses())
"""

SYNCHRONOUS = """
from harness import Call, Calls, DaprClient, Delivery, Event, Inbox, Instance, Occurrence
from harness import Span, Table, Tap, World


def test_an_order(dapr_sync: World) -> None:
    sidecar: DaprClient = dapr_sync.sidecar("shop")
    sidecar.publish("pubsub", "orders", {"id": 1})
    topic: Tap = dapr_sync.topic("orders")
    event: Event = topic.next(data={"id": 1}, timeout=30)
    inbox: Inbox = dapr_sync.inbox("shop")
    delivery: Delivery = inbox.next(id=event.id)
    calls: Calls = dapr_sync.calls("shop")
    call: Call = calls.next(api="publish", target="orders")
    timeline: list[Occurrence] = dapr_sync.timeline()
    assert call.occurrence("shop") in timeline
    rows: Table = dapr_sync.table("orders")
    spans: list[Span] = dapr_sync.trace("0" * 32)
    dapr_sync.pause("shop")
    dapr_sync.resume("shop")
    dapr_sync.kill("shop-daprd")
    dapr_sync.restart("shop-daprd")
    shop: Instance = dapr_sync.instance("shop")
    count: int = dapr_sync.eventually(lambda: rows.count(id=1))
    assert (200, 1) == (delivery.status, count), (spans, shop.pid, dapr_sync.token("dapr-api"))
    assert dapr_sync.url("shop").startswith("http://"), dapr_sync.logs()
    assert dapr_sync.metric("shop", "dapr_http_server_request_count") > 0.0
"""

ASYNCHRONOUS = """
from harness import AsyncCalls, AsyncDaprClient, AsyncInbox, AsyncTable, AsyncTap, AsyncWorld
from harness import Call, Event, Occurrence, Span


async def test_an_order(dapr: AsyncWorld) -> None:
    sidecar: AsyncDaprClient = dapr.sidecar("shop")
    await sidecar.publish("pubsub", "orders", {"id": 1})
    topic: AsyncTap = await dapr.topic("orders", pubsub="bus")
    event: Event = await topic.next(data={"id": 1}, timeout=30)
    inbox: AsyncInbox = dapr.inbox("shop")
    calls: AsyncCalls = dapr.calls("shop")
    call: Call = await calls.next(api="publish")
    timeline: list[Occurrence] = await dapr.timeline()
    assert call.status == 204, timeline
    status: int = (await inbox.next(id=event.id)).status
    rows: AsyncTable = dapr.table("orders")
    spans: list[Span] = await dapr.trace("0" * 32)
    await dapr.pause("shop")
    await dapr.resume("shop")
    await dapr.restart("shop", ready=False)

    async def there() -> int:
        return await rows.count(id=1)

    first: int = await dapr.eventually(there)
    second: int = await dapr.eventually(lambda: first)
    assert (200, 1) == (status, second), spans
    assert await dapr.metric("shop", "dapr_http_server_request_count") > 0.0
"""

WRONG = """
from harness import AsyncWorld, Event, World


def test_mistakes(dapr_sync: World) -> None:
    dapr_sync.restart(7)  # expect: arg-type
    rows: str = dapr_sync.table("orders").rows()  # expect: assignment
    dapr_sync.topik("orders")  # expect: attr-defined
    event: Event = dapr_sync.inbox("shop").next()  # expect: assignment


async def test_forgotten(dapr: AsyncWorld) -> None:
    dapr.restart("shop")  # expect: unused-coroutine
    number: int = dapr.table("orders").count()  # expect: assignment
    word: str = await dapr.eventually(dapr.table("orders").count)  # expect: arg-type
"""

SAMPLE = {
    "conftest.py": CONFTEST,
    "test_synchronous.py": SYNCHRONOUS,
    "test_asynchronous.py": ASYNCHRONOUS,
    "test_wrong.py": WRONG,
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel instead of the checkout."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # What the wheel depends on; the checkout is not among it, as its path file is not followed.
    lent = [each for each in sys.path if each.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(lent))
    return folder / "bin" / "python"


def test_mypy_checks_a_project_that_uses_the_wheel(python: Path, tmp_path: Path) -> None:
    """Correct code passes in strict mode, and each mistake is reported where it is."""
    for name, text in SAMPLE.items():
        (tmp_path / name).write_text(text)
    options = ["--strict", "--no-error-summary", "--hide-error-context", "--python-executable"]

    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(python), *SAMPLE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    found = re.findall(r"^(\S+?):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    expected = [
        ("test_wrong.py", str(number), line.rpartition("# expect: ")[2])
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "# expect: " in line
    ]
    assert expected == found, done.stdout + done.stderr
    assert len(expected) == done.stdout.count("error:"), done.stdout


def test_every_public_name_is_in_the_wheel(python: Path) -> None:
    """Also those that are imported on first use."""
    script = "import harness; print(harness.__file__); [getattr(harness, n) for n in dir(harness)]"

    done = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr
    assert str(python.parents[1]) in done.stdout
