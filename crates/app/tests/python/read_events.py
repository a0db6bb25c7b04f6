"""Reads lifecycle events with nats.py and checks each against its schema.

    read_events.py SERVER SCHEMAS COUNT FORMAT [USER PASSWORD]

SERVER is a NATS URL, SCHEMAS the directory `schemas/` of the repository, FORMAT what `events.format`
is. Finds the stream by a subject, reads COUNT events through a durable pull consumer, acknowledges
each, and prints one JSON line per event: subject, id, its place in the stream, actor. Fails where
one is not as its format and its schema say; CloudEvents are read by the library of that project.
"""

import asyncio
import json
import pathlib
import sys

import jsonschema
import nats
from cloudevents.core.bindings import http
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


def cloudevent(message, schemas) -> dict:
    """The event in the JSON format, read from either mode: NATS has the headers that HTTP has."""
    event = http.from_http_event(http.HTTPMessage(message.headers, message.data))
    attributes = event.get_attributes()
    whole = {**attributes, "time": attributes["time"].isoformat(), "data": event.get_data()}
    schemas["envelope"].validate(whole)
    return whole


def structured(message, schemas) -> dict:
    assert message.headers["content-type"] == "application/cloudevents+json", message.headers
    assert not any(name.startswith("ce-") for name in message.headers), message.headers
    return cloudevent(message, schemas)


def binary(message, schemas) -> dict:
    assert message.headers["content-type"] == "application/json", message.headers
    assert message.headers["ce-datacontenttype"] == "application/json", message.headers
    return cloudevent(message, schemas)


def older_envelope(message, schemas) -> dict:
    assert message.headers["content-type"] == "application/json", message.headers
    assert len(message.headers["Morgana-Sequence"]) == 20, message.headers
    envelope = json.loads(message.data)
    schemas["older-envelope"].validate(envelope)
    return {"id": envelope["event_id"], "type": envelope["type"], "data": envelope["payload"]}


READERS = {"structured": structured, "binary": binary, "older-envelope": older_envelope}


def check(message, read, schemas) -> dict:
    event = read(message, schemas)
    schemas[event["type"]].validate(event["data"])
    assert event["type"] == message.subject, (event["type"], message.subject)
    assert event["id"] == message.headers["Nats-Msg-Id"], message.headers
    return {
        "subject": message.subject,
        "id": event["id"],
        "seq": message.metadata.sequence.stream,
        "actor": event.get("actor"),
    }


async def main(server: str, schemas: str, count: int, form: str, credentials: list[str]) -> None:
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
            print(json.dumps(check(message, READERS[form], known)))
            await message.ack()
            seen += 1
    await client.drain()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:7]))
