// grpc_server.py in Go: a gRPC server without a schema, whose messages are bytes. Appends to LOG a JSON object for each
// call that has ended. Or its client, like grpc_client.py: the channel is closed right after the calls.
//
//	grpc PORT LOG [MILLISECONDS a message]
//	grpc client PORT CALLS MESSAGES
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
)

// A message.
type bytes []byte

// Messages without a change.
type plain struct{}

func (plain) Marshal(message any) ([]byte, error) { return *message.(*bytes), nil }
func (plain) Unmarshal(data []byte, message any) error {
	*message.(*bytes) = append(bytes(nil), data...)
	return nil
}
func (plain) Name() string { return "proto" }

func main() {
	encoding.RegisterCodec(plain{})
	if os.Args[1] == "client" {
		call(os.Args[2], number(os.Args[3]), number(os.Args[4]))
	} else {
		serve(os.Args[1], os.Args[2])
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func serve(port, path string) {
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	check(err)
	delay := time.Duration(0)
	if len(os.Args) > 3 {
		delay = time.Duration(number(os.Args[3])) * time.Millisecond
	}
	var lock sync.Mutex
	handle := func(kind string) grpc.StreamHandler {
		return func(_ any, stream grpc.ServerStream) error {
			messages, err := exchange(kind, stream, delay)
			if err != nil {
				return err
			}
			lock.Lock()
			defer lock.Unlock()
			log.Write(append(line(kind, stream, messages), '\n'))
			return nil
		}
	}
	description := grpc.ServiceDesc{ServiceName: "test.Test", HandlerType: (*any)(nil)}
	for _, kind := range []string{"Unary", "Client", "Server", "Both"} {
		description.Streams = append(description.Streams, grpc.StreamDesc{
			StreamName: kind, Handler: handle(kind), ServerStreams: true, ClientStreams: true,
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	check(err)
	fmt.Println("ready")
	server := grpc.NewServer()
	server.RegisterService(&description, struct{}{})
	check(server.Serve(listener))
}

// Reads and writes the messages of a call of this kind. Returns the messages that it read.
func exchange(kind string, stream grpc.ServerStream, delay time.Duration) ([]bytes, error) {
	var messages []bytes
	isOne := kind == "Unary" || kind == "Server"
	for !isOne || len(messages) == 0 {
		var message bytes
		err := stream.RecvMsg(&message)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		messages = append(messages, message)
		if kind == "Server" {
			continue
		}
		time.Sleep(delay)
		if kind == "Client" {
			continue
		}
		if err := stream.SendMsg(&message); err != nil {
			return nil, err
		}
	}
	var answers []bytes
	if kind == "Client" {
		answers = append(answers, bytes("done"))
	} else if kind == "Server" {
		answers = make([]bytes, number(string(messages[0])))
	}
	for i := range answers {
		if kind == "Server" {
			time.Sleep(delay)
		}
		if err := stream.SendMsg(&answers[i]); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// The log entry of a call.
func line(kind string, stream grpc.ServerStream, messages []bytes) []byte {
	fields, _ := metadata.FromIncomingContext(stream.Context())
	hash := sha256.New()
	length := 0
	for _, message := range messages {
		hash.Write(message)
		length += len(message)
	}
	line, _ := json.Marshal(map[string]any{
		"method": "POST", "target": "/test.Test/" + kind, "id": strings.Join(fields.Get("x-id"), ","), "length": length,
		"digest": fmt.Sprintf("%x", hash.Sum(nil)), "messages": len(messages), "port": 0,
	})
	return line
}

func call(port string, calls, messages int) {
	channel, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range calls {
		all.Add(1)
		slots <- struct{}{}
		go func() {
			defer all.Done()
			defer func() { <-slots }()
			one(channel, i, messages)
		}()
	}
	all.Wait()
	channel.Close()
}

// One call; its number decides its kind.
func one(channel *grpc.ClientConn, i, messages int) {
	kind := []string{"Unary", "Client", "Server", "Both"}[i%4]
	context := metadata.AppendToOutgoingContext(context.Background(), "x-id", strconv.Itoa(i))
	description := grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := channel.NewStream(context, &description, "/test.Test/"+kind)
	check(err)
	switch kind {
	case "Unary":
		message := bytes(make([]byte, i%3000))
		check(stream.SendMsg(&message))
	case "Server":
		message := bytes(strconv.Itoa(messages))
		check(stream.SendMsg(&message))
	default:
		for number := range messages {
			message := bytes(fmt.Sprintf("%d of %d", number, i))
			check(stream.SendMsg(&message))
		}
	}
	check(stream.CloseSend())
	for {
		var message bytes
		err := stream.RecvMsg(&message)
		if err == io.EOF {
			return
		}
		check(err)
	}
}
