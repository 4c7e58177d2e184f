// Go's net/http with HTTP/2 in clear text: GETs and POSTs, several at a time.    go run client.go URL
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for number := range 300 {
		all.Add(1)
		slots <- struct{}{}
		go func() {
			defer all.Done()
			defer func() { <-slots }()
			url := fmt.Sprintf("%s/go/%d", os.Args[1], number)
			var response *http.Response
			var err error
			if number%3 == 0 {
				response, err = client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", number*200)))
			} else {
				response, err = client.Get(url)
			}
			if err != nil {
				panic(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}()
	}
	all.Wait()
	// One after the other, in frames of the largest length that the server allows.
	for _, length := range []int{1, 1000, 16_384, 100_000, 10 << 20} {
		url := fmt.Sprintf("%s/go/post/%d", os.Args[1], length)
		response, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", length)))
		if err != nil {
			panic(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}
