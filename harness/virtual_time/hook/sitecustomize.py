"""Imported by every Python interpreter at its start, before the app: its time is the clock's."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec


def run_next() -> None:
    """Run the app's own ``sitecustomize``, which this one has taken the place of."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [each for each in sys.path if os.path.abspath(each) != here]
    spec = PathFinder.find_spec(__name__, others)
    if spec is None or spec.loader is None:
        return
    module = sys.modules[__name__] = module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    import dapr_harness_clock  # type: ignore[import-not-found]  # next to this file

    dapr_harness_clock.begin()
    run_next()
