// The endpoint of bun.ts on Go's net/http.
//
//	go PORT DELAY_MS
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	delayMs, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	var lock sync.Mutex
	var served []string

	handler := func(response http.ResponseWriter, request *http.Request) {
		hash := sha256.New()
		length, err := io.Copy(hash, request.Body)
		if err != nil {
			fmt.Fprintln(os.Stderr, "malformed:", err)
			return
		}
		line := request.Method + " " + request.URL.Path
		if length > 0 {
			line += fmt.Sprintf(" %x", hash.Sum(nil))
		}
		lock.Lock()
		served = append(served, line)
		lock.Unlock()
		time.Sleep(time.Duration(delayMs) * time.Millisecond)
		io.WriteString(response, "served")
	}

	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, http.HandlerFunc(handler))
	fmt.Println("ready")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	lock.Lock()
	fmt.Println(strings.Join(served, "\n"))
	os.Exit(0)
}
