"""Which model answers: the configured endpoint, else Dapr's component, else the rules."""

from __future__ import annotations

import httpx

from services.backend_service.assistant.dapr_model import DaprConversation
from services.backend_service.assistant.language_model import LanguageModel
from services.backend_service.assistant.openai_model import OpenAiEndpoint
from services.backend_service.assistant.port import Model, ModelFailed
from services.backend_service.assistant.rules import Rules
from services.common.settings import settings
from services.common.sidecar import api_path, sidecar


async def model() -> Model:
    """The model for one turn: a component may be loaded or removed while the sidecar runs.

    Raises:
        ModelFailed: the sidecar does not say which components it has.
    """
    own = settings()
    if own.openai_url:
        return LanguageModel(OpenAiEndpoint(own.openai_url, own.openai_model, own.openai_api_key))
    if own.conversation_name and await _is_loaded(own.conversation_name):
        return LanguageModel(DaprConversation(own.conversation_name))
    return Rules()


async def _is_loaded(name: str) -> bool:
    try:
        answer = (await sidecar().get(api_path("metadata"))).raise_for_status()
    except httpx.HTTPError:
        raise ModelFailed(503, "The sidecar does not do its part now. Nothing was done.") from None
    return any(
        each["name"] == name and each["type"].startswith("conversation.")
        for each in answer.json().get("components") or ()
    )
