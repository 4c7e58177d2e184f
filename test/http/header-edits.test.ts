/** What may be changed in a head, and how a client's address is written. */
import { expect, test } from "bun:test";
import { addressText, clientAddress, parseAddress } from "../../src/http/client-address.ts";
import { editHead, type HeaderEdits } from "../../src/http/header-edits.ts";

const NONE: HeaderEdits = { host: undefined, fields: [], mark: false };
const edit = (head: string, edits: Partial<HeaderEdits>) => {
  const edited = editHead(Buffer.from(head, "latin1"), { ...NONE, ...edits }, "192.0.2.1");
  return edited === null ? null : Buffer.from(edited).toString("latin1");
};

const host: [name: string, line: string, want: string][] = [
  ["origin-form has no host", "GET /http://a/ HTTP/1.1", "GET /http://a/ HTTP/1.1"],
  ["absolute-form", "GET http://prod.example/a?b=http://c/ HTTP/1.1", "GET http://test.example/a?b=http://c/ HTTP/1.1"],
  ["with a port", "GET http://prod.example:8080/a HTTP/1.1", "GET http://test.example/a HTTP/1.1"],
  ["with user information", "GET http://user:p%40ss@prod.example/a HTTP/1.1", "GET http://test.example/a HTTP/1.1"],
  ["IPv6", "GET http://[2001:db8::1]:80/ HTTP/1.1", "GET http://test.example/ HTTP/1.1"],
  ["another scheme, which is kept", "GET HTTPS://prod.example HTTP/1.1", "GET HTTPS://test.example HTTP/1.1"],
  ["a query right behind it", "GET http://prod.example?x HTTP/1.1", "GET http://test.example?x HTTP/1.1"],
  ["several blanks", "GET   http://prod.example/  HTTP/1.1", "GET   http://test.example/  HTTP/1.1"],
  ["no authority", "GET urn:isbn:1 HTTP/1.1", "GET urn:isbn:1 HTTP/1.1"],
  ["asterisk-form", "OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"],
  ["authority-form names whom to connect to", "CONNECT prod.example:443 HTTP/1.1", "CONNECT prod.example:443 HTTP/1.1"],
];
test.each(host)("a host in the target counts: %s", (_, line, want) => {
  const head = (first: string, value: string) => `${first}\r\nHost: ${value}\r\nX: y\r\n\r\n`;
  expect(edit(head(line, "prod.example"), { host: "test.example" })).toBe(head(want, "test.example"));
  expect(edit(head(line, "prod.example"), { fields: [["host", "test.example"]] })).toBe(
    head(want, "test.example").replace("Host", "host"),
  );
  expect(edit(head(line, "prod.example"), { fields: [["X", "y"]] })).toBe(
    `${line}\r\nX: y\r\nHost: prod.example\r\n\r\n`,
  );
});

const fields: [name: string, fields: string, want: string][] = [
  ["every field of the name goes, whatever stands around it", "x: 1\r\nX : 2\r\nA: b\r\n", "A: b\r\n"],
  ["a folded field goes whole", "X: 1\r\n 2\r\nA: b\r\n c\r\n", "A: b\r\n c\r\n"],
  ["a line without a colon stays", "hello\r\nX\r\n", "hello\r\nX\r\n"],
  ["a line that belongs to no field goes: it would belong to another one", " Y: 1\r\nA: b\r\n", "A: b\r\n"],
  ["bytes that are no text stay", "A: \x01\x7f\xe9\r\n", "A: \x01\x7f\xe9\r\n"],
];
test.each(fields)("a field is put in place of others: %s", (_, before, want) => {
  expect(edit(`GET / HTTP/1.1\r\n${before}\r\n`, { fields: [["X", "y"]] })).toBe(
    `GET / HTTP/1.1\r\nX: y\r\n${want}\r\n`,
  );
});

test("the mark is the client's address as it was given, once", () => {
  const marked = edit("GET / HTTP/1.1\n\n", { mark: true });
  expect(marked).toBe("GET / HTTP/1.1\nX-Mirrored-From: 192.0.2.1\n\n");
  expect(edit(marked!, { mark: true })).toBeNull();
});

const addresses: [groups: string, text: string][] = [
  ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["0:1:0:1:0:1:0:10", "0:1:0:1:0:1:0:10"],
  ["fe80:0:0:0:10:0:0:20", "fe80::10:0:0:20"],
  ["10:0:0:200:0:0:0:3000", "10:0:0:200::3000"],
  ["0:0:0:0:0:ffff:c000:201", "192.0.2.1"],
  ["0:0:0:0:0:ffff:ffff:ff00", "255.255.255.0"],
];
test.each(addresses)("%s is written as %s (RFC 5952)", (written, text) => {
  const groups = written.split(":").map((group) => parseInt(group, 16));
  expect(addressText(groups)).toBe(text);
  const words = Int32Array.from({ length: 4 }, (_, i) => (groups[2 * i]! << 16) | groups[2 * i + 1]!);
  expect(clientAddress(words)).toBe(text);
  expect(parseAddress(written, 6)).toBe(text);
  if (!text.includes(".")) expect(parseAddress(text.toUpperCase(), 6)).toBe(text);
});

const noAddresses: [text: string, version: 4 | 6][] = [
  ["1.2.3", 4],
  ["1.2.3.256", 4],
  ["01.2.3.4", 4],
  ["1.2.3.4.5", 4],
  ["0x1.2.3.4", 4],
  ["::1", 4],
  ["a.example", 4],
  ["", 4],
  ["1.2.3.4", 6],
  ["1:2:3", 6],
  ["::1::2", 6],
  ["::1%eth0", 6],
  ["[::1]", 6],
  ["::12345", 6],
  ["", 6],
];
test.each(noAddresses)("%s is no address of IPv%d", (text, version) => expect(parseAddress(text, version)).toBeNull());
