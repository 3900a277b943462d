"""What several modules render with."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import Settings
from tests.provision import find_helm
from tests.support import ROOT


@pytest.fixture(scope="module")
def helm() -> Path:
    """Helm, which provisioning of the tests has built where the machine has none."""
    found = find_helm(Settings.load(ROOT))
    if found is None:
        pytest.skip("Helm is not provisioned; `python -m tests.provision` builds it")
    return found
