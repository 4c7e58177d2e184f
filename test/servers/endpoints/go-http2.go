// The server of go.go, speaking HTTP/2 in clear text alone.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

func main() {
	log, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	var lock sync.Mutex
	handler := func(response http.ResponseWriter, request *http.Request) {
		hash := sha256.New()
		length, err := io.Copy(hash, request.Body)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		port := 0
		if client, err := net.ResolveTCPAddr("tcp", request.RemoteAddr); err == nil {
			port = client.Port
		}
		line, _ := json.Marshal(map[string]any{
			"method": request.Method, "target": request.RequestURI, "id": request.Header.Get("X-Id"),
			"length": length, "digest": fmt.Sprintf("%x", hash.Sum(nil)), "port": port,
		})
		lock.Lock()
		log.Write(append(line, '\n'))
		lock.Unlock()
		io.WriteString(response, "served")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Handler: http.HandlerFunc(handler), Protocols: protocols}
	server.Serve(listener)
}
