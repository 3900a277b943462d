"""A language model by Dapr's conversation API, whose component says which one it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from services.backend_service.assistant.language_model import Line, Wanted
from services.backend_service.assistant.port import ModelFailed
from services.common.sidecar import sidecar

FIELDS = {"system": "ofSystem", "user": "ofUser", "assistant": "ofAssistant", "tool": "ofTool"}


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Function(_Camel):
    name: str
    arguments: str = ""


class _ToolCall(_Camel):
    id: str = ""
    function: _Function


class _Message(_Camel):
    content: str = ""
    tool_calls: list[_ToolCall] = Field(default=[])


class _Choice(_Camel):
    message: _Message


class _Output(_Camel):
    choices: list[_Choice]


class _Response(_Camel):
    outputs: list[_Output]


class DaprConversation:
    """A conversation component of the sidecar."""

    def __init__(self, component: str) -> None:
        self._path = f"/v1.0-alpha2/conversation/{quote(component, safe='')}/converse"

    async def reply(self, lines: Sequence[Line], tools: Sequence[Mapping[str, Any]]) -> Line:
        """The model's next line."""
        body = {
            "inputs": [{"messages": [_message(line) for line in lines]}],
            "tools": [{"function": tool} for tool in tools],
        }
        try:
            # The time that a turn may take is limited as a whole.
            answer = await sidecar().post(self._path, json=body, timeout=None)
        except httpx.HTTPError:
            raise ModelFailed(503, "The sidecar does not do its part now.") from None
        if not answer.is_success:
            # daprd reports every failure of the model as its own, whatever it was.
            raise ModelFailed(503, f"The language model gives no answer ({_code(answer)}).")
        try:
            message = _Response.model_validate_json(answer.content).outputs[0].choices[0].message
        except (ValidationError, IndexError):
            raise ModelFailed(502, "The language model's reply is not a completion.") from None
        wanted = [
            Wanted(each.id, each.function.name, each.function.arguments)
            for each in message.tool_calls
        ]
        return Line("assistant", message.content, wanted)


def _code(answer: httpx.Response) -> str:
    """daprd's error code; its message may repeat the request."""
    try:
        return str(answer.json()["errorCode"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _message(line: Line) -> dict[str, Any]:
    message: dict[str, Any] = {"content": [{"text": line.text}]}
    if line.tool is not None:
        message |= {"toolId": line.tool.id, "name": line.tool.name}
    if line.wanted:
        message["toolCalls"] = [
            {"id": each.id, "function": {"name": each.name, "arguments": each.arguments}}
            for each in line.wanted
        ]
    return {FIELDS[line.role]: message}
