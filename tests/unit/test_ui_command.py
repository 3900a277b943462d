"""What `dapr-harness ui` does before and beside the page: requirements, and the browser."""

from __future__ import annotations

import stat
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.cli import ui
from harness.core.errors import Unavailable

ADDRESS = "http://127.0.0.1:4711/the-token/"


class Windows(webbrowser.BaseBrowser):
    """A browser with windows, or a program of the terminal."""

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        """Open nothing."""
        raise AssertionError("webbrowser.open is replaced")


def test_starlette_is_required_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "find_spec", lambda name: None)

    with pytest.raises(Unavailable, match=r"pip install 'dapr-harness\[ui\]'"):
        ui.ui()


def test_the_browser_gets_a_private_file_instead_of_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every user can read the arguments of a process."""
    given: list[tuple[str, str, list[int]]] = []

    def open_(url: str) -> bool:
        file = Path(urlsplit(url).path)
        modes = [stat.S_IMODE(each.stat().st_mode) for each in (file, file.parent)]
        given.append((url, file.read_text(), modes))
        return True

    monkeypatch.setattr(webbrowser, "get", Windows)
    monkeypatch.setattr(webbrowser, "open", open_)
    with ui._opened(ADDRESS):
        pass
    ((url, text, modes),) = given

    assert "the-token" not in url
    assert f"0;url={ADDRESS}" in text
    assert [0o600, 0o700] == modes
    assert not Path(urlsplit(url).path).parent.exists()


@pytest.mark.parametrize("none", [True, False])
def test_a_browser_that_would_take_over_the_terminal_is_not_opened(
    monkeypatch: pytest.MonkeyPatch, none: bool
) -> None:
    opened: list[str] = []

    def get() -> webbrowser.BaseBrowser:
        if none:
            raise webbrowser.Error("could not locate runnable browser")
        return webbrowser.GenericBrowser("lynx")

    monkeypatch.setattr(webbrowser, "get", get)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with ui._opened(ADDRESS):
        assert [] == opened
