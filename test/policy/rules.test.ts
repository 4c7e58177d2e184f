/** The matches of each rule, the effect of several --allow and --deny rules, and texts that are no rules. */
import { describe, expect, test } from "bun:test";
import { HeadView } from "../../src/http/head-view.ts";
import { addressGroups } from "../../src/http/client-address.ts";
import { Client } from "../../src/policy/client.ts";
import { readRule, Rules } from "../../src/policy/rules.ts";
import { Unreadable } from "../../src/unreadable.ts";
import { ruleOf } from "../support/policies.ts";

const HEAD = ["Host: Shop.Example:8080", "Accept: a", "X-Empty:", "accept: b/c", "X-Folded: one", "\ttwo"];
const head = (line: string, fields: readonly string[] = HEAD) =>
  new HeadView([`${line} HTTP/1.1`, ...fields, "", ""].join("\r\n"));
const client = (address: string) =>
  new Client(new Int32Array(9), addressGroups(address, address.includes(":") ? 6 : 4)!);
const SOMEONE = client("192.0.2.1");

function matches(rule: string, request: HeadView, from = SOMEONE): boolean {
  return new Rules([], [ruleOf(rule)]).against(request, from) !== null;
}

const rules: [rule: string, line: string, want: boolean][] = [
  ["method:GET", "GET /", true],
  ["method:GET", "HEAD /", false],
  ["method:POST,FROB", "FROB /", true],
  ["method:safe", "OPTIONS *", true],
  ["method:safe", "TRACE /", false],
  ["method:safe,PUT", "PUT /", true],
  ["path:/a", "GET /a", true],
  ["path:/a", "GET /a?b", true],
  ["path:/a", "GET /a#b", true],
  ["path:/a", "GET /b?/a", false],
  ["path:/a", "GET http://other.example/a?b", true],
  ["path:/", "GET http://other.example", true],
  ["path:/", "GET http://other.example?a", true],
  ["path:/a/**", "GET http://other.example/a/b/c", true],
  ["path:/\\*", "GET /*", false],
  ["path:*", "OPTIONS *", true],
  ["path:**", "CONNECT a.example:443", true],
  ["path:/**", "CONNECT a.example:443", false],
  // No client avoids a rule by another form of the path.
  ["path:/charge", "POST /%63harge", true],
  ["path:/charge", "POST /%63%48arge", false],
  ["path:/charge", "POST /x/../charge", true],
  ["path:/charge", "POST /./charge", true],
  ["path:/charge", "POST /%2e%2E/charge", true],
  ["path:/charge", "POST /../../charge", true],
  ["path:/charge", "POST /charge/.", false],
  ["path:/charge/", "POST /charge/x/..", true],
  ["path:/charge", "POST /charge%2F", false],
  ["path:/a b", "GET /a b", true],
  ["path:/a%20b", "GET /a%20b", true],
  ["path:/a HTTP/1.0", "GET /a HTTP/1.0", true],
  ["path-regex:^/users/\\d+$", "GET /users/17?x", true],
  ["path-regex:^/users/\\d+$", "GET /users/17/x", false],
  ["path-regex:admin", "GET /the/admin/page", true],
  ["path-regex:admin", "GET /?admin", false],
  ["host:shop.example", "GET /", true],
  ["host:SHOP.EXAMPLE", "GET /", true],
  ["host:shop.example:8080", "GET /", true],
  ["host:shop.example:80", "GET /", false],
  ["host:shop.example:*", "GET /", true],
  ["host:*.example", "GET /", true],
  ["host:shop", "GET /", false],
  ["host:shop.example", "GET http://other.example/", false],
  ["host:other.example", "GET http://u:p@Other.Example:80/", true],
  ["host:[2001:db8::1]", "GET http://[2001:db8::1]:80/", true],
  ["host:a.example:443", "CONNECT a.example:443", true],
  ["header:accept", "GET /", true],
  ["header:X-Empty", "GET /", true],
  ["header:X-None", "GET /", false],
  ["header:Accept=a", "GET /", true],
  ["header:Accept=b/*", "GET /", true],
  ["header:Accept=c", "GET /", false],
  ["header:X-Empty=*", "GET /", true],
  ["header:X-Folded=one two", "GET /", true],
];
test.each(rules)("%s and %s: %p", (rule, line, want) => expect(matches(rule, head(line))).toBe(want));

const clients: [network: string, address: string, want: boolean][] = [
  ["192.0.2.1", "192.0.2.1", true],
  ["192.0.2.1", "192.0.2.2", false],
  ["192.0.2.0/24", "192.0.2.255", true],
  ["192.0.2.0/24", "192.0.3.0", false],
  ["192.0.2.128/25", "192.0.2.127", false],
  ["192.0.2.0/31", "192.0.2.1", true],
  ["0.0.0.0/0", "203.0.113.7", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["::/0", "2001:db8::1", true],
  ["::/0", "192.0.2.1", false],
  ["2001:db8::/32", "2001:db8:ffff::1", true],
  ["2001:db8::/32", "2001:db9::1", false],
  ["2001:db8::8000/113", "2001:db8::ffff", true],
  ["2001:db8::8000/113", "2001:db8::7fff", false],
  ["2001:DB8::1", "2001:db8::1", true],
];
test.each(clients)("client:%s and %s: %p", (network, address, want) =>
  expect(matches(`client:${network}`, head("GET /"), client(address))).toBe(want),
);

describe("--allow and --deny", () => {
  const combined: [name: string, allow: string[], deny: string[], line: string, want: string | null][] = [
    ["nothing asked for", [], [], "GET /", null],
    ["a rule of the kind", ["method:GET", "method:POST"], [], "POST /", null],
    ["none of the kind", ["method:GET", "method:POST"], [], "PUT /", "--allow method:"],
    ["each kind has one", ["method:GET", "path:/a", "path:/b"], [], "GET /b", null],
    ["one kind has none", ["method:GET", "path:/a", "path:/b"], [], "GET /c", "--allow path:"],
    ["a denied one", [], ["path:/c"], "GET /c", "--deny path:/c"],
    ["one that no rule denies", [], ["path:/c", "method:PUT"], "GET /d", null],
    ["denied, even if a rule allows it", ["method:GET"], ["path:/c"], "GET /c", "--deny path:/c"],
  ];
  test.each(combined)("%s", (_, allow, deny, line, want) =>
    expect(new Rules(allow.map(ruleOf), deny.map(ruleOf)).against(head(line), SOMEONE)).toBe(want),
  );

  const streams: [name: string, allow: string[], deny: string[], want: string | null][] = [
    ["its client is allowed", ["client:192.0.2.0/24"], [], null],
    ["it is not", ["client:10.0.0.0/8"], [], "--allow client:"],
    ["its client is denied", [], ["client:192.0.2.1"], "--deny client:192.0.2.1"],
    ["an --allow rule about requests cannot be decided", ["method:GET"], [], "--allow method:"],
    ["a --deny rule about requests cannot be decided", [], ["path:/charge"], "--deny path:/charge"],
    ["nothing asked for", [], [], null],
  ];
  test.each(streams)("a stream with invisible requests: %s", (_, allow, deny, want) =>
    expect(new Rules(allow.map(ruleOf), deny.map(ruleOf)).againstStream(SOMEONE)).toBe(want),
  );
});

const unreadable: [text: string, at: number][] = [
  ["", 0],
  ["GET", 0],
  ["methods:GET", 0],
  ["Method:GET", 0],
  ["method:", 7],
  ["method:get", 7],
  ["method:GET,", 11],
  ["method:GET,P OST", 11],
  ["path:", 5],
  ["path-regex:/a(b", 13],
  ["path-regex:(a)\\1", 14],
  ["host:", 5],
  ["header:", 7],
  ["header:X Y", 8],
  ["header:X-*", 9],
  ["header:*=a", 7],
  ["header:=a", 7],
  [`header:X=${"a".repeat(1001)}`, 1009],
  ["client:localhost", 7],
  ["client:10.0.0.0/33", 16],
  ["client:10.0.0.0/", 16],
  ["client:10.0.0.0/8/9", 16],
  ["client:10.0.0.1/8", 7],
  ["client:2001:db8::/129", 18],
  ["client:2001:db8::1/32", 7],
];
test.each(unreadable)("%j cannot be read, and is marked at %d", (text, at) => {
  const rule = readRule(text);
  expect(rule).toBeInstanceOf(Unreadable);
  expect((rule as Unreadable).at).toBe(at);
});
