"""Answers a turn: asks before some of what the model wants is done, and leaves the rest to it."""

from __future__ import annotations

from services.backend_service.assistant.consent import Careful, NeedsConsent, decided, question
from services.backend_service.assistant.intents import NO, YES
from services.backend_service.assistant.port import Answer, Model, Tools, Turn


async def answered(turn: Turn, model: Model, tools: Tools, seen: str | None = None) -> Answer:
    """The answer to a turn.

    Args:
        turn: what the user says.
        model: answers everything but a yes or no to the question whether something may be done.
        tools: the user's tools.
        seen: the id of the last message that the user had seen; None if that is not known.

    Raises:
        ModelFailed: there is no answer.
    """
    last = turn.said[-1] if turn.said else None
    ask, decision = last.asks if last else None, _decision(turn.text)
    if last is None or ask is None or ask.about == "time" or decision is None:
        return await _by_model(turn, model, tools)
    if seen is not None and seen != last.id:
        # Another window has caused this question: its user has not seen it.
        again = question(ask, turn.zone, begin="Meanwhile there is another question: shall")
        return Answer(again, ask)
    return Answer(await decided(ask, decision, tools))


async def _by_model(turn: Turn, model: Model, tools: Tools) -> Answer:
    words = turn.text if model.may_obey_titles else None
    try:
        return await model.answer(turn, Careful(tools, words))
    except NeedsConsent as held:
        return Answer(question(held.ask, turn.zone, held.task), held.ask)


def _decision(text: str) -> bool | None:
    """Yes, no, or something else."""
    if YES.fullmatch(text.strip()):
        return True
    return False if NO.fullmatch(text.strip()) else None
