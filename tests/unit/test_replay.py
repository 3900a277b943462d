"""Archives of failed tests: what is read, fitted, compared; without a stack."""

from __future__ import annotations

import json
import random
import zipfile
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from harness.bundle.model import Bundle, Cause, Declared, EventStory, NodeState, Step
from harness.bundle.page import archive_of
from harness.bundle.recording import Given, Origin, Recording
from harness.core.errors import ConfigError
from harness.replay import archive as archives
from harness.replay.archive import read_archive, read_bundle
from harness.replay.diff import difference
from harness.replay.differences import left_out, surroundings
from harness.replay.outcome import outcome_of, took_the_same_path
from harness.replay.pairing import pairs
from harness.replay.playing import Done
from harness.replay.seeds import seeded
from harness.replay.substitution import Substitution

SECOND = 10**9
BEGAN = 1_700_000_000 * SECOND
"""2023-11-14T22:13:20Z."""

POST = Given(BEGAN, 0.1, "call", "shop", "POST", {"path": "/v1.0/publish/p/t", "headers": {}},
             {"status": 204})  # fmt: skip
RECORDING = Recording(
    Origin("topology:mini", nodes={"shop": "App"}, sources={"shop": "a1"}, commit="c0ffee"),
    "aaaa1111", BEGAN, BEGAN + SECOND, inputs=[POST],
)  # fmt: skip


def attempt(status: int = 500, outcome: str = "retry") -> dict[str, Any]:
    """A delivery to the shop."""
    return {"app": "shop", "status": status, "outcome": outcome, "failed": "",
            "dead_letter": False, "time": 6}  # fmt: skip


def story(title: str, data: str = "{}", *, topic: str = "orders", **facts: Any) -> EventStory:
    """An event of a test that was stored, and delivered as the facts say."""
    usual = {
        "id": title, "type": "t", "topics": [topic], "expires": "", "is_event": True,
        "dead_letters": [], "published": [], "stored": [5], "attempts": [attempt()],
    }  # fmt: skip
    return EventStory(title, "not accepted", [(5, "stored")], data, True, {**usual, **facts})


OLD = Bundle(
    "test_a.py::test_x", "call", "E   no", "no", BEGAN, BEGAN + SECOND, world="aaaa1111",
    versions={"Dapr": "1.18.2"}, nodes=[NodeState("shop", "App")],
    events=[story("e1", '{"id":"aaaa1111"}')],
    causes=[Cause("app_rejects_event", "shop answers 500", event="e1")],
    recording=RECORDING,
)  # fmt: skip
NEW = replace(
    OLD, world="bbbb2222", events=[story("e9", '{"id":"bbbb2222"}')],
    causes=[Cause("app_rejects_event", "shop answers 500 again", event="e9")],
)  # fmt: skip


def written(folder: Path, of: Bundle = OLD, /, **changed: bytes | None) -> Path:
    """An archive, with other contents of ``bundle`` and ``replay``; without those that are None."""
    file = folder / "a.zip"
    with zipfile.ZipFile(BytesIO(archive_of(of))) as made:
        found = {name: made.read(name) for name in made.namelist()}
    for name, content in changed.items():
        found.pop(f"{name}.json")
        if content is not None:
            found[f"{name}.json"] = content
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return file


def edited(part: str, **changed: Any) -> bytes:
    """The JSON of a part of the archive, with other values."""
    value = OLD.as_json() if part == "bundle" else asdict(RECORDING)
    return json.dumps({**value, **changed}).encode()


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every value, those that are nested too."""
    found = read_archive(written(tmp_path))

    assert json.dumps(OLD.as_json()) == json.dumps(found.bundle.as_json())
    assert json.dumps(asdict(RECORDING)) == json.dumps(asdict(found.recording))


def test_an_archive_without_a_recording_can_be_compared_and_not_replayed(tmp_path: Path) -> None:
    """Such as one whose recording could not be read."""
    file = written(tmp_path, replace(OLD, recording=None, missing=["the recording: no"]))

    assert OLD.test == read_bundle(file).test
    with pytest.raises(ConfigError, match=r"cannot be replayed.*\n.*the recording: no"):
        read_archive(file)


BROKEN: dict[str, tuple[dict[str, bytes | None], str]] = {
    "no bundle": ({"bundle": None}, "has no bundle.json"),
    "not JSON": ({"bundle": b"{"}, "bundle.json is not JSON"),
    "not UTF-8": ({"replay": b"\xff\xfe\xfa"}, "replay.json is not JSON"),
    "no object": ({"bundle": b"[]"}, "bundle.json is not a JSON object"),
    "nested too deeply": ({"bundle": b"[" * 100_000}, "bundle.json is not JSON"),
    "NaN": ({"bundle": b'{"schema": NaN}'}, "NaN is not allowed"),
    "another version": ({"bundle": edited("bundle", schema=7)}, "bundle.json has the format 7"),
    "another format": ({"replay": edited("replay", format=9)}, "replay.json has the format 9"),
    "a field of another type": ({"bundle": edited("bundle", began="x")}, "bundle.json.began"),
    "a bool as a number": ({"replay": edited("replay", began=True)}, "replay.json.began"),
    "an unknown field": ({"replay": edited("replay", more=1)}, "is not what an archive"),
    "a list in place of an object": ({"bundle": edited("bundle", logs=[])}, "bundle.json.logs"),
    "an unknown kind of input": (
        {"replay": edited("replay", inputs=[{**asdict(POST), "kind": "run"}])},
        "one of call, request",
    ),
    "an address in place of a path": (
        {"replay": edited("replay", inputs=[{**asdict(POST), "given": {"path": "http://x/"}}])},
        "path is 'http://x/'",
    ),
    "an address without a scheme": (
        {"replay": edited("replay", inputs=[{**asdict(POST), "given": {"path": "//x/"}}])},
        "path is '//x/'",
    ),
    "a test of years": ({"replay": edited("replay", ended=BEGAN * 2)}, "up to a day"),
    "a test that ended before it began": ({"replay": edited("replay", ended=0)}, "up to a day"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_archive_that_was_changed_is_refused_with_the_place(case: str, tmp_path: Path) -> None:
    """A configuration error, which the command line reports with exit code 2."""
    changed, message = BROKEN[case]

    with pytest.raises(ConfigError) as caught:
        read_archive(written(tmp_path, **changed))

    assert message in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    """Not only its type."""
    value = OLD.as_json()
    del value["summary"]

    with pytest.raises(ConfigError, match="a field 'summary'"):
        read_archive(written(tmp_path, bundle=json.dumps(value).encode()))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 50])
def test_what_is_not_an_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty file, a text, a truncated archive."""
    file = tmp_path / "a.zip"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match="cannot be read as a ZIP archive"):
        read_archive(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """With the error of the operating system."""
    for file in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read as a ZIP archive"):
            read_archive(file)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """Bytes in the middle have changed."""
    file = written(tmp_path)
    content = bytearray(file.read_bytes())
    content[60:90] = b"\0" * 30
    file.write_bytes(content)

    with pytest.raises(ConfigError, match="cannot be read as a ZIP archive"):
        read_archive(file)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "..\\evil", "bundle.json"])
def test_an_archive_with_names_outside_of_it_or_twice_is_refused(name: str, tmp_path: Path) -> None:
    """Although none of its files is unpacked to the disk."""
    file = written(tmp_path)
    with zipfile.ZipFile(file, "a") as archive:
        if name == "bundle.json":
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, b"{}")
        else:
            archive.writestr(name, b"")

    with pytest.raises(ConfigError, match="has a file named"):
        read_archive(file)


def test_a_file_that_is_much_larger_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading stops at the limit, whatever the header says."""
    monkeypatch.setattr(archives, "LARGEST_FILE", 100_000)

    with pytest.raises(ConfigError, match="more than 100000 bytes unpacked"):
        read_archive(written(tmp_path, bundle=b" " * 10_000_000))


def test_a_large_archive_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its size."""
    monkeypatch.setattr(archives, "LARGEST", 100)

    with pytest.raises(ConfigError, match="expected: up to 100"):
        read_archive(written(tmp_path))


def test_an_archive_with_too_many_files_or_inputs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes memory."""
    monkeypatch.setattr(archives, "MOST", 3)
    many = replace(OLD, recording=replace(RECORDING, inputs=[POST] * 4))
    with pytest.raises(ConfigError, match="has 4 inputs"):
        read_archive(written(tmp_path, many))

    logs = replace(OLD, logs={"a": "", "b": "", "c": ""})
    with pytest.raises(ConfigError, match="has 5 files"):
        read_archive(written(tmp_path, logs))


# What is sent again


def fitted(value: Any, *, shift: int = 3600 * SECOND, **texts: str) -> Any:
    """A value on another stack, an hour later."""
    return Substitution(texts, BEGAN, shift).of(value)


def test_names_tokens_and_addresses_are_those_of_the_new_stack() -> None:
    """Wherever they are in the value, the longest first."""
    found = Substitution({"aaaa": "x", "aaaa1111": "bbbb2222", "a:1": "a:2"}, BEGAN, 0).of(
        {"path": "/x-aaaa1111", "list": ["aaaa1111 a:1", 7, None]}
    )

    assert {"path": "/x-bbbb2222", "list": ["bbbb2222 a:2", 7, None]} == found


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("2023-11-14T22:14:00Z", "2023-11-14T23:14:00Z"),
        ("2023-11-14T22:14:00.123456789Z", "2023-11-14T23:14:00.123456789Z"),
        ("at 2023-11-14T23:59:59+02:00!", "at 2023-11-15T00:59:59+02:00!"),
        ("2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
        ("2023-11-31T00:00:00Z", "2023-11-31T00:00:00Z"),
        ("2023-11-14T22:14:00", "2023-11-14T22:14:00"),
    ],
)
def test_times_near_the_recorded_test_are_shifted_and_no_others(text: str, later: str) -> None:
    """With the fraction and the zone as they were; what is no time stays."""
    assert later == fitted(text)


def test_an_id_that_was_answered_is_replaced_where_it_is_sent_back() -> None:
    """In paths and bodies, once the new one is known."""
    fit = Substitution({}, BEGAN, 0)
    fit.learn({"body": '{"item": {"id": "old-id-1", "n": 1}}'},
              {"body": '{"item": {"id": "new-id-2", "n": 2}}'})  # fmt: skip

    assert "/items/new-id-2" == fit.of("/items/old-id-1")


def test_an_etag_that_was_answered_is_replaced_in_headers_and_bodies_alone() -> None:
    """However short it is: a number elsewhere is no etag."""
    fit = Substitution({}, BEGAN, 0)
    fit.learn({"etag": "1"}, {"etag": "7"})

    found = fit.of({"headers": {"if-match": "1"}, "body": '[{"etag": "1", "value": "1"}]'})
    assert {"headers": {"if-match": "7"}, "body": '[{"etag": "7", "value": "1"}]'} == found


def test_answers_that_are_no_json_or_short_teach_nothing() -> None:
    """A text of a few characters could be anything."""
    fit = Substitution({}, BEGAN, 0)
    fit.learn({"body": '{"a": "yes"}', "etag": ""}, {"body": '{"a": "no"}', "etag": ""})
    fit.learn({"body": "<html>"}, {"body": "{"})

    assert "yes" == fit.of("yes")


# What is compared


def test_events_correspond_by_data_and_then_by_order() -> None:
    """Ids, times and the name of the world may differ."""
    old = [story("a", '{"n":1,"w":"aaaa1111"}'), story("b", '{"n":2}'), story("c", topic="x")]
    new = [story("B", '{"n":2}'), story("A", '{"n":1,"w":"bbbb2222"}'), story("D", topic="y")]

    found = pairs(old, new, ("aaaa1111", "bbbb2222"))

    titles = [(one and one.title, other and other.title) for one, other in found]
    assert [("a", "A"), ("b", "B"), ("c", None), (None, "D")] == titles


def test_the_same_cause_for_the_corresponding_event_is_a_reproduction() -> None:
    """Although its id is another one."""
    found = outcome_of(OLD, NEW)

    assert (True, "cause") == (found.reproduced, found.basis)
    assert ("shop answers 500", "shop answers 500 again") == (found.recorded, found.now)


@pytest.mark.parametrize(
    "cause",
    [
        Cause("event_expired", "another rule", event="e9"),
        Cause("app_rejects_event", "another event", event="e8"),
    ],
)
def test_another_cause_is_no_reproduction(cause: Cause) -> None:
    """Another rule, or the same one for an event that corresponds to no event of the recording."""
    other = story("e8", topic="bills")
    found = outcome_of(OLD, replace(NEW, events=[*NEW.events, other], causes=[cause]))

    assert (False, cause.sentence) == (found.reproduced, found.now)


def test_without_any_cause_nothing_is_reproduced() -> None:
    """The test would pass."""
    assert not outcome_of(OLD, replace(NEW, causes=[])).reproduced


def test_a_later_cause_counts_too() -> None:
    """Something else may come first in a replay."""
    first = Cause("held_up", "a group is held up")
    assert outcome_of(OLD, replace(NEW, causes=[first, *NEW.causes])).reproduced


def test_a_failure_without_a_cause_is_compared_by_all_that_was_answered() -> None:
    """To deliveries and to the test itself; one difference is enough."""
    step = Step(1, "delivery", "shop", "POST /job/aaaa1111 -> 500", own=True)
    old = replace(OLD, causes=[], timeline=[step])
    same = replace(NEW, causes=[], timeline=[replace(step, what="POST /job/bbbb2222 -> 500")])
    other = replace(same, timeline=[replace(step, what="POST /job/bbbb2222 -> 200")])
    refused = replace(same, recording=replace(RECORDING, inputs=[replace(POST, answer={})]))
    delivered = replace(same, events=[story("e9", NEW.events[0].data, attempts=[attempt(200)])])

    assert (True, "paths") == (outcome_of(old, same).reproduced, outcome_of(old, same).basis)
    assert [False] * 3 == [outcome_of(old, e).reproduced for e in (other, refused, delivered)]
    nothing = replace(OLD, causes=[], events=[], recording=None)
    assert not outcome_of(nothing, nothing).reproduced


def test_an_event_has_taken_the_recorded_path_if_all_its_attempts_were_the_same() -> None:
    """A first error alone may still become a success."""
    twice = replace(OLD, events=[story("e1", OLD.events[0].data, attempts=[attempt(), attempt()])])

    assert took_the_same_path(OLD, NEW)
    assert not took_the_same_path(twice, NEW)


def test_two_equal_runs_do_not_differ() -> None:
    """Apart from ids."""
    found = difference(OLD, NEW)

    assert found.is_empty
    assert ["events with the same path: 1", "the failure: the same: shop answers 500 again"] == [
        *found.lines()
    ]


def test_the_difference_has_missing_added_changed_and_reordered_events() -> None:
    """Each with its title and what became of it."""
    a, b, c = (story(name, f'{{"n":"{name}"}}') for name in "abc")
    d = story("d", topic="bills")
    old = replace(OLD, events=[a, b, c])
    new = replace(
        OLD, events=[b, replace(a, facts={**a.facts, "attempts": [attempt(200, "success")]}), d]
    )

    found = difference(old, new)

    assert (["c: not accepted"], ["d: not accepted"]) == (found.missing, found.added)
    assert ["b came before a"] == found.order
    (changed,) = found.changed
    assert "delivered to shop: 1 times (500 retry), now 1 times (200 success)" in changed.what
    assert 1 == found.same


def test_the_difference_has_versions_source_nodes_and_resources() -> None:
    """And what the test did, and got."""
    component = Declared("Component", "store", "state.redis", [], "r.yaml:1", "kind: Component\n")
    origin = Origin(nodes={"shop": "Image"}, sources={"shop": "b2"}, commit="beef")
    refused = replace(POST, answer={"status": 500})
    new = replace(
        NEW, versions={"Dapr": "1.16.0"}, resources=[component],
        recording=replace(RECORDING, origin=origin, inputs=[refused, refused]),
    )  # fmt: skip

    found = difference(OLD, new)

    assert [
        "Dapr: 1.18.2, now 1.16.0",
        "the source of shop has changed",
        "the commit: c0ffee, now beef",
        "the node shop: App, now Image",
        "Component 'store' is new",
    ] == found.surroundings
    assert [
        "POST /v1.0/publish/p/t: status 204, now status 500",
        "only the second run has POST /v1.0/publish/p/t",
    ] == found.inputs


def test_a_source_that_was_changed_since_its_commit_may_differ() -> None:
    """The hash covers the apps alone."""
    dirty = replace(RECORDING, origin=replace(RECORDING.origin, dirty=True))

    assert ["files that were changed since the commit c0ffee may differ"] == list(
        surroundings(OLD, replace(NEW, recording=dirty))
    )


def test_what_was_not_made_again_is_named() -> None:
    """Gaps of the recording, and inputs for which the stack has no place."""
    recording = replace(RECORDING, gaps=["a header is masked"])
    made = [Done(POST), Done(POST, "DaprError: 500"), Done(POST, "no 'shop'\nmore", made=False)]

    assert ["a header is masked", "POST /v1.0/publish/p/t: no 'shop'"] == list(
        left_out(recording, made)
    )


def test_random_begins_with_the_seed_of_the_recorded_session_and_goes_on_as_before() -> None:
    """What a topology draws is drawn again; nobody else notices."""
    drawn = random.Random(7).random()
    before = random.getstate()

    with seeded(Origin(seeds={"pytest-randomly": "7"})):
        again = random.random()

    assert drawn == again
    assert before == random.getstate()


@pytest.mark.parametrize("seeds", [{}, {"hypothesis": "7"}, {"pytest-randomly": "last"}])
def test_without_a_seed_of_pytest_randomly_nothing_is_seeded(seeds: dict[str, str]) -> None:
    """Hypothesis has a generator of its own; "last" is no seed."""
    before = random.getstate()

    with seeded(Origin(seeds=seeds)):
        assert before == random.getstate()
