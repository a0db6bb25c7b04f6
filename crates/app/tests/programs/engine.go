package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	server := "nats://localhost:4222"
	if len(os.Args) > 1 {
		server = os.Args[1]
	}
	client, err := nats.Connect(server)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := client.JetStream()
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := stream.PullSubscribe("org.statehub.>", "engine")
	if err != nil {
		log.Fatal(err)
	}
	for {
		messages, err := consumer.Fetch(50, nats.MaxWait(30*time.Second))
		if err != nil && err != nats.ErrTimeout {
			log.Fatal(err)
		}
		for _, message := range messages {
			var event struct {
				Type, Subject string
				Data          json.RawMessage
			}
			if err := json.Unmarshal(message.Data, &event); err != nil {
				log.Print(err)
			}
			fmt.Println(event.Type, event.Subject, string(event.Data))
			message.Ack()
		}
	}
}
