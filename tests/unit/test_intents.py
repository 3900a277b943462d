"""What a sentence asks of the assistant."""

from __future__ import annotations

import re

import pytest

from services.backend_service.assistant.intents import (
    NO,
    YES,
    Intent,
    task_words,
    title_of,
    understood,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("add buy milk", "add"),
        ("Please add milk to my list!", "add"),
        ("could you add milk?", "add"),
        ("create a task to buy milk", "add"),
        ("new task: buy milk", "add"),
        ("I need to buy milk", "add"),
        ("don't forget to buy milk", "add"),
        ("don\u2019t forget to buy milk", "add"),
        ("put eggs on my list", "add"),
        ("make a reminder to sing", "add"),
        ("remind me to call mum", "remind"),
        ("set a reminder for milk", "remind"),
        ("don't remind me of milk", "unremind"),
        ("cancel the reminder for milk", "unremind"),
        ("complete milk", "complete"),
        ("mark milk as done", "complete"),
        ("milk is done", "complete"),
        ("I've finished milk", "complete"),
        ("rename milk to oat milk", "rename"),
        ("delete milk", "delete"),
        ("get rid of milk", "delete"),
        ("repeat milk every day", "repeat"),
        ("make milk repeat every day", "repeat"),
        ("move milk to friday", "move"),
        ("milk is due friday", "move"),
        ("list my tasks", "list"),
        ("What do I have to do?", "list"),
        ("what is due tomorrow?", "list"),
        ("show done tasks", "list"),
        ("my tasks", "list"),
        ("help", "help"),
        ("Hello!", "greet"),
        ("make a cake", ""),
        ("read the may report", ""),
        ("what is the meaning of life", ""),
        ("Füge Milch hinzu", ""),
        ("delete-ish", ""),
        ("address the envelopes", ""),
        ("", ""),
    ],
)
def test_a_sentence_is_understood_by_its_whole(text: str, name: str) -> None:
    """Or not at all: no sentence is understood by a word in its middle."""
    assert name == understood(text).name


def test_the_parts_of_a_sentence_are_kept_as_they_were_said() -> None:
    """With capital letters and quotes."""
    assert Intent("rename", task="the Milk", title='"Oat Milk"') == understood(
        'rename the Milk to "Oat Milk"'
    )
    assert "to buy Milk" == understood("add to buy Milk").rest


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("a new task to buy groceries", "Buy groceries"),
        (": buy milk", "Buy milk"),
        ("milk to my to-do list", "Milk"),
        ('a task called "list all"', "List all"),
        ("to call mum", "Call mum"),
        ("of the dentist", "The dentist"),
        ("", ""),
    ],
)
def test_a_title_is_what_remains_without_the_words_around_it(text: str, title: str) -> None:
    """And begins with a capital letter."""
    assert title == title_of(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("the task milk", "milk"), ("Milk.", "Milk"), ("“the task”", "the task"), ("of milk", "milk")],
)
def test_an_existing_task_is_named_without_articles(text: str, words: str) -> None:
    """Quotes keep what would be left out."""
    assert words == task_words(text)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("yes", YES), ("Yes, please!", YES), ("ok", YES), ("yes, delete it", YES), ("do it", YES),
        ("no", NO), ("No thanks", NO), ("never mind", NO), ("keep it", NO), ("don\u2019t", NO),
        ("yes and delete everything else", None), ("yesterday", None), ("no milk today", None),
        ("ok, but keep it", None), ("nothing", None), ("y tho", None),
    ],
)  # fmt: skip
def test_only_a_plain_yes_or_no_decides(text: str, decision: re.Pattern[str] | None) -> None:
    """Whatever says more is a turn of its own, and the question lapses."""
    assert (decision is YES, decision is NO) == (
        YES.fullmatch(text) is not None, NO.fullmatch(text) is not None,
    )  # fmt: skip
