"""The time of an interpreter: that of a clock which a scheduler publishes in a file.

The file has two records. The writer replaces the older one, and a record has a checksum, so a
reader always finds a whole one, even if the writer is killed between two bytes.
"""

from __future__ import annotations

import datetime
import gc
import mmap
import os
import struct
import sys
import time
import warnings
from binascii import crc32
from functools import wraps

TYPE_CHECKING = False  # importing typing would slow down every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FILE = "DAPR_HARNESS_CLOCK"
"""The variable with the path of the file."""

TEXT = ".txt"
"""What is added to the file's name for the same moment as text, for libfaketime."""

PRELOADED = "libfaketime"
"""With it, ``time.sleep`` fails in an interpreter."""

FIELDS = struct.Struct("<Qqqd")
"""The number of the record; the moment, in nanoseconds since 1970; the monotonic time at which it
was that moment, in nanoseconds; seconds per second, 0 while time stands still."""
RECORD = struct.Struct("<Qqqd I4x")
SIZE = 2 * RECORD.size

SECOND = 1_000_000_000

TIMED = ("grpc", "dapr")
"""Packages that measure their time-outs by the time of day. They keep the real one."""

CONFIGURATION = 78
"""The exit code for a clock that cannot be followed, EX_CONFIG of sysexits.h."""


def newest(content: bytes) -> list[Any]:
    """The fields of the newest whole record.

    Raises:
        ValueError: there is none.
    """
    best = None
    for start in (0, RECORD.size):
        fields = content[start : start + FIELDS.size]
        *values, checksum = RECORD.unpack_from(content, start)
        if checksum == crc32(fields) and (best is None or values[0] > best[0]):
            best = values
    if best is None or not best[0]:
        raise ValueError("no moment was published")
    return best


def packed(number: int, moment: int, since: int, speed: float) -> bytes:
    """A record."""
    fields = FIELDS.pack(number, moment, since, speed)
    return RECORD.pack(number, moment, since, speed, crc32(fields))


def moment_of(content: bytes, real: int) -> int:
    """The moment that it is at a monotonic time."""
    _, moment, since, speed = newest(content)
    now: int = moment + int((real - since) * speed)
    return now


def reader(path: str) -> Callable[[], int]:
    """A function that returns the moment that it is.

    Raises:
        OSError: there is no such file.
        ValueError: it is not complete.
    """
    with open(path, "rb") as file:
        content = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
    monotonic = time.monotonic_ns

    def now() -> int:
        return moment_of(content[:], monotonic())

    now()
    return now


def begin() -> None:
    """Follow the clock whose file the environment names."""
    path = os.environ.get(FILE)
    if not path:
        return
    if PRELOADED in os.environ.get("LD_PRELOAD", ""):
        restart_without_preloaded()
    try:
        follow(reader(path))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"dapr-harness: the clock in {path} cannot be followed: {error}\n")
        sys.stderr.flush()
        os._exit(CONFIGURATION)


def restart_without_preloaded() -> None:
    """Start this interpreter again without libfaketime, which was meant for another program."""
    kept = [each for each in os.environ["LD_PRELOAD"].split(":") if PRELOADED not in each]
    environment = {**os.environ, "LD_PRELOAD": ":".join(kept)}
    os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - itself


def follow(now: Callable[[], int]) -> None:
    """Have the time of day come from a function.

    Monotonic clocks, and with them asyncio, sleeping and waiting, stay as they are.
    """
    real_ns = time.time_ns

    def for_caller() -> int:
        # What it is for whoever has called the function that calls this one.
        name = sys._getframe(2).f_globals.get("__name__") or ""
        return real_ns() if name.partition(".")[0] in TIMED else now()

    follow_in_time(for_caller, now)
    follow_in_datetime(for_caller)


def follow_in_time(for_caller: Callable[[], int], now: Callable[[], int]) -> None:
    """Replace what ``time`` has; functions of a time use this one if they are given none."""

    @wraps(time.time)
    def time_() -> float:
        return for_caller() / SECOND

    @wraps(time.time_ns)
    def time_ns() -> int:
        return for_caller()

    time.time, time.time_ns = time_, time_ns
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _of_seconds(getattr(time, name), now))
    for name, place in (("asctime", 0), ("strftime", 1)):
        setattr(time, name, _of_parts(getattr(time, name), place))
    for name, unit in (("clock_gettime", SECOND), ("clock_gettime_ns", 1)):
        if hasattr(time, name):
            setattr(time, name, _of_clock(getattr(time, name), now, unit))


def _of_seconds(real: Callable[[float], Any], now: Callable[[], int]) -> Callable[..., Any]:
    @wraps(real)
    def of_seconds(seconds: float | None = None, /) -> Any:
        return real(now() // SECOND if seconds is None else seconds)

    return of_seconds


def _of_parts(real: Callable[..., str], place: int) -> Callable[..., str]:
    @wraps(real)
    def of_parts(*given: Any) -> str:
        return real(*given) if len(given) > place else real(*given, time.localtime())

    return of_parts


def _of_clock(
    real: Callable[[int], float], now: Callable[[], int], unit: int
) -> Callable[[int], float]:
    @wraps(real)
    def of_clock(number: int, /) -> float:
        if number != time.CLOCK_REALTIME:
            return real(number)
        return now() if unit == 1 else now() / unit

    return of_clock


def follow_in_datetime(for_caller: Callable[[], int]) -> None:
    """Replace the methods of the classes themselves.

    So every instance, pickle and annotation has the same class as before, also where C code makes
    it, and whoever has imported the class earlier has the new methods.
    """
    date, both = datetime.date, datetime.datetime

    def today(cls: Any) -> Any:
        return _at(cls, for_caller(), None) if issubclass(cls, both) else _day(cls, for_caller())

    def now(cls: Any, tz: Any = None) -> Any:
        return _at(cls, for_caller(), tz)

    def utcnow(cls: Any) -> Any:
        if sys.version_info >= (3, 12):
            warnings.warn(
                "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future "
                "version. Use timezone-aware objects to represent datetimes in UTC: "
                "datetime.datetime.now(datetime.UTC).",
                DeprecationWarning,
                stacklevel=2,
            )
        return _at(cls, for_caller(), datetime.timezone.utc).replace(tzinfo=None)

    for owner, method in ((date, today), (both, now), (both, utcnow)):
        real = getattr(owner, method.__name__)
        method.__doc__, method.__qualname__ = real.__doc__, real.__qualname__
        _set_method(owner, method)


def _at(cls: Any, moment: int, zone: Any) -> Any:
    seconds, rest = divmod(moment, SECOND)
    return cls.fromtimestamp(seconds, zone).replace(microsecond=rest // 1000)


def _day(cls: Any, moment: int) -> Any:
    return cls.fromtimestamp(moment // SECOND)


def _set_method(owner: Any, method: Any) -> None:
    made: Any = classmethod(method)
    try:
        setattr(owner, method.__name__, made)  # an implementation in Python
    except TypeError:
        # Classes of C code cannot be assigned to, but what their read-only view shows can.
        gc.get_referents(owner.__dict__)[0][method.__name__] = made
        _forget_cached(owner)
    if getattr(getattr(owner, method.__name__), "__func__", None) is not method:
        raise ValueError(f"this interpreter keeps its own {method.__qualname__}()")


def _forget_cached(owner: type) -> None:
    """Have the interpreter look up the methods of a class and its subclasses again."""
    try:
        import ctypes
    except ImportError:
        return  # nothing is cached yet if nobody has used the class before
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))
