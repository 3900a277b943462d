"""The Python of an image, and which wheels it can use."""

from __future__ import annotations

from dataclasses import dataclass

LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""By minor version of glibc; PEP 600 makes them aliases."""

OLDEST = {"x86_64": 5, "i686": 5}
"""Other machines have wheels for glibc 2.17 and later only."""


@dataclass(frozen=True)
class Python:
    """What pip has to know to install for a Python that it does not run in.

    Attributes:
        version: such as ``3.11``.
        libc: the version of glibc, such as ``2.36``, or ``musl``.
        machine: such as ``x86_64``.
    """

    version: str
    libc: str
    machine: str

    def platforms(self) -> list[str]:
        """The platform tags of wheels that it can use, the best one first.

        pip takes a list of tags literally: ``manylinux_2_36`` does not include
        ``manylinux_2_35``, unlike where pip installs for its own Python. Source: PEP 600, PEP 656.
        """
        # packaging.tags knows the platforms of the Python that it runs in, not of another one.
        if self.libc == "musl":
            # musl 1.2 is that of Alpine 3.13, of 2021, and later.
            return [f"musllinux_1_{minor}_{self.machine}" for minor in (2, 1)]
        newest = int(self.libc.split(".")[1])
        tags: list[str] = []
        for minor in range(newest, OLDEST.get(self.machine, 17) - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in LEGACY:
                tags.append(f"{LEGACY[minor]}_{self.machine}")
        return [*tags, f"linux_{self.machine}"]
