import asyncio, json, sys, nats

async def main(server="nats://localhost:4222"):
    client = await nats.connect(server)
    stream = client.jetstream()
    consumer = await stream.pull_subscribe("org.statehub.>", durable="engine")
    while True:
        try:
            messages = await consumer.fetch(50, timeout=30)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            event = json.loads(message.data)
            print(event["type"], event["subject"], event["data"])
            await message.ack()

asyncio.run(main(*sys.argv[1:]))
