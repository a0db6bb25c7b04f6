"""A hub of its own: publishes lifecycle events the way programs beside Morgana do.

    publish_events.py SERVER COUNT [USER PASSWORD]

Connects within two seconds, finds the stream that takes its subject or adds one, publishes COUNT
envelopes and waits for each acknowledgement, then repeats the first one, which the stream must
know, and drains. Prints one JSON line per acknowledgement: stream, seq, duplicate.
"""

import asyncio
import datetime
import json
import sys
import uuid

import nats
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

SUBJECT = "org.warehouse.pallet.moved"


class Publisher:
    """One connection, opened when it is first needed."""

    def __init__(self, server: str, options: dict[str, str]) -> None:
        self._server, self._options = server, options
        self._client = None
        self._stream = None

    async def _connect(self) -> None:
        self._client = await nats.connect(
            self._server, name="warehouse", connect_timeout=2, **self._options
        )
        self._stream = self._client.jetstream()
        try:
            await self._stream.find_stream_name_by_subject(SUBJECT)
        except NotFoundError:
            await self._stream.add_stream(StreamConfig(name="ACTIVITY_EVENTS", subjects=["org.>"]))

    async def publish(self, event: dict) -> dict:
        if self._client is None:
            await self._connect()
        headers = {"Nats-Msg-Id": event["id"], "content-type": "application/cloudevents+json"}
        ack = await self._stream.publish(
            event["type"], json.dumps(event).encode(), timeout=5, headers=headers
        )
        return {"stream": ack.stream, "seq": ack.seq, "duplicate": bool(ack.duplicate)}

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.drain()


def envelope(number: int) -> dict:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/warehouse",
        "type": SUBJECT,
        "subject": f"pallet/{number}",
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "datacontenttype": "application/json",
        "data": {"pallet": number},
    }


async def main(server: str, count: int, credentials: list[str]) -> None:
    publisher = Publisher(server, dict(zip(("user", "password"), credentials)))
    events = [envelope(number) for number in range(count)]
    for event in [*events, events[0]]:
        print(json.dumps(await publisher.publish(event)))
    await publisher.close()
    await publisher.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:5]))
