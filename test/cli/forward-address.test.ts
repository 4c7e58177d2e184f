import { expect, test } from "bun:test";
import { parseForwardAddress } from "../../src/cli/forward-address.ts";

/** Checks the meaning of a forward_addr: "host port", with "tls" if it asks for TLS, or undefined if it is refused. */
function check(text: string, want: string | undefined): void {
  const got = parseForwardAddress(text);
  expect(got && `${got.host} ${got.port}${got.isSecure === true ? " tls" : ""}`, text).toBe(want as string);
}

const accepted: [string, string][] = [
  ["127.0.0.1:8080", "127.0.0.1 8080"],
  ["localhost:1", "localhost 1"],
  ["test.internal:65535", "test.internal 65535"],
  ["under_score-dash.example:80", "under_score-dash.example 80"],
  ["münchen.example:80", "münchen.example 80"],
  ["http://test.internal", "test.internal 80"],
  ["http://test.internal/", "test.internal 80"],
  ["http://test.internal:8080", "test.internal 8080"],
  ["http://test.internal:8080/", "test.internal 8080"],
  ["HTTP://test.internal", "test.internal 80"],
  ["[::1]:8080", "::1 8080"],
  ["[2001:db8::1]:80", "2001:db8::1 80"],
  ["[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1 80"],
  ["[fe80::1%eth0]:80", "fe80::1%eth0 80"],
  ["http://[::1]", "::1 80"],
  ["http://[::1]:8080/", "::1 8080"],
  ["https://test.internal", "test.internal 443 tls"],
  ["https://test.internal/", "test.internal 443 tls"],
  ["HTTPS://test.internal:8443/", "test.internal 8443 tls"],
  ["https://[::1]", "::1 443 tls"],
];

const refused = [
  "file:",
  "file:.har",
  "file:a",
  "file:a.HAR",
  "file:a.json",
  "FILE:a.har",
  "",
  ":",
  ":80",
  "localhost",
  "localhost:",
  "localhost:http",
  "localhost:0",
  "localhost:65536",
  "localhost:123456",
  "localhost:-1",
  "localhost: 80",
  " localhost:80",
  "local host:80",
  "localhost:80\n",
  "::1:80",
  "::1",
  "[::1]",
  "[::1]80",
  "[]:80",
  "[localhost]:80",
  "[::1:80",
  "[dead]:80",
  "[1.2.3.4]:80",
  "http://",
  "http://:80",
  "http:///",
  "http://host/path",
  "http://host:80//",
  "http://host?query",
  "http://host#part",
  "http://user@host",
  "http://user:secret@host:80",
  "http:/host",
  "//host:80",
  "https://",
  "https://host/path",
  "https://host:443?a",
  "https://user@host",
  "httpss://host",
  "ftp://host:21",
  "host:80/path",
  "a:b:80",
];

test.each(["requests.har", "requests.ndjson", "/a b/c.d.har", "../ü.ndjson"])("file:%s is a file", (path) => {
  expect(parseForwardAddress(`file:${path}`)).toMatchObject({ file: path });
});

test.each(accepted)("%p is an endpoint", check);

test.each(refused)("%p is no forward_addr", (text) => check(text, undefined));
