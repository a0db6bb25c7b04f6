"""Reads lifecycle events with nats.py and checks each against its schema.

    read_events.py SERVER SCHEMAS COUNT [USER PASSWORD]

SERVER is a NATS URL, SCHEMAS the directory `schemas/` of the repository. Finds the stream by a
subject, reads COUNT events through a durable pull consumer, acknowledges each, and prints one
JSON line per event: subject, id, message id. Fails where one is not as its schema says.
"""

import asyncio
import json
import pathlib
import sys

import jsonschema
import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

SUBJECT = "org.statehub.repo.registered"
PATIENCE = 30


def validators(directory: pathlib.Path) -> dict[str, jsonschema.Draft202012Validator]:
    found = {}
    for path in directory.glob("*.json"):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        found[path.stem] = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.FormatChecker()
        )
    return found


def check(message, schemas) -> dict:
    event = json.loads(message.data)
    schemas["envelope"].validate(event)
    schemas[event["type"]].validate(event["data"])
    headers = message.headers or {}
    assert event["type"] == message.subject, (event["type"], message.subject)
    assert event["id"] == headers["Nats-Msg-Id"], headers
    assert headers["content-type"] == "application/cloudevents+json", headers
    return {"subject": message.subject, "id": event["id"], "seq": message.metadata.sequence.stream}


async def main(server: str, schemas: str, count: int, credentials: list[str]) -> None:
    options = dict(zip(("user", "password"), credentials))
    known = validators(pathlib.Path(schemas))
    client = await nats.connect(server, connect_timeout=5, **options)
    stream = client.jetstream()
    name = await stream.find_stream_name_by_subject(SUBJECT)
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    consumer = await stream.pull_subscribe("org.>", durable="reader", stream=name, config=config)
    seen = 0
    while seen < count:
        for message in await consumer.fetch(min(100, count - seen), timeout=PATIENCE):
            print(json.dumps(check(message, known)))
            await message.ack()
            seen += 1
    await client.drain()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:6]))
