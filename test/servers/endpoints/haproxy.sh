#!/bin/sh
# HAProxy that accepts only HTTP/2, before the server of go.go, which logs:    haproxy.sh GO-SERVER BACKEND-PORT CONFIG LOG
"$1" "$2" "$4" &
backend=$!
haproxy -db -f "$3" &
proxy=$!
trap 'kill $proxy $backend' TERM INT
wait $proxy
wait $backend
