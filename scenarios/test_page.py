"""The page in a real browser: with the mouse, by keyboard, on a phone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import APIResponse, Page, Route, async_playwright, expect

from harness import AsyncWorld
from scenarios.signing import PURPOSE, token
from scenarios.test_task_events import changes

pytestmark = pytest.mark.any_runtime

ARTEFACTS = Path(__file__).parent.parent / "artefacts"
SOON = 20_000
"""Milliseconds that the page may take to show something."""


@pytest_asyncio.fixture
async def page(dapr: AsyncWorld) -> AsyncIterator[Page]:
    """A user's page, open and live; its scripts must not cause errors."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed; tools/browser installs Debian's")
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = await browser.new_context(viewport={"width": 1200, "height": 800})
        opened = await context.new_page()
        opened.set_default_timeout(SOON)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        await opened.goto(dapr.url("frontend"))
        await sign_in(opened, dapr.name("user"))
        yield opened
        await browser.close()
    assert [] == errors


async def sign_in(page: Page, name: str) -> None:
    """Sign in under a name, and wait until the page is live."""
    await page.locator("#sign-in").get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#live")).to_have_text("live", timeout=SOON)


async def add(page: Page, title: str, **fields: str) -> None:
    """Add a task with the form."""
    form = page.locator("#new-task")
    await form.get_by_label("Title").fill(title)
    for label, value in fields.items():
        await form.get_by_label(label).fill(value)
    await form.get_by_role("button", name="Add").click()


async def keep(page: Page, name: str) -> None:
    """Save a screenshot of the page."""
    ARTEFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


async def test_a_daily_task_is_done_and_tomorrows_appears(page: Page) -> None:
    """Added, notified, completed; the next one appears without a reload."""
    await page.locator("#new-task").get_by_label("Repeats").select_option("daily")
    await add(page, "Water the plants", Due="2030-01-31T09:00")
    item = page.locator("#tasks li")
    await expect(item).to_contain_text("Jan 31, 2030")
    await expect(page.locator("#news li")).to_have_text(["Task created: Water the plants"])

    await page.get_by_role("button", name="Done: Water the plants").click()

    await expect(item).to_contain_text("Feb 1, 2030", timeout=SOON)
    created, completed = "Task created: Water the plants", "Task completed: Water the plants"
    await expect(page.locator("#news li")).to_have_text([created, completed, created])
    await page.get_by_label("done", exact=True).check()
    await expect(page.locator("#tasks li.done")).to_have_count(1)
    await keep(page, "page")


async def test_a_reminder_arrives_live(page: Page) -> None:
    """Due in two seconds: the page shows it without a reload."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    zone = await page.evaluate("new Date().getTimezoneOffset()")
    local = soon - timedelta(minutes=zone)

    await add(page, "Call Ada", Remind=f"{local:%Y-%m-%dT%H:%M:%S}")

    await expect(page.locator("#news")).to_contain_text("Reminder: Call Ada", timeout=SOON)


async def test_edit_find_and_delete(page: Page) -> None:
    """Every button of a task works."""
    await add(page, "Buy milk")
    await add(page, "Read a book")
    await expect(page.locator("#tasks li")).to_have_count(2)

    await page.get_by_role("button", name="Edit: Buy milk").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Title").fill("Buy oat milk")
    await dialog.get_by_label("Description").fill("two of them")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator("#tasks")).to_contain_text("two of them")
    await page.get_by_label("Find").fill("oat")
    await expect(page.locator("#tasks li")).to_have_count(1)
    await page.get_by_role("button", name="Delete: Buy oat milk").click()

    await expect(page.locator("#nothing")).to_be_visible()
    await page.get_by_label("Find").fill("")
    await expect(page.locator("#tasks li")).to_have_count(1)


async def test_somebody_elses_change_is_not_overwritten(page: Page, dapr: AsyncWorld) -> None:
    """The edit is rejected with the reason, and the other user's change is shown."""
    await add(page, "Ours")
    await page.get_by_role("button", name="Edit: Ours").click()
    user = dapr.name("user")
    (task,) = (await dapr.app("backend-service").get(f"/api/{user}/tasks")).json()
    path = f"/api/{user}/tasks/{task['id']}"
    (await dapr.app("backend-service").put(path, json={"title": "Theirs"})).raise_for_status()

    await page.get_by_role("dialog").get_by_label("Title").fill("Mine")
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()

    await expect(page.get_by_role("alert")).to_contain_text("version 2")
    await expect(page.locator("#tasks .title")).to_have_text("Theirs")


async def test_by_keyboard_alone(page: Page) -> None:
    """From the title on with Tab, Enter and letters; the focus returns for the next task."""
    await page.locator("#new-task").get_by_label("Title").focus()
    await page.keyboard.type("No mouse")
    await page.keyboard.press("Enter")
    await expect(page.locator("#tasks li")).to_have_count(1)
    await expect(page.locator("#new-task").get_by_label("Title")).to_be_focused()

    await page.get_by_label("Find").focus()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Done: No mouse")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.locator("#nothing")).to_be_visible()


async def test_a_dialogue_acts_and_is_kept(page: Page) -> None:
    """The assistant adds a task, which appears; both messages are there after a reload."""
    await say(page, "add buy milk tomorrow")
    await expect(page.locator("#tasks .title")).to_have_text("Buy milk", timeout=SOON)
    await expect(page.locator("#talk li.assistant")).to_contain_text("task added")

    await page.reload()

    rows = page.locator("#talk li")
    await expect(rows).to_have_count(2, timeout=SOON)
    await expect(rows.first).to_have_text("add buy milk tomorrow")
    await expect(rows.last).to_contain_text("Added “Buy milk”")


async def test_the_assistant_asks_before_it_deletes_and_is_answered_by_a_button(
    page: Page, dapr: AsyncWorld
) -> None:
    """Keep leaves the task; yes deletes it."""
    await add(page, "Buy milk")
    await say(page, "delete buy milk")
    await keep(page, "assistant")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator("#talk li").last).to_contain_text("kept", timeout=SOON)
    await expect(page.locator("#tasks li")).to_have_count(1)

    await page.get_by_label("Say").fill("delete buy milk")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Yes, delete").click()

    await expect(page.locator("#nothing")).to_be_visible(timeout=SOON)
    assert [] == (await dapr.app("backend-service").get(f"/api/{dapr.name('user')}/tasks")).json()


async def test_a_change_that_a_language_model_wants_is_allowed_by_a_button(
    page: Page, dapr: AsyncWorld
) -> None:
    """Its question is in the conversation that the page shows; the rules ask none such."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = (await backend.post(f"/api/{user}/tasks", json={"title": "Pay the rent"})).json()
    asks = {"about": "change", "title": task["title"], "task_id": task["id"]}
    asks |= {"tool": "complete_task", "arguments": "{}"}
    question = {"role": "assistant", "text": "Shall I complete “Pay the rent”?", "id": "question"}
    path = f"/api/{user}/conversations/page/messages"
    (await backend.post(path, json={**question, "asks": asks})).raise_for_status()
    await page.reload()

    await page.get_by_role("button", name="Yes, change it").click()

    await expect(page.locator("#talk li").last).to_contain_text("Completed", timeout=SOON)
    story = changes("created", "completed")
    await dapr.ledger.published(*story, topic="task-events", data={"user_id": user})


async def test_another_window_shows_the_dialogue_as_it_comes(page: Page) -> None:
    """Without a reload, question and answer."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#live")).to_have_text("live", timeout=SOON)

    await say(page, "what do I have to do?")

    await expect(other.locator("#talk li.user")).to_have_count(1, timeout=SOON)
    await expect(other.locator("#talk li.assistant")).to_contain_text("no open", timeout=SOON)


async def test_a_turn_that_was_not_received_is_put_back(page: Page) -> None:
    """What was typed is not lost, and the reason is shown."""
    await page.route("**/chat", lambda route: route.abort())
    await page.get_by_label("Say").fill("add buy milk")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("alert")).to_be_visible(timeout=SOON)
    await expect(page.get_by_label("Say")).to_have_value("add buy milk")
    await expect(page.locator("#talk li")).to_have_count(0)


async def test_on_a_phone_nothing_is_cut_off(page: Page) -> None:
    """Nothing is wider than the screen, even with a title without spaces."""
    await page.set_viewport_size({"width": 360, "height": 740})
    await add(page, "x" * 200)
    await expect(page.locator("#tasks li")).to_have_count(1)

    wide = await page.evaluate("document.documentElement.scrollWidth")

    await keep(page, "phone")
    assert wide <= 360


async def test_what_is_typed_is_text(page: Page) -> None:
    """Markup in a title is shown, not run."""
    await add(page, "<img src=x onerror=alert(1)>")

    await expect(page.locator("#tasks .title")).to_have_text("<img src=x onerror=alert(1)>")
    assert 0 == await page.locator("#tasks img").count()


async def test_a_refusal_is_shown(page: Page) -> None:
    """A task of a series without a due time: the service's own message, and the form is kept."""
    await page.locator("#new-task").get_by_label("Repeats").select_option("daily")
    await add(page, "Without a start")

    await expect(page.get_by_role("alert")).to_contain_text("due_at")
    title = page.locator("#new-task").get_by_label("Title")
    await expect(title).to_have_value("Without a start")


async def test_the_focus_stays_when_news_arrive(page: Page, dapr: AsyncWorld) -> None:
    """A notification redraws the list; a button that had the keyboard focus keeps it."""
    await add(page, "Hold on")
    button = page.get_by_role("button", name="Delete: Hold on")
    await button.focus()

    path = f"/api/{dapr.name('user')}/tasks"
    (await dapr.app("backend-service").post(path, json={"title": "News"})).raise_for_status()

    await expect(page.locator("#tasks li")).to_have_count(2)
    await expect(button).to_be_focused()


async def test_a_reminder_comes_by_mail_too(page: Page, dapr: AsyncWorld) -> None:
    """It is set on the page, survives a reload, and the mail is sent."""
    address = f"{dapr.name('user')}@example.org"
    await page.get_by_label("Reminders by mail to").fill(address)
    await page.get_by_label("all by webhook").check()
    await page.locator("#contact").get_by_role("button", name="Save").click()
    await expect(page.locator("#saved")).to_have_text("saved")

    await page.reload()
    await expect(page.get_by_label("Reminders by mail to")).to_have_value(address)
    await expect(page.get_by_label("all by webhook")).to_be_checked()
    now = await page.evaluate("new Date(Date.now() - new Date().getTimezoneOffset() * 60000)")
    await add(page, "Call Ada", Remind=f"{now:%Y-%m-%dT%H:%M:%S}")

    receiver = dapr.inbox("receiver")
    mail = await receiver.next(method="MAIL", path=address)
    hook = await receiver.next(path=f"/webhooks/{dapr.name('user')}")
    assert "Reminder: Call Ada" == mail.data["subject"]
    assert "Task created: Call Ada" == hook.data["message"]


async def test_an_older_list_does_not_take_a_newer_ones_place(page: Page) -> None:
    """The response to the first request comes last: tasks added meanwhile stay."""
    first = await held(page, "**/tasks")
    await page.reload()
    await first.asked()
    await add(page, "Newer")
    await expect(page.locator("#tasks li")).to_have_count(1, timeout=SOON)
    # Checked at once: when the notification comes, the list is read again and is correct again.
    await page.locator("#tasks").evaluate(
        "list => new MutationObserver(() => {"
        " if (!list.children.length) list.dataset.emptied = true; })"
        ".observe(list, { childList: true })"
    )

    await first.release()
    await say(page, "And then?")
    await expect(page.locator("#tasks li")).to_have_count(1)
    assert await page.locator("#tasks").get_attribute("data-emptied") is None


async def test_an_older_conversation_does_not_take_a_newer_ones_place(page: Page) -> None:
    """Messages sent before the first response arrived stay on the page."""
    first = await held(page, "**/conversations/page")
    await page.reload()
    await first.asked()
    await say(page, "Hello?")

    await first.release()
    await add(page, "Later")
    await expect(page.locator("#tasks li")).to_have_count(1, timeout=SOON)
    await expect(page.locator("#talk li").first).to_have_text("Hello?")


async def test_what_is_told_live_stays_when_an_older_list_of_news_comes(page: Page) -> None:
    """The list was read before the notification was created."""
    first = await held(page, "**/notifications")
    await page.reload()
    await first.asked()
    await add(page, "Told live")
    news = page.locator("#news li")
    await expect(news).to_have_text(["Task created: Told live"], timeout=SOON)

    await first.release()
    await say(page, "And then?")
    await expect(news).to_have_text(["Task created: Told live"])


async def test_nothing_can_be_typed_before_it_is_known_what_is_saved(page: Page) -> None:
    """A late response would replace the user's input, and be saved."""
    script, first = await held(page, "**/page.js"), await held(page, "**/contact")
    await page.reload(wait_until="commit")
    await script.asked()
    address = page.get_by_label("Reminders by mail to")
    await expect(address).to_be_disabled()

    await script.release()
    await first.asked()
    await expect(address).to_be_disabled()

    await first.release()
    await expect(address).to_be_enabled(timeout=SOON)


async def test_nothing_can_be_typed_before_it_is_known_what_the_next_user_saved(
    page: Page, dapr: AsyncWorld
) -> None:
    """The form is enabled for one user when the page switches to another."""
    address = page.get_by_label("Reminders by mail to")
    await expect(address).to_be_enabled(timeout=SOON)
    first = await held(page, "**/contact")
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, dapr.name("other"))
    await first.asked()
    await expect(address).to_be_disabled()

    await first.release()
    await expect(address).to_be_enabled(timeout=SOON)


async def test_one_signs_in_and_out(page: Page, dapr: AsyncWorld) -> None:
    """The name is shown; afterwards nothing of the user is left on the page."""
    user = dapr.name("user")
    await add(page, "Only mine")
    await say(page, "what do I have to do?")
    await expect(page.locator("#name")).to_have_text(user)

    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await expect(page.get_by_role("alert")).to_have_text("You have signed out.")
    await expect(page.locator("#app")).to_be_hidden()
    assert "Only mine" not in await page.content()
    await keep(page, "sign-in")
    await sign_in(page, dapr.name("other"))
    await expect(page.locator("#nothing")).to_be_visible()
    await expect(page.locator("#name")).to_have_text(dapr.name("other"))


async def test_a_session_that_has_ended_leads_to_sign_in(page: Page, dapr: AsyncWorld) -> None:
    """Noticed without a click: the stream ends; who signs in again sees the same tasks."""
    await add(page, "Still there")
    await expect(page.locator("#tasks li")).to_have_count(1)
    key, user, url = dapr.token(PURPOSE), dapr.name("user"), dapr.url("frontend")
    short = token(key, user, exp=datetime.now(UTC) + timedelta(seconds=1))
    await page.context.add_cookies([{"name": "todo-session", "value": short, "url": url}])
    await page.reload()

    await expect(page.get_by_role("alert")).to_contain_text("session has ended", timeout=SOON)
    await expect(page.locator("#app")).to_be_hidden()
    await expect(page.locator("#sign-in").get_by_label("Name")).to_have_value(user)

    await sign_in(page, user)
    await expect(page.locator("#tasks .title")).to_have_text("Still there")


async def test_another_window_signs_out_too(page: Page) -> None:
    """All windows of a browser have the same session."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(other.locator("#live")).to_have_text("live", timeout=SOON)

    await page.get_by_role("button", name="Sign out").click()

    await expect(other.locator("#sign-in")).to_be_visible(timeout=SOON)


async def test_a_name_that_nobody_can_have_is_refused_on_the_page(page: Page) -> None:
    """With the reason; the page stays where it is."""
    await page.get_by_role("button", name="Sign out").click()
    await page.locator("#sign-in").get_by_label("Name").fill("a/b")
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("alert")).to_contain_text("user: String should match pattern")
    await expect(page.locator("#app")).to_be_hidden()


class Held:
    """Holds the first request of a kind; its response is fetched at once and delivered later."""

    def __init__(self) -> None:
        self._route: Route | None = None
        self._old: APIResponse | None = None
        self._fetched = asyncio.Event()

    async def take(self, route: Route) -> None:
        """Forward all requests but the first as usual."""
        if self._route is not None or route.request.method != "GET":
            await route.continue_()
            return
        self._route = route
        self._old = await route.fetch()
        self._fetched.set()

    async def asked(self) -> None:
        """Return when the service has responded to it."""
        await asyncio.wait_for(self._fetched.wait(), SOON / 1000)

    async def release(self) -> None:
        """Deliver the response to the page."""
        assert self._route is not None
        await self._route.fulfill(response=self._old)


async def held(page: Page, pattern: str) -> Held:
    """Hold the first request that matches the pattern."""
    first = Held()
    await page.route(pattern, first.take)
    return first


async def say(page: Page, words: str) -> None:
    """Send a message, and wait until the page shows it: a round trip later."""
    await page.get_by_label("Say").fill(words)
    await page.get_by_role("button", name="Send").click()
    said = page.locator("#talk li.user").filter(has_text=words)
    await expect(said).to_have_count(1, timeout=SOON)
    await expect(page.locator("#working")).to_be_hidden(timeout=SOON)
