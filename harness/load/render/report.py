"""A run as JUnit, HdrHistogram log, JSON and HTML page; each file is written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from harness.core.errors import ConfigError
from harness.load.model.result import Criterion, Result
from harness.load.render.page import page


def write_all(result: Result, folder: Path) -> list[Path]:
    """Write every form of a result into a folder; each file is written atomically.

    Raises:
        ConfigError: the folder is not writable.
    """
    name = result.profile.name
    texts = {
        f"{name}.html": page(result),
        f"{name}.json": result.json(),
        f"{name}.xml": junit(result),
        f"{name}.hlog": hdr_log(result),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            aside = folder / f".{file}.new"
            aside.write_text(text)
            os.replace(aside, folder / file)  # noqa: PTH105 - replaces atomically
    except OSError as error:
        raise _unwritable(folder, error) from None
    return [folder / file for file in texts]


def require_writable(folder: Path) -> None:
    """Check, before anything starts, that a report can be written.

    Raises:
        ConfigError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the report cannot be written to {folder}",
        last=str(error),
        hint="choose another folder: --out",
    )


def junit(result: Result) -> str:
    """Each budget and each validity mark as a test case, for CI."""
    marks = [*result.validity, *result.thresholds]
    if result.died:
        marks.append(Criterion("to the end", False, result.died))
    failed = [each for each in marks if not each.met]
    suite = ElementTree.Element(
        "testsuite",
        name=f"load.{result.profile.name}",
        tests=str(len(marks)),
        failures=str(len(failed)),
    )
    for each in marks:
        case = ElementTree.SubElement(suite, "testcase", name=each.name, classname="load")
        if not each.met:
            ElementTree.SubElement(case, "failure", message=each.fact)
    return ElementTree.tostring(suite, encoding="unicode") + "\n"


def hdr_log(result: Result) -> str:
    """The run after its warm-up as one tagged interval for each name and distribution."""
    # The log writer of hdrhistogram writes no tags, and rounds the maximum down to whole units.
    start = result.profile.warmup
    seconds = result.profile.seconds - start
    rows = [
        "#[Histogram log format version 1.3]",
        f"#[Load: {result.profile.name}, {result.began}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for name, row in result.names.items():
        for distribution, text in row.histograms.items():
            tag = f"{name} {distribution}".replace(" ", "_").replace(",", "")
            longest = row.distribution(distribution)["max"]
            rows.append(f"Tag={tag},{start:.3f},{seconds:.3f},{longest:.3f},{text}")
    return "\n".join(rows) + "\n"
