"""Conversations are stored in Dapr state: they survive, expire, and reject a stale writer."""

from __future__ import annotations

import asyncio

import pytest

from harness import AsyncWorld, DaprError

HELLO = {"messages": [{"role": "user", "text": "Hello", "at": None}]}
REPLY = {"messages": [*HELLO["messages"], {"role": "assistant", "text": "Hi", "at": None}]}


def path(dapr: AsyncWorld) -> str:
    """A conversation of this test."""
    return f"/api/{dapr.name('user')}/conversations/{dapr.name('talk')}"


async def test_a_conversation_is_read_as_it_was_saved(dapr: AsyncWorld) -> None:
    """Save, read, replace over the current version, read again."""
    backend, talk = dapr.app("backend-service"), path(dapr)

    assert (await backend.get(talk)).status_code == 404
    assert (await backend.put(talk, json=HELLO)).status_code == 204
    first = await backend.get(talk)
    saved = await backend.put(talk, json=REPLY, headers={"if-match": first.headers["etag"]})
    second = await backend.get(talk)

    assert HELLO == first.json()
    assert saved.status_code == 204
    assert REPLY == second.json()
    assert first.headers["etag"] != second.headers["etag"]


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        (("USER", "x-y"), ("USER-x", "y")),
        (("USER-x", "y"), ("USER", "x-y")),
        (("USER", "c"), ("USER-", "c")),
        (("USER", "-c"), ("USER-", "c")),
        (("USER conversation", "c"), ("USER", "conversation-c")),
    ],
)
async def test_users_do_not_share_a_conversation(
    dapr: AsyncWorld, theirs: tuple[str, str], mine: tuple[str, str]
) -> None:
    """Whatever characters their names and conversation ids contain."""
    backend, user = dapr.app("backend-service"), dapr.name("user")
    other, own = (
        f"/api/{name.replace('USER', user)}/conversations/{talk}" for name, talk in (theirs, mine)
    )
    await backend.put(other, json=HELLO)

    seen = await backend.get(own)
    await backend.put(own, json={"messages": []})
    deleted = await backend.delete(own)

    assert (404, 204) == (seen.status_code, deleted.status_code)
    assert HELLO == (await backend.get(other)).json()


async def test_a_stale_etag_is_refused_and_changes_nothing(dapr: AsyncWorld) -> None:
    """If two writers read the same version, the second one is rejected."""
    backend, talk = dapr.app("backend-service"), path(dapr)
    await backend.put(talk, json=HELLO)
    etag = (await backend.get(talk)).headers["etag"]

    first = await backend.put(talk, json=REPLY, headers={"if-match": etag})
    second = await backend.put(talk, json={"messages": []}, headers={"if-match": etag})
    deleted = await backend.delete(talk, headers={"if-match": etag})

    assert [204, 409, 409] == [first.status_code, second.status_code, deleted.status_code]
    assert REPLY == (await backend.get(talk)).json()


async def test_a_deleted_conversation_is_gone(dapr: AsyncWorld) -> None:
    """Delete over the current version, then read nothing."""
    backend, talk = dapr.app("backend-service"), path(dapr)
    await backend.put(talk, json=HELLO)
    etag = (await backend.get(talk)).headers["etag"]

    deleted = await backend.delete(talk, headers={"if-match": etag})

    assert deleted.status_code == 204
    assert (await backend.get(talk)).status_code == 404


@pytest.mark.dapr(exclusive=True)
async def test_a_conversation_survives_a_restart_of_its_sidecar(dapr: AsyncWorld) -> None:
    """State is in the store, not in daprd."""
    backend, talk = dapr.app("backend-service"), path(dapr)
    await backend.put(talk, json=HELLO)
    etag = (await backend.get(talk)).headers["etag"]

    await dapr.restart("backend-service-daprd")
    answer = await backend.get(talk)

    assert HELLO == answer.json()
    assert etag == answer.headers["etag"]


async def test_state_expires_when_its_time_is_up(dapr: AsyncWorld) -> None:
    """Of two keys, the one with a TTL of a second expires and the other remains."""
    sidecar, brief, lasting = (
        dapr.sidecar("backend-service"),
        dapr.name("brief"),
        dapr.name("lasting"),
    )
    await sidecar.save_state("statestore", brief, {"n": 1}, ttl=1)
    await sidecar.save_state("statestore", lasting, {"n": 2})
    item = await sidecar.get_state("statestore", brief)

    assert "ttlexpiretime" in item.metadata
    await dapr.ledger.state("statestore", brief).expired()
    await dapr.ledger.state("statestore", lasting).committed({"n": 2})


async def test_daprs_own_word_for_a_stale_etag_is_409(dapr: AsyncWorld) -> None:
    """The sidecar responds with 409 ERR_STATE_SAVE; the client's error contains both."""
    sidecar, key = dapr.sidecar("backend-service"), dapr.name("key")
    await sidecar.save_state("statestore", key, 1)
    etag = (await sidecar.get_state("statestore", key)).etag
    await sidecar.save_state("statestore", key, 2, etag=etag)

    with pytest.raises(DaprError) as caught:
        await sidecar.save_state("statestore", key, 3, etag=etag)

    assert (409, "ERR_STATE_SAVE") == (caught.value.status, caught.value.error_code)
    await dapr.ledger.state("statestore", key).committed(1, 2)


async def test_ten_writers_at_once_lose_no_message(dapr: AsyncWorld) -> None:
    """Each appends with an etag and retries: every message is stored once, including the first."""
    path = f"/api/{dapr.name('user')}/conversations/c/messages"
    backend = dapr.app("backend-service")

    answers = await asyncio.gather(
        *(backend.post(path, json={"role": "user", "text": f"m{n}"}) for n in range(10))
    )

    assert [201] * 10 == [each.status_code for each in answers]
    found = (await backend.get(path.removesuffix("/messages"))).json()["messages"]
    assert {f"m{n}" for n in range(10)} == {each["text"] for each in found}
    assert 10 == len(found)
    assert all(each["at"] for each in found)


async def test_a_conversation_that_is_full_says_so_and_stays_as_it_is(dapr: AsyncWorld) -> None:
    """daprd rejects requests above 4 MiB; a turn with the assistant leaves room for its answer."""
    backend, talk, user = dapr.app("backend-service"), path(dapr), dapr.name("user")
    message = {"role": "user", "text": "x" * 20_000, "at": None}
    saved = await backend.put(talk, json={"messages": [message] * 189})

    fits = await backend.post(f"{talk}/messages", json={**message, "text": "fits"})
    full = await backend.post(f"{talk}/messages", json=message)
    turn = {"text": f"add {'x' * 1_900}", "conversation": dapr.name("talk")}
    turns = [await backend.post(f"/api/{user}/chat", json=turn) for _ in range(9)]
    replaced = await backend.put(talk, json={"messages": [message] * 209})

    assert [204, 201, 413, 413] == [
        saved.status_code, fits.status_code, full.status_code, replaced.status_code,
    ]  # fmt: skip
    assert {201, 413} == {each.status_code for each in turns}
    assert "begin another one" in turns[-1].json()["detail"]
    answered = [each for each in turns if each.status_code == 201]
    assert 190 + 2 * len(answered) == len((await backend.get(talk)).json()["messages"])
