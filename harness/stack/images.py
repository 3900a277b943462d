"""Every image that a stack needs: chosen, found, pulled or built."""

from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO

from harness.core.errors import HarnessError, LaunchError, Unavailable
from harness.core.launch import Build
from harness.core.node import Node
from harness.core.private import temporary_folder
from harness.core.roles import Buildable
from harness.core.settings import Settings
from harness.core.wheels import Python
from harness.provision.apps import app_context, fingerprint, site_of
from harness.provision.images import IMAGES, NAMESPACE, Context, chosen, image, variable
from harness.provision.progress import Progress, Quiet, step
from harness.provision.recipes import context_of, debian_root
from harness.provision.toolbox import Provisioner
from harness.runtime.containers.engine import Engine
from harness.runtime.containers.ignored import app_files

RECIPE = "dapr-harness.recipe"
"""The label that contains the fingerprint of a local image's inputs."""

PROJECT = "dapr-harness.project"
"""The label of an app's image that contains the root folder of its project."""

PULLS = 4
"""The number of images that are pulled at the same time."""

Reference = str


@dataclass(frozen=True)
class Found:
    """The status of a table entry on this engine.

    Attributes:
        reference: the image that a stack would use.
        origin: ``chosen`` by the user, ``here``, ``built`` here, or ``missing``.
    """

    name: str
    reference: str
    origin: str


class Images:
    """The containers runtime's tools.

    Args:
        settings: the user's choices, and whether the network may be used.
        progress: informed about everything slow.
        engine: connected on first use if None.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._settings = settings
        self._progress = progress or Quiet()
        self.toolbox = Provisioner(settings, progress)
        self._engine = engine
        self._references: dict[str | Build, Reference] = {}
        self._connecting = threading.Lock()
        self._lock = threading.RLock()

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            Unavailable: no engine responds.
        """
        # A separate lock: pulls use the engine from their threads while `reference` waits for them.
        with self._connecting:
            self._engine = self._engine or Engine()
            return self._engine

    def path(self, tool: str) -> Path:
        """The path of a program in its image."""
        return Path(image(tool, self._settings).program or tool)

    def daprd(self, _types: Collection[str]) -> Path:
        """The daprd of its image, which has every component."""
        return self.path("daprd")

    def version(self, tool: str) -> str:
        """The version in the tag of a tool's image; "" for a digest or a tag such as latest."""
        found = re.search(r":v?(\d+\.\d+\.\d+[^:@/]*)$", self.reference(tool))
        return found.group(1) if found else ""

    def user(self, what: str | Build) -> str:
        """The account that an image must run as; "" for the image's own."""
        entry = IMAGES.get(what) if isinstance(what, str) else None
        return entry.user if entry else ""

    def reference(self, what: str | Build) -> Reference:
        """The image for what a launch names: an entry, a reference from the user, or a build.

        Raises:
            Unavailable: it cannot be obtained.
            LaunchError: it cannot be built.
        """
        with self._lock:
            if what not in self._references:
                self._references[what] = self._resolve(what)
            return self._references[what]

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Provide every image that these nodes run in; missing ones are pulled in parallel.

        Raises:
            Unavailable: an image cannot be obtained; the message names it, its override and how to
                build it.
            LaunchError: an app's image cannot be built, or one is for another processor.
        """
        names = {tool for node in nodes if not node.on_host for tool in node.tools}
        ready = {node.image for node in nodes if node.image}
        self._have([*sorted(names), *sorted(ready)])
        inside = [node for node in nodes if isinstance(node, Buildable) and not node.on_host]
        for build in (node.build(root) for node in inside):
            if build is not None:
                self.reference(build)

    def find(self, name: str) -> Found:
        """The status of a table entry."""
        wanted, entry = chosen(name, self._settings), image(name, self._settings)
        if wanted:
            here = self.engine.image_id(wanted) is not None
            return Found(name, wanted, "chosen" if here else "missing")
        if self.engine.image_id(entry.reference) is not None:
            return Found(name, entry.reference, "here")
        if entry.local and self.engine.image_id(entry.local) is not None:
            return Found(name, entry.local, "built")
        return Found(name, entry.reference, "missing")

    def pull(self, names: Iterable[str]) -> Mapping[str, HarnessError]:
        """Pull the table entries that this engine lacks, in parallel; the errors, by entry."""
        missing = [found for name in names if (found := self.find(name)).origin == "missing"]
        failed: dict[str, HarnessError] = {}

        def attempt(found: Found) -> None:
            try:
                self._pull(found)
            except HarnessError as error:
                failed[found.name] = error

        with ThreadPoolExecutor(PULLS) as pool:
            list(pool.map(attempt, missing))
        return failed

    def build(self, name: str) -> bool:
        """Build an entry's local image; returns whether anything had to be done.

        Raises:
            Unavailable: it cannot be built here.
            LaunchError: a step failed.
        """
        entry = image(name, self._settings)
        if not entry.local:
            raise Unavailable(
                f"the image {name} cannot be built here",
                expected=f"{entry.reference} from its registry",
                hint=f"set {variable(name)} to an image that this engine can pull",
            )
        if name == "app":
            return self._build_base(entry.local)
        self.build("app")
        return self._built(entry.local, context_of(name, self.toolbox.path))

    def prune(self, *, everywhere: bool = False) -> tuple[int, int]:
        """Remove the images of apps that no container uses; a later start builds what it needs.

        Args:
            everywhere: those of every project, not only of this one.

        Returns:
            their number, and the bytes of disk space that became free.
        """
        return self.engine.prune(PROJECT if everywhere else f"{PROJECT}={self._settings.root}")

    def _have(self, names: Iterable[str]) -> None:
        missing = []
        for name in names:
            found = self.find(name) if name in IMAGES else self._users(name)
            if found.origin == "missing":
                missing.append(found)
            else:
                self._references[name] = found.reference
        with ThreadPoolExecutor(PULLS) as pool:
            for found in pool.map(self._pull, missing):
                self._references[found.name] = found.reference
        for name in names:
            self.engine.require_platform(self._references[name])

    def _users(self, reference: str) -> Found:
        here = self.engine.image_id(reference) is not None
        return Found(reference, reference, "chosen" if here else "missing")

    def _pull(self, found: Found) -> Found:
        try:
            if self._settings.offline:
                raise Unavailable(
                    f"the image {found.reference} is not here and network access is disabled"
                )
            what = f"pull {found.reference}"
            with step(self._progress, what, lambda: ""):
                self.engine.pull(found.reference, lambda fact: self._progress.advance(what, fact))
        except HarnessError as error:
            error.hint = _how_to_get(found)
            raise
        return found

    def _resolve(self, what: str | Build) -> Reference:
        if isinstance(what, str):
            self._have([what])
            return self._references[what]
        base = what.base or self.reference("app")
        python = self._python_of(base)
        site = site_of(what, python, self._settings, self.toolbox.store, self._progress)
        context = app_context(what, base, site, app_files(what.folder))
        tag = f"{NAMESPACE}/app-{what.folder.name.lower() or 'root'}:{fingerprint(context)}"
        self._built(tag, context, {PROJECT: str(self._settings.root)})
        return tag

    def _python_of(self, base: str) -> Python:
        """The Python of an image. It is asked for once: that takes a container of its own.

        Raises:
            LaunchError: it has none.
        """
        identity = (self.engine.image_id(base) or base).removeprefix("sha256:")

        def ask(folder: Path) -> None:
            found = astuple(self.engine.python_of(base))
            (folder / "python").write_text(",".join(found))

        folder = self.toolbox.store.make(f"python-of-{identity[:16]}", ask)
        return Python(*(folder / "python").read_text().split(","))

    def _build_base(self, tag: str) -> bool:
        recipe = "debootstrap-1"
        if self.engine.labels(tag).get(RECIPE) == recipe:
            return False
        with (
            step(self._progress, f"build {tag} by debootstrap", lambda: ""),
            debian_root(self._settings.environment) as root,
        ):
            self.engine.import_root(tag, root, {RECIPE: recipe})
        return True

    def _built(self, tag: str, context: Context, labels: Mapping[str, str] | None = None) -> bool:
        recipe = fingerprint(context)
        if self.engine.labels(tag).get(RECIPE) == recipe:
            return False
        what = f"build {tag}"
        with step(self._progress, what, lambda: ""), packed(context) as archive:
            self.engine.build(
                tag, archive, {RECIPE: recipe, **(labels or {})}, {},
                lambda line: self._progress.advance(what, line),
            )  # fmt: skip
        return True


def packed(context: Context) -> IO[bytes]:
    """The tar archive that an engine builds from: a temporary file that is removed when closed."""
    import tempfile

    archive = tempfile.TemporaryFile(dir=temporary_folder())  # noqa: SIM115 - the caller closes it
    try:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            _add_text(tar, "Dockerfile", context.dockerfile)
            for name, text in context.texts.items():
                _add_text(tar, name, text)
            for name, source in context.sources.items():
                tar.add(source.resolve(), arcname=name, filter=_plain)
    except OSError as error:
        archive.close()
        raise LaunchError("the build context cannot be written", last=str(error)) from None
    archive.seek(0)
    return archive


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owned by root, and without caches of other Python versions."""
    if member.name.endswith("/__pycache__") or member.name.endswith(".pyc"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o755
    tar.addfile(member, io.BytesIO(data))


def _how_to_get(found: Found) -> str:
    if found.name not in IMAGES:
        return "check the reference, or pull it by hand"
    entry = IMAGES[found.name]
    build = "`dapr-harness images build` makes one without a registry" if entry.local else ""
    other = "; or use the broker `kafka`" if found.name == "redpanda" else ""
    override = f"set {variable(found.name)} to an image that this engine has or can pull"
    return "; ".join(part for part in (build, override) if part) + other
