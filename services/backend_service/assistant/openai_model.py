"""A language model by an OpenAI-compatible endpoint: ``POST .../chat/completions``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from services.backend_service.assistant.language_model import Line, Wanted
from services.backend_service.assistant.port import ModelFailed


class _Function(BaseModel):
    name: str
    arguments: str = ""


class _ToolCall(BaseModel):
    id: str
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice]


class OpenAiEndpoint:
    """An endpoint by its URL, which ends in ``/v1`` as a rule."""

    def __init__(self, url: str, model: str, key: str) -> None:
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    async def reply(self, lines: Sequence[Line], tools: Sequence[Mapping[str, Any]]) -> Line:
        """The model's next line."""
        body = {
            "model": self._model,
            "messages": [_message(line) for line in lines],
            "tools": [{"type": "function", "function": tool} for tool in tools],
        }
        try:
            answer = await _client().post(self._url, json=body, headers=self._headers)
        except httpx.TimeoutException:
            raise ModelFailed(504, "The language model is too slow.") from None
        except httpx.HTTPError:
            raise ModelFailed(503, "The language model cannot be reached.") from None
        _require_success(answer)
        try:
            message = _Completion.model_validate_json(answer.content).choices[0].message
        except (ValidationError, IndexError):
            raise ModelFailed(502, "The language model's reply is not a completion.") from None
        wanted = [
            Wanted(each.id, each.function.name, each.function.arguments)
            for each in message.tool_calls or ()
        ]
        return Line("assistant", message.content or "", wanted)


@cache
def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=None)  # noqa: S113 - a turn's time is limited as a whole


def _require_success(answer: httpx.Response) -> None:
    """Tell what an endpoint's refusal means for the user; its own words may contain secrets."""
    code = answer.status_code
    if code in (401, 403):
        raise ModelFailed(502, "The language model refuses this service's credentials.")
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise ModelFailed(503, f"The language model is unavailable (status {code}).")
    if not answer.is_success:
        raise ModelFailed(502, f"The language model refuses the request (status {code}).")


def _message(line: Line) -> dict[str, Any]:
    message: dict[str, Any] = {"role": line.role, "content": line.text}
    if line.tool is not None:
        message["tool_call_id"] = line.tool.id
    if line.wanted:
        message["tool_calls"] = [
            {"id": each.id, "type": "function",
             "function": {"name": each.name, "arguments": each.arguments}}
            for each in line.wanted
        ]  # fmt: skip
    return message
