import { connect } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const client = await connect({ servers: process.argv[2] ?? "nats://localhost:4222" });
const manager = await jetstreamManager(client);
const stream = await manager.streams.find("org.statehub.repo.registered");
await manager.consumers.add(stream, {
  durable_name: "engine",
  filter_subject: "org.statehub.>",
  ack_policy: AckPolicy.Explicit,
});
const consumer = await jetstream(client).consumers.get(stream, "engine");
for await (const message of await consumer.consume()) {
  const event = message.json();
  console.log(event.type, event.subject, JSON.stringify(event.data));
  message.ack();
}
