/** Edits of a head. */
import { expect, test } from "bun:test";
import { HeadView } from "../../src/http/head-view.ts";
import { Client } from "../../src/policy/client.ts";
import { HeadEditor, type HeadEdits, readRewrite, type Rewrite } from "../../src/policy/head-edits.ts";
import { mutate, randomRequest } from "../http/random-request.ts";
import { frame } from "../http/recorder.ts";
import { editsOf } from "../support/policies.ts";
import { Random } from "../support/random.ts";

/** 192.0.2.1, from port 50000 to port 8080. */
const CLIENT = new Client(Int32Array.of(0, 0, 0xffff, 0xc0000201, 0, 0, 0xffff, 0x0a000001, (50_000 << 16) | 8080, 7));
/** Null: the request has the mark already. */
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
  ["a query right after it", "GET http://prod.example?x HTTP/1.1", "GET http://test.example?x HTTP/1.1"],
  ["several blanks", "GET   http://prod.example/  HTTP/1.1", "GET   http://test.example/  HTTP/1.1"],
  ["an odd version", "GET http://prod.example HTTP/1.HTTP/1.0", "GET http://test.example HTTP/1.HTTP/1.0"],
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
  ["every field of the name goes, with any fields around it", "x: 1\r\nX : 2\r\nA: b\r\n", "A: b\r\n"],
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

test("the mark is the client's given address, once", () => {
  const marked = edit("GET / HTTP/1.1\n\n", { mark: true });
  expect(marked).toBe("GET / HTTP/1.1\nX-Mirrored-From: 192.0.2.1\n\n");
  expect(edit(marked!, { mark: true })).toBeNull();
});

const REWRITES: [name: string, edits: string[], target: string, want: string][] = [
  ["a part", ["^/v1/=>/v2/"], "/v1/a?v1", "/v2/a?v1"],
  ["only the first match", ["a=>b"], "/aa", "/ba"],
  ["groups", ["^/(\\w+)/(\\d+)$=>/$2/$1"], "/users/17", "/17/users"],
  ["all of the match, and a dollar sign", ["b+=>[$0$$1]"], "/abbc", "/a[bb$1]c"],
  ["a group that took no part", ["(x)?b=>$1c"], "/ab", "/ac"],
  ["in turn", ["^/a=>/b", "^/b=>/c"], "/a", "/c"],
  ["nothing that matches", ["^/x=>/y"], "/a", "/a"],
  ["never to no path at all", [".*=>"], "/a/b?c", "/?c"],
  ["never to a text that is no path", ["^/=>"], "/a", "/a"],
  ["the path of absolute-form", ["^/a=>/b"], "http://prod.example/a?/a", "http://prod.example/b?/a"],
  ["the missing path of absolute-form", ["^$=>/b"], "http://prod.example?a", "http://prod.example/b?a"],
  ["a path with blanks", [" HTTP.*=>"], "/a HTTP/1.0", "/a"],
  ["an asterisk is no path", [".*=>/a"], "*", "*"],
  ["nor is a text without a slash", [".*=>/a"], "odd", "odd"],
];
test.each(REWRITES)("a path is rewritten: %s", (_, written, target, want) => {
  const rewritePath = written.map((text) => readRewrite(text) as Rewrite);
  expect(edit(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, { rewritePath })).toBe(
    `GET ${want} HTTP/1.1\r\nHost: a\r\n\r\n`,
  );
});

test("CONNECT has an authority, and no path", () => {
  const head = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
  expect(edit(head, { rewritePath: [{ regex: ".*", text: "/a" }] })).toBe(head);
});

const removals: [name: string, fields: string, want: string][] = [
  ["every field of the name", "X: 1\r\nA: b\r\nx: 2\r\nX : 3\r\n", "A: b\r\n"],
  ["with its folded lines", "X: 1\r\n 2\r\n\t3\r\nA: b\r\n", "A: b\r\n"],
  ["and no other one", "X-X: 1\r\nXX: 1\r\nA: X: b\r\nX\r\n", "X-X: 1\r\nXX: 1\r\nA: X: b\r\nX\r\n"],
];
test.each(removals)("a field is removed: %s", (_, before, want) =>
  expect(edit(`GET / HTTP/1.1\r\n${before}\r\n`, { removeHeader: ["x"] })).toBe(`GET / HTTP/1.1\r\n${want}\r\n`),
);

const SEEN = "X-Forwarded-Port: 8080\r\nX-Forwarded-Proto: http\r\n";
const forwarded: [name: string, line: string, fields: string, want: string][] = [
  [
    "all",
    "GET /",
    "Host: a:8080\r\n",
    `${SEEN}X-Forwarded-Host: a:8080\r\nX-Forwarded-For: 192.0.2.1\r\nHost: a:8080\r\n`,
  ],
  ["no Host", "GET /", "", `${SEEN}X-Forwarded-For: 192.0.2.1\r\n`],
  [
    "absolute-form",
    "GET http://B.example/",
    "Host: a\r\n",
    `${SEEN}X-Forwarded-Host: B.example\r\nX-Forwarded-For: 192.0.2.1\r\nHost: a\r\n`,
  ],
  [
    "after the known ones",
    "GET /",
    "X-Forwarded-For: 198.51.100.1,  203.0.113.1 \r\n",
    `${SEEN}X-Forwarded-For: 198.51.100.1,  203.0.113.1, 192.0.2.1\r\n`,
  ],
  [
    "after the last of several fields",
    "GET /",
    "x-forwarded-for: 198.51.100.1\r\nA: b\r\nX-Forwarded-For : 203.0.113.1\r\n",
    `${SEEN}x-forwarded-for: 198.51.100.1\r\nA: b\r\nX-Forwarded-For : 203.0.113.1, 192.0.2.1\r\n`,
  ],
  [
    "after a folded one",
    "GET /",
    "X-Forwarded-For: 198.51.100.1,\r\n 203.0.113.1\r\nA: b\r\n",
    `${SEEN}X-Forwarded-For: 198.51.100.1,\r\n 203.0.113.1, 192.0.2.1\r\nA: b\r\n`,
  ],
  ["in an empty one", "GET /", "X-Forwarded-For:\r\n", `${SEEN}X-Forwarded-For: 192.0.2.1\r\n`],
  [
    "existing fields stay",
    "GET /",
    "X-Forwarded-Proto: https\r\nX-FORWARDED-PORT: 443\r\nX-Forwarded-Host: b\r\n",
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-FORWARDED-PORT: 443\r\nX-Forwarded-Host: b\r\n",
  ],
];
test.each(forwarded)("--forwarded: %s", (_, line, fields, want) =>
  expect(edit(`${line} HTTP/1.1\r\n${fields}\r\n`, { forwarded: true })).toBe(`${line} HTTP/1.1\r\n${want}\r\n`),
);

test("edits have an order: removals come first, and --forwarded sees the Host of production", () => {
  const head = "GET http://prod.example/v1 HTTP/1.1\r\nHost: prod.example\r\nX-Forwarded-For: me\r\nX: y\r\n\r\n";
  const edits = {
    rewritePath: [{ regex: "v1", text: "v2" }],
    removeHeader: ["x", "x-forwarded-for"],
    host: "test.example",
    setHeader: [["A", "b"]] as const,
    forwarded: true,
    mark: true,
  };
  expect(edit(head, edits)).toBe(
    "GET http://test.example/v2 HTTP/1.1\r\nHost: test.example\r\nA: b\r\nX-Mirrored-From: 192.0.2.1\r\n" +
      `${SEEN}X-Forwarded-Host: prod.example\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n`,
  );
});

const SEEDS =
  process.env["SEED"] === undefined ? Array.from({ length: 3000 }, (_, i) => i) : [Number(process.env["SEED"])];

test("after any edits, a request has the same end, and the same clarity (again with SEED)", () => {
  let checked = 0;
  for (const seed of SEEDS) {
    const random = new Random(seed);
    const text = randomRequest(random, random.next());
    const { requests, events } = frame([random.chance(0.3) ? mutate(random, text) : text]);
    const [request] = requests;
    if (request === undefined || events[0] !== "whole") continue;
    const editor = new HeadEditor(
      editsOf({
        rewritePath: random.chance(0.5)
          ? [readRewrite(random.pick(["^.*$=>/", "/=>", "[a-z]+=>$0$0", " .*=>", "(.)$=>/$1$1x"])) as Rewrite]
          : [],
        removeHeader: ["x", "host", "cookie", "accept", "x-a", "trailer"].filter(() => random.chance(0.4)),
        host: random.chance(0.3) ? "test.example" : undefined,
        setHeader: random.chance(0.3) ? [["X-Set", "GET / HTTP/1.1"]] : [],
        forwarded: random.chance(0.5),
        mark: random.chance(0.3),
      }),
    );
    const [head, body] = [request.text.slice(0, request.headLength), request.text.slice(request.headLength)];
    const edited = Buffer.from(editor.edit(new HeadView(head), CLIENT)).toString("latin1");
    const again = frame([edited + body]);
    const { method, minorVersion, bodyLength, wantsUpgrade } = request;
    const want = { method, minorVersion, bodyLength, wantsUpgrade };
    expect({ seed, edited, events: again.events }).toEqual({ seed, edited, events: ["whole"] });
    expect(again.requests[0]).toMatchObject({ ...want, text: edited + body, headLength: edited.length });
    if (!request.isIsolated) expect(again.requests[0]!.isIsolated).toBe(false);
    checked++;
  }
  expect(checked).toBeGreaterThan(SEEDS.length / 3);
});
