// The server of node.mjs on Go's net/http: go PORT LOG [http2], the last argument for only HTTP/2 in clear text.
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
		client, _ := net.ResolveTCPAddr("tcp", request.RemoteAddr)
		line, _ := json.Marshal(map[string]any{
			"method": request.Method, "target": request.RequestURI, "id": request.Header.Get("X-Id"),
			"length": length, "digest": fmt.Sprintf("%x", hash.Sum(nil)), "port": client.Port,
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
	server := http.Server{Handler: http.HandlerFunc(handler)}
	if len(os.Args) > 3 && os.Args[3] == "http2" {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	if cert := os.Getenv("TLS_CERT"); cert != "" {
		server.ServeTLS(listener, cert, os.Getenv("TLS_KEY"))
	} else {
		server.Serve(listener)
	}
}
