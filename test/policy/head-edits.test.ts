/** What may be changed in a head. */
import { expect, test } from "bun:test";
import { HeadView } from "../../src/http/head-view.ts";
import { Client } from "../../src/policy/client.ts";
import { HeadEditor, type HeadEdits } from "../../src/policy/head-edits.ts";
import { editsOf } from "../support/policies.ts";

/** 192.0.2.1, from port 50000 to port 8080. */
const CLIENT = new Client(Int32Array.of(0, 0, 0xffff, 0xc0000201, 0, 0, 0xffff, 0x0a000001, (50_000 << 16) | 8080, 7));
/** Null: the request is a mirrored one already. */
const edit = (head: string, edits: Partial<HeadEdits>) => {
  const editor = new HeadEditor(editsOf(edits));
  const view = new HeadView(head);
  return editor.isLoop(view) ? null : Buffer.from(editor.edit(view, CLIENT)).toString("latin1");
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
  expect(edit(head(line, "prod.example"), { setHeader: [["host", "test.example"]] })).toBe(
    head(want, "test.example").replace("Host", "host"),
  );
  expect(edit(head(line, "prod.example"), { setHeader: [["X", "y"]] })).toBe(
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
  expect(edit(`GET / HTTP/1.1\r\n${before}\r\n`, { setHeader: [["X", "y"]] })).toBe(
    `GET / HTTP/1.1\r\nX: y\r\n${want}\r\n`,
  );
});

test("the mark is the client's address as it was given, once", () => {
  const marked = edit("GET / HTTP/1.1\n\n", { mark: true });
  expect(marked).toBe("GET / HTTP/1.1\nX-Mirrored-From: 192.0.2.1\n\n");
  expect(edit(marked!, { mark: true })).toBeNull();
});
