"""What the tests need besides a stack's tools, installed before the first test: minutes of building
belong into no test's time. `python -m tests.provision`, which `make test` calls, or pytest itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from harness.cli.console import Steps, out
from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.provision.golang import install
from harness.provision.progress import Progress, step
from harness.provision.store import Store
from harness.provision.toolbox import Provisioner
from harness.runtime.containers.engine import Engine
from harness.stack.images import Images

TOOLS = ("java", "kafka", "postgres", "postgres-data", "daprd")
"""What every stack of the tests is made of; the quick ones first."""

CLUSTER = ("etcd", "kube-apiserver", "dapr-crds")
"""What tests with an API server of Kubernetes run."""

HELM = "3.19.0"

REQUIRED_IMAGES = "REQUIRED_IMAGES"
"""The variable that names images without which a run fails; tests that lack another are skipped."""


def find_helm(settings: Settings) -> Path | None:
    """Helm: the machine's own, or the one that was built; None where it has to be built first."""
    if own := shutil.which("helm", path=settings.environment.get("PATH")):
        return Path(own)
    built = Store(settings.cache_dir).find(f"helm-{HELM}")
    return built / "helm" if built else None


def provide_helm(settings: Settings, progress: Progress) -> Path:
    """Helm, built from its Go module where there is none.

    Raises:
        Unavailable: it cannot be built.
    """
    if found := find_helm(settings):
        return found

    def build(target: Path) -> None:
        with step(progress, f"build Helm {HELM} from its Go module", lambda: ""):
            install(settings.environment, f"helm.sh/helm/v3/cmd/helm@v{HELM}", target)

    store = Provisioner(settings, progress).store
    return store.make(f"helm-{HELM}", build) / "helm"


def required_images() -> frozenset[str]:
    """The images that this run must not do without, by their names in the table of images."""
    return frozenset(os.environ.get(REQUIRED_IMAGES, "").split())


def pull_images(settings: Settings, progress: Progress, names: Collection[str]) -> None:
    """Pull the images that the engine lacks, where there is an engine and a registry has them.

    Otherwise the tests that need them are skipped, and CI fails; `tests.engine` finds the reason.

    Raises:
        HarnessError: one that is required is not there and cannot be pulled.
    """
    required = required_images() & set(names)
    try:
        with Engine() as engine:
            failed = Images(settings, progress, engine).pull(names)
    except Unavailable:
        if required:
            raise
        return
    for name in sorted(required & set(failed)):
        raise failed[name]


def provide(
    settings: Settings,
    progress: Progress,
    *,
    helm: bool = True,
    kubernetes: bool = True,
    images: Collection[str] = (),
) -> dict[str, Path]:
    """Everything that the tests need, by name.

    Args:
        helm: whether tests of the chart are among them.
        kubernetes: whether tests with an API server of Kubernetes are among them.
        images: those that tests need.

    Raises:
        HarnessError: a tool or a required image cannot be had.
    """
    if images:
        pull_images(settings, progress, images)
    toolbox = Provisioner(settings, progress)
    tools = (*TOOLS, *(CLUSTER if kubernetes else ()))
    found = {tool: toolbox.path(tool) for tool in tools}
    return {**found, **({"helm": provide_helm(settings, progress)} if helm else {})}


if __name__ == "__main__":
    # Minutes for one module of tests; pytest has it installed if that is among those it runs.
    for tool, path in provide(Settings.load(), Steps(), kubernetes=False).items():
        out.print(f"{tool:<14} {path}", soft_wrap=True)
