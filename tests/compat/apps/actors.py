"""A FastAPI app that hosts actors: state, and a reminder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from dapr.actor import Actor, ActorInterface, Remindable, actormethod
from dapr.ext.fastapi import DaprActor
from fastapi import FastAPI


class Counting(ActorInterface):
    """What the actor can be asked."""

    @actormethod(name="Add")
    async def add(self, amount: int) -> int: ...

    @actormethod(name="AddLater")
    async def add_later(self, amount: int) -> None: ...


class Counter(Actor, Counting, Remindable):
    """A number."""

    async def add(self, amount: int) -> int:
        """Add to the number and return it."""
        found, value = await self._state_manager.try_get_state("value")
        total = int(value or 0) + amount if found else amount
        await self._state_manager.set_state("value", total)
        return total

    async def add_later(self, amount: int) -> None:
        """Add when a reminder fires.

        It has no period: daprd 1.18 takes a period of zero as "again at once, without end".
        """
        moment = timedelta(milliseconds=100)
        await self.register_reminder(f"add-{amount}", str(amount).encode(), moment)

    async def receive_reminder(
        self,
        name: str,
        state: bytes,
        due_time: timedelta,
        period: timedelta,
        ttl: timedelta | None = None,
    ) -> None:
        """Called by Dapr."""
        await self.add(int(state))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Register the actor before the first request."""
    await actors.register_actor(Counter)
    yield


app = FastAPI(lifespan=lifespan)
actors = DaprActor(app)
