"""The page in Chromium: plots with their tables, partitions, variables of a node, single keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from harness.inspection.model import Overview, PartitionRow, TopicRow
from tests.cli.test_ui_page import HOSTILE, browser, opened, served
from tests.ui_source import ShownStack

__all__ = ["browser"]

pytestmark = pytest.mark.real


@pytest.mark.parametrize("width", [1280, 390])
def test_what_a_plot_shows_is_said_in_words_and_in_a_table(browser: Browser, width: int) -> None:
    """Of rates and of nodes."""
    with served(ShownStack()) as (address, _), opened(browser, address + "#metrics", width) as page:
        published = page.get_by_role("img", name="Events published: now 0.0 per s")
        memory = page.get_by_role("img", name="shop: memory: now 53 MB, least 50 MB, most 53 MB")
        processor = page.get_by_role("img", name="shop: processor: now 30 %, least 10 %")
        expect(published).to_have_accessible_name("Events published: now 0.0 per s, most 1.0 per s")
        for each in (published, memory, processor):
            expect(each.locator(".line")).to_have_count(1)
        first, second, third = page.locator("details.values").all()
        for each in (first, second, third):
            each.locator("summary").click()
        rows = first.locator("tbody tr")
        expect(rows.nth(0).locator("td")).to_have_text(["published", "shop", "100", "0.33", "1.0"])
        expect(second.locator("tbody tr")).to_have_count(60)
        expect(third.locator("tbody td").nth(1)).to_have_text("53 MB")
        assert width == page.evaluate("document.documentElement.scrollWidth")


def test_a_metric_that_nobody_has_seen_has_a_plot_without_a_line(browser: Browser) -> None:
    with served(ShownStack()) as (address, _), opened(browser, address + "#metrics") as page:
        invoked = page.get_by_role("img", name="Apps invoked by apps: now 0.0 per s")

        expect(invoked).to_be_visible()
        expect(page.locator(".plot")).to_have_count(6)


def test_partitions_are_shown_with_their_groups_and_stay_open(browser: Browser) -> None:
    """Also when new records come; the focus stays where it was."""
    source = ShownStack()
    source.add(5)
    with served(source) as (address, feed), opened(browser, address) as page:
        button = page.get_by_role("button", name="2 partitions of shop")
        button.press("Enter")
        cells = page.get_by_role("region", name="Partitions of shop").locator("tbody td")
        expect(cells).to_have_text(
            ["0", "8", "shop", "5", "3", "yes", "1", "0", "no group has read it", "", "", ""]
        )
        source.add(2)
        feed.hurry()
        feed.look()
        expect(cells.nth(1)).to_have_text("10")
        expect(button).to_be_focused()
        button.press("Enter")
        expect(page.get_by_role("region", name="Partitions of shop")).to_be_hidden()


def test_a_topic_that_nobody_uses_is_in_the_table_and_not_on_the_map(browser: Browser) -> None:
    source = ShownStack()
    whole = source.overview

    def overview() -> Overview:
        found = whole()
        unused = TopicRow("unused", "", 0, [], [PartitionRow(0, 0, [])])
        return replace(found, topics=[*found.topics, unused])

    source.overview = overview  # type: ignore[method-assign]  # of this one
    with served(source) as (address, _), opened(browser, address) as page:
        expect(page.get_by_role("button", name="1 partition of unused")).to_be_visible()
        expect(page.locator(".map .box.topic")).to_have_count(1)


def test_a_node_is_shown_with_its_command_and_variables(browser: Browser) -> None:
    with served(ShownStack()) as (address, _), opened(browser, address) as page:
        page.locator(".nodes button.link").first.click()

        expect(page.locator("dialog pre")).to_have_text("shop\nserve")
        expect(page.locator("dialog tbody td")).to_have_text(["GREETING", "shop", "KEY", "***"])


def heading(page: Page, view: str) -> None:
    expect(page.locator(f"nav a[aria-current][href='#{view}']")).to_have_count(1)


def escape(page: Page) -> None:
    """Close a dialog; Chromium does so a moment after the key."""
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_single_keys_go_to_views_and_open_dialogs(browser: Browser) -> None:
    """They are listed under the question mark."""
    with served(ShownStack()) as (address, _), opened(browser, address) as page:
        for key, view in {
            "e": "events", "t": "traces", "l": "logs", "s": "state", "b": "tables", "j": "jobs",
            "m": "metrics", "o": "overview",
        }.items():  # fmt: skip
            page.keyboard.press(key)
            heading(page, view)
        page.keyboard.press("?")
        expect(page.locator("dialog kbd")).to_have_text(
            [*"oetlsbjm/", "Space", *"pi?", "↑ ↓", "Enter", "Esc"]
        )
        escape(page)
        page.keyboard.press("p")
        expect(page.locator("dialog")).to_have_attribute("aria-label", "Publish")
        escape(page)
        page.keyboard.press("i")
        expect(page.locator("dialog")).to_have_attribute("aria-label", "Invoke")
        escape(page)
        page.keyboard.press("Space")
        expect(page.locator("#pause")).to_have_text("Continue")


def test_a_key_that_is_written_or_pressed_with_another_is_no_shortcut(browser: Browser) -> None:
    """Neither in a field nor in a dialog; a space presses the button that has the focus."""
    with served(ShownStack()) as (address, _), opened(browser, address) as page:
        page.keyboard.press("e")
        page.keyboard.press("/")
        box = page.get_by_label("Filter: id, type, topic, app")
        expect(box).to_be_focused()
        page.keyboard.type("m ?")
        expect(box).to_have_value("m ?")
        box.blur()
        page.keyboard.press("Control+m")
        page.locator("#open-publish").press("Space")
        expect(page.locator("dialog")).to_have_attribute("aria-label", "Publish")
        expect(page.locator("#pause")).to_have_text("Pause")
        page.get_by_role("button", name="Close").press("m")
        heading(page, "events")


def test_shortcuts_can_be_turned_off_and_stay_off(browser: Browser) -> None:
    """As people who dictate need it; the list still opens."""
    with served(ShownStack()) as (address, _), opened(browser, address) as page:
        page.locator("#open-keys").click()
        page.get_by_label("Keys without Ctrl are used").uncheck()
        escape(page)
        page.reload()
        expect(page.locator("#connection-text")).to_have_text("live")
        page.keyboard.press("m")
        page.keyboard.press("?")
        expect(page.get_by_label("Keys without Ctrl are used")).not_to_be_checked()
        escape(page)
        heading(page, "overview")
        page.keyboard.press("?")
        page.get_by_label("Keys without Ctrl are used").check()
        escape(page)
        page.keyboard.press("m")
        heading(page, "metrics")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_of_metrics_partitions_or_variables_becomes_html(
    browser: Browser, width: int
) -> None:
    """And nothing is wider than the window."""
    source = ShownStack(HOSTILE)
    source.add(3)
    with served(source) as (address, _), opened(browser, address, width) as page:
        page.locator("[data-key^='parts of']").click()
        expect(page.locator(".topics .topics, .topics table td").nth(2)).to_have_text(HOSTILE)
        page.locator(".nodes button.link").first.click()
        expect(page.locator("dialog tbody td").nth(1)).to_have_text(HOSTILE)
        escape(page)
        page.keyboard.press("m")
        page.locator("details.values summary").first.click()
        expect(page.locator("details.values td").nth(1)).to_have_text(HOSTILE)
        assert width == page.evaluate("document.documentElement.scrollWidth")
        assert page.evaluate("window.hacked === undefined")
