"""The page in Chromium, with a stack in memory: what it shows, the keyboard, hostile texts."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from harness.cli.background import in_background
from harness.core.deadline import Deadline, Observation, poll
from harness.inspection.model import LogLine
from harness.ui.app import application
from harness.ui.feed import Feed
from harness.ui.record import Record
from harness.ui.serve import listening, serving
from tests.ui_source import ShownStack, trace_id

pytestmark = pytest.mark.real

HOSTILE = "\"'><img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>${1}{{1}}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed; tools/browser installs Debian's")
    expect.set_options(timeout=30_000)  # seconds of a machine on which everything else runs, too
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield made
        made.close()


@contextmanager
def served(source: ShownStack) -> Iterator[tuple[str, Feed]]:
    """The address of the page of a stack, and its feed, which has looked once."""
    token, feed = "a-token", Feed(source, Record())
    feed.look()
    with listening(None) as listener:
        port = listener.getsockname()[1]
        with serving(application(source, feed, token, port), listener):
            try:
                yield f"http://127.0.0.1:{port}/{token}/", feed
            finally:
                feed.end("the test has ended")


@contextmanager
def followed(feed: Feed) -> Iterator[None]:
    """Let the feed look again and again."""
    stop = threading.Event()
    with in_background(lambda: feed.follow(stop), stop, "feed"):
        yield


def is_error(said: ConsoleMessage) -> bool:
    """Whether the page has reported one, and not the browser that the machine's network changed."""
    return said.type == "error" and "net::ERR_NETWORK_CHANGED" not in said.text


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280) -> Iterator[Page]:
    """The page, which must not report an error: neither its own nor of its policy."""
    errors: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if is_error(said) else None)
    page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    failed: list[str] = []
    page.on("requestfailed", lambda asked: failed.append(f"{asked.url}: {asked.failure}"))
    page.goto(address)
    try:
        expect(page.locator("#connection-text")).to_have_text("live")
    except AssertionError as error:
        # It has been seen once, under load, and what the page had to say was not.
        error.add_note(f"the page has reported {errors}; requests that failed: {failed}")
        raise
    yield page
    page.close()
    assert [] == errors


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_of_a_stack_becomes_html(browser: Browser, width: int) -> None:
    """Hostile names of everything, in every view; nothing is wider than the window."""
    source = ShownStack(HOSTILE)
    source.add(3)
    source.trace_events(3)
    source.untold = [HOSTILE]
    source.add_keys(3)
    with served(source) as (address, _), opened(browser, address, width) as page:
        expect(page.locator("#stack")).to_have_text(HOSTILE)
        expect(page.locator(".nodes tbody tr")).to_have_count(2)
        page.locator(".nodes button.link").first.click()
        expect(page.locator("dialog h2")).to_have_text(HOSTILE)
        page.keyboard.press("Escape")
        for view, shown in (
            ("events/key-1", ".detail pre"),
            (f"traces/{trace_id(2)}", ".span"),
            ("logs", ".line:not([hidden])"),
            ("jobs", "tbody tr"),
            ("tables", "[role=option]"),
            ("state", "[role=option]"),
        ):
            page.evaluate("view => { location.hash = view }", view)
            expect(page.locator(f"main {shown}").first).to_be_visible()
            for span in page.locator(".span").all():
                span.click()
            assert width == page.evaluate("document.documentElement.scrollWidth"), view
        page.locator(".by-name > summary").click()
        page.get_by_label("Key", exact=True).fill(HOSTILE)
        page.get_by_role("button", name="Read").click()
        expect(page.locator(".keys code")).to_have_text(HOSTILE)
        for at in (0, 3, 4):
            page.locator("main [role=option]:not([hidden])").nth(at).click()
            expect(page.locator(".detail pre")).to_contain_text("<img src=x")
            assert width == page.evaluate("document.documentElement.scrollWidth")
            page.locator(".detail").press("Escape")
        page.evaluate("() => { location.hash = 'tables' }")
        page.locator("main [role=option]:not([hidden])").first.click()
        page.locator(".rows tbody tr").first.click()
        expect(page.locator(".whole pre").last).to_contain_text("<img src=x")
        assert width == page.evaluate("document.documentElement.scrollWidth")
        page.get_by_role("button", name="Invoke…").click()
        page.get_by_label("Method", exact=True).fill("orders")
        page.locator("dialog button[type=submit]").click()
        expect(page.locator("dialog pre")).to_contain_text("<img src=x")

        assert page.evaluate("window.hacked") is None
        assert 0 == page.locator("img[src=x], main script, dialog script").count()


@pytest.mark.parametrize("file", ["main.js", "list.js", "page.css"])
def test_a_file_that_does_not_come_does_not_leave_the_page_at_connecting(
    browser: Browser, file: str
) -> None:
    """Browsers drop requests when an address of the machine comes or goes: a container's, say."""
    dropped: list[str] = []

    def drop_once(route: Route) -> None:
        if dropped:
            route.continue_()
        else:
            dropped.append(route.request.url)
            route.abort("connectionaborted")

    with served(ShownStack()) as (address, _):
        page = browser.new_page()
        page.route(f"**/{file}", drop_once)
        page.goto(address)
        expect(page.locator("#connection-text")).to_have_text("live")
        expect(page.locator("body")).to_have_css("display", "grid")
        assert [f"{address}{file}"] == dropped
        page.close()


def test_an_answer_that_does_not_come_is_asked_for_again(browser: Browser) -> None:
    """For the same reason; what changes something is sent once."""
    source = ShownStack()
    source.add(1)
    sent: list[str] = []

    def drop_first(route: Route) -> None:
        sent.append(route.request.method)
        if sent.count(route.request.method) == 1:
            route.abort("connectionaborted")
        else:
            route.continue_()

    with served(source) as (address, _):
        page = browser.new_page()
        page.route("**/event?*", drop_first)
        page.route("**/redeliver", drop_first)
        page.goto(f"{address}#events")
        page.locator("[role=option]:not([hidden])").click()
        expect(page.locator(".detail .facts")).to_contain_text("shop-event-0")
        page.get_by_role("button", name="Redeliver").click()
        expect(page.locator("#said")).to_have_text("The server does not respond")
        assert (["GET", "GET", "POST"], []) == (sent, source.done)
        page.close()


def test_the_page_is_used_with_the_keyboard_alone(browser: Browser) -> None:
    """Arrows in the list, Enter to the event and Escape back; Escape does not kill."""
    source = ShownStack()
    source.add(200)
    with (
        served(source) as (address, feed),
        followed(feed),
        opened(browser, f"{address}#events", 390) as page,
    ):
        expect(page.locator(".found")).to_have_text("200 events")
        chosen = page.locator("[role=option][aria-selected=true]")
        page.locator("[role=listbox]").focus()
        for key in ("ArrowDown", "ArrowDown", "PageDown", "End", "Home", "ArrowDown"):
            page.keyboard.press(key)
        expect(chosen).to_have_attribute("aria-posinset", "2")
        expect(chosen).to_have_attribute("aria-setsize", "200")
        page.keyboard.press("Enter")
        expect(page.locator(".detail")).to_be_focused()
        expect(page.locator(".detail .facts")).to_contain_text("shop-event-198")
        page.keyboard.press("Escape")
        expect(page.locator("[role=listbox]")).to_be_focused()

        page.evaluate("() => { location.hash = 'overview' }")
        kill = page.get_by_role("button", name="kill shop", exact=True)
        kill.press("Enter")
        expect(page.locator("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(kill).to_be_focused()
        assert [] == source.done
        kill.press("Enter")
        page.get_by_role("button", name="Kill", exact=True).press("Enter")
        expect(page.locator(".state[data-state=exited]")).to_be_visible()
        assert [("kill", "shop")] == source.done


def test_a_trace_leads_to_its_event_and_the_event_to_its_trace(browser: Browser) -> None:
    """And a line of a log with its id to the trace. Its failed spans are marked."""
    source = ShownStack()
    source.add(5)
    source.trace_events(5)
    source.log(f"seen in {trace_id(2)}")
    with served(source) as (address, _), opened(browser, f"{address}#traces") as page:
        expect(page.locator(".found")).to_have_text("5 traces")
        page.get_by_label("failed only").check()
        expect(page.locator(".found")).to_have_text("1 trace of 5")
        page.locator("[role=option]:not([hidden])").click()
        expect(page.locator(".span[data-status=error]")).to_have_count(1)
        expect(page.locator(".detail h2")).to_have_text("shop publishes 2")

        page.locator(".detail").get_by_role("link", name="shop.made").click()
        expect(page.locator(".detail .facts")).to_contain_text("shop-event-2")
        page.get_by_role("link", name=trace_id(2)).click()
        expect(page.locator(".detail h2")).to_have_text("shop publishes 2")

        page.get_by_role("button", name="Find in logs").click()
        expect(page.locator(".line:not([hidden])")).to_have_count(1)
        page.locator(".line:not([hidden])").click()
        page.get_by_role("link", name="trace shop publishes 2").click()
        expect(page.locator(".detail h2")).to_have_text("shop publishes 2")


def test_the_spans_of_a_trace_are_read_with_the_keyboard_alone(browser: Browser) -> None:
    """Arrows go from span to span, Enter shows the attributes of one, Escape goes back."""
    source = ShownStack()
    source.add(200)
    source.trace_events(200)
    with served(source) as (address, feed), opened(browser, f"{address}#traces", 390) as page:
        expect(page.locator(".found")).to_have_text("200 traces")
        traces = page.get_by_role("listbox")
        traces.focus()
        for key in ("End", "Home", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        expect(page.locator(".detail")).to_be_focused()
        first, second = page.locator(".span").first, page.locator(".span").last
        expect(page.locator(".detail .facts").first).to_contain_text(trace_id(198))
        first.focus()
        page.keyboard.press("ArrowDown")
        expect(second).to_be_focused()
        page.keyboard.press("Enter")
        expect(second).to_have_attribute("aria-expanded", "true")
        expect(page.locator(".more:visible code")).to_have_text(["shop"])

        source.spans[198] = replace(source.spans[198], revision=900, took=9.0)
        feed.look()
        expect(page.locator(".detail .facts").first).to_contain_text("9.00 s")
        expect(second).to_be_focused()
        expect(second).to_have_attribute("aria-expanded", "true")
        page.keyboard.press("Escape")
        expect(traces).to_be_focused()


def test_a_bar_is_where_its_span_was_in_the_trace(browser: Browser) -> None:
    """The first half of the first one, and from the second quarter to the end."""
    source = ShownStack()
    source.add(1)
    source.trace_events(1)
    address_of_it = f"#traces/{trace_id(0)}"
    with served(source) as (address, _), opened(browser, f"{address}{address_of_it}") as page:
        expect(page.locator(".bar")).to_have_count(2)
        found = page.evaluate(
            "[...document.querySelectorAll('.bar')].map((e) => {"
            "  const bar = e.getBoundingClientRect();"
            "  const all = e.parentElement.getBoundingClientRect();"
            "  return [(bar.left - all.left) / all.width, bar.width / all.width]; })"
        )

    assert [[0.0, 0.5], [0.25, 0.75]] == [[round(each, 2) for each in bar] for bar in found]


def test_a_stack_that_records_no_spans_says_what_to_do(browser: Browser) -> None:
    """Where its traces would be."""
    source = ShownStack()
    source.untold = ["spans: the topology has no Receiver(): add one"]
    with served(source) as (address, feed), opened(browser, f"{address}#traces") as page:
        expect(page.locator(".untold")).to_have_text(f"Missing: {source.untold[0]}")
        source.untold = []
        feed.look()
        expect(page.locator(".untold")).to_be_empty()
        expect(page.locator(".side .empty")).to_have_text("No trace so far.")


def test_keys_are_listed_filtered_and_read_with_the_keyboard(browser: Browser) -> None:
    """An actor's key says so; a store that cannot be listed says why; more keys on demand."""
    source = ShownStack()
    source.add_keys(450)
    with served(source) as (address, _), opened(browser, f"{address}#state", 390) as page:
        expect(page.locator(".found")).to_have_text("200 of 452 keys")
        expect(page.locator(".missing")).to_have_text("the keys of shop: no reason")
        page.get_by_role("button", name="Show more keys").press("Enter")
        expect(page.locator(".found")).to_have_text("400 of 452 keys")
        page.get_by_label("Filter the keys").fill("shop||shop||")
        expect(page.locator(".found")).to_have_text("1 key")
        page.locator("[role=listbox]").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".detail")).to_be_focused()
        expect(page.locator(".detail .facts")).to_contain_text("actor")
        expect(page.locator(".detail pre")).to_contain_text('"value": "shop"')
        page.keyboard.press("Escape")
        expect(page.locator("[role=listbox]")).to_be_focused()
        page.get_by_label("Filter the keys").fill("nothing")
        expect(page.locator(".side .empty")).to_have_text("No key matches the filter.")


def test_rows_are_paged_filtered_and_read_with_the_keyboard(browser: Browser) -> None:
    """Enter shows a whole row, Escape leads back to it; a value that is cut says so."""
    source = ShownStack()
    with served(source) as (address, _), opened(browser, f"{address}#tables") as page:
        expect(page.locator(".missing")).to_have_text("database shop: no reason")
        page.locator("[role=listbox]").focus()
        page.keyboard.press("ArrowDown")
        rows = page.locator(".rows tbody tr")
        expect(rows.first).to_contain_text("shop 119")
        page.get_by_role("button", name="Next rows").press("Enter")
        expect(rows.first).to_contain_text("shop 69")
        page.get_by_label("Order of the key").select_option("ascending")
        expect(rows.first).to_contain_text("shop 0")
        page.get_by_label("Filter the rows").fill("shop 11")
        expect(rows).to_have_count(11)
        rows.first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".whole")).to_be_focused()
        expect(page.locator(".whole pre").last).to_have_text("shop 110")
        expect(page.locator(".whole")).to_contain_text("the whole value has 1,000,000")
        page.keyboard.press("Escape")
        expect(rows.nth(1)).to_be_focused()


def test_a_list_of_ten_thousand_events_has_the_rows_that_are_seen(browser: Browser) -> None:
    """It grows and is filtered while it is looked at; the end of the feed is said."""
    source = ShownStack()
    source.add(10_000)
    with served(source) as (address, feed), opened(browser, f"{address}#events") as page:
        expect(page.locator(".found")).to_have_text("10,000 events")
        page.locator("[role=listbox]").focus()
        page.keyboard.press("End")
        first = page.locator("[role=option][aria-selected=true]")
        expect(first).to_have_attribute("aria-posinset", "10000")
        assert 60 > page.locator("[role=option]").count()

        source.add(1)
        source.change(7, outcome="dropped")
        feed.look()
        outcomes = page.get_by_label("Outcome", exact=True)
        expect(outcomes.locator("option[value=dropped]")).to_have_text("dropped (1)")
        outcomes.select_option("dropped")
        expect(page.locator("[role=option]:not([hidden])")).to_have_count(1)

        feed.end("the stack has ended")
        expect(page.locator("#connection-text")).to_have_text("the stack has ended")
        expect(page.get_by_role("button", name="Publish…")).to_be_disabled()


def test_the_page_stands_still_while_it_is_paused(browser: Browser) -> None:
    """What comes meanwhile is shown afterwards; the counts beside the views go on."""
    source = ShownStack()
    source.add(5)
    with served(source) as (address, feed), opened(browser, f"{address}#events") as page:
        expect(page.locator(".found")).to_have_text("5 events")
        page.get_by_role("button", name="Pause").click()
        source.add(3)
        feed.look()
        expect(page.locator("#count-events")).to_have_text("8")
        expect(page.locator(".found")).to_have_text("5 events")

        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".found")).to_have_text("8 events")


def test_the_errors_of_a_node_are_counted_and_lead_to_its_log(browser: Browser) -> None:
    """Other nodes, and lines that report none, are not in the list that opens."""
    source = ShownStack()
    source.add(5)
    source.lines += [
        LogLine(6, 1_800_000_001.0, "shop-daprd", "error", "no route"),
        LogLine(7, 1_800_000_001.0, "shop", "fatal", "no memory"),
        LogLine(8, 1_800_000_001.0, "shop", "error", "no disk"),
    ]
    with served(source) as (address, _), opened(browser, address) as page:
        page.get_by_role("button", name="2 errors in the log of shop", exact=True).click()

        expect(page.locator(".line:not([hidden]) .text")).to_have_text(["no memory", "no disk"])
        expect(page.get_by_label("Level", exact=True)).to_have_value("error")


def test_an_event_and_the_filtered_log_are_saved_as_files(browser: Browser) -> None:
    """The browser downloads them; the page's policy allows it."""
    source = ShownStack()
    source.add(5)
    source.log("something else")
    with served(source) as (address, _), opened(browser, f"{address}#events/key-1") as page:
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        assert "event-shop-event-1.json" == saved.value.suggested_filename
        assert "shop-event-1" == json.loads(saved.value.path().read_text())["row"]["id"]

        page.evaluate("() => { location.hash = 'logs/handled' }")
        expect(page.locator(".found")).to_have_text("5 lines of 6")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        lines = saved.value.path().read_text().splitlines()
        assert "shop.log" == saved.value.suggested_filename
        assert [f"shop handled shop-event-{n}" for n in range(5)] == [
            each.split(" ", 2)[2] for each in lines
        ]


def test_the_data_of_an_event_is_copied(browser: Browser) -> None:
    """To the clipboard, once the browser allows it; otherwise, the page says that it does not."""
    source = ShownStack()
    source.add(1)
    with served(source) as (address, _), opened(browser, f"{address}#events/key-0") as page:
        page.evaluate(
            "() => { navigator.clipboard.writeText = async (text) => { window.copied = text } }"
        )
        page.get_by_role("button", name="Copy data").click()
        expect(page.locator("#said")).to_have_text("Copied.")
        assert {"text": "shop"} == json.loads(page.evaluate("window.copied"))

        page.evaluate(
            "() => { navigator.clipboard.writeText = async () => { throw new Error('no leave') } }"
        )
        page.get_by_role("button", name="Copy data").click()
        expect(page.locator("#said")).to_have_text("The browser does not allow copying: no leave")


def test_the_topics_show_their_subscribers_and_how_far_they_are_behind(browser: Browser) -> None:
    """The name of a topic leads to its events."""
    source = ShownStack()
    source.add(5)
    with served(source) as (address, _), opened(browser, address) as page:
        row = page.locator(".topics tbody tr")
        expect(row.first.locator("td")).to_have_text(
            ["shop", "pubsub", "5", "2", "shop", "/orders", "", "3"]
        )
        row.get_by_role("button", name="shop", exact=True).click()
        expect(page.get_by_label("Topic", exact=True)).to_have_value("shop")
        expect(page.locator(".found")).to_have_text("5 events")


def test_an_event_is_published_with_a_type_and_a_key(browser: Browser) -> None:
    """Both may be left empty."""
    source = ShownStack()
    with served(source) as (address, _), opened(browser, address) as page:
        page.get_by_role("button", name="Publish…").click()
        page.get_by_label("Topic", exact=True).fill("orders")
        page.locator("dialog button[type=submit]").click()
        expect(page.locator("dialog pre")).to_contain_text("Published to orders")
        page.get_by_label("Event type").fill("order.made")
        page.get_by_label("Key, on Kafka").fill("42")
        page.locator("dialog button[type=submit]").click()
        expect(page.locator("dialog pre")).to_contain_text("Published to orders")

        published: tuple[Any, ...] = ("publish", "orders", {}, "shop", "pubsub")
        poll(lambda: Observation(len(source.done) == 2, f"{source.done}"), Deadline(10))
        assert [(*published, None, None), (*published, "order.made", "42")] == source.done
