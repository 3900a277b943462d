"""Write harness/dapr/component_types.json and crds.json from the sources of one Dapr version.

    python tools/component_types.py <folder of the dapr module> <folder of components-contrib>

Both folders are in the Go module cache after a build.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.provision.metadata import write_tables

if __name__ == "__main__":
    here = Path(__file__).parent.parent / "harness" / "dapr"
    write_tables(Path(sys.argv[1]), Path(sys.argv[2]), here)
