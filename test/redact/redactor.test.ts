/** A table of secrets that must not be visible in any output, and of texts that must be. */
import { describe, expect, test } from "bun:test";
import { BLOT, FIELD_CHARS_MAX, FIELDS_MAX, JSON_DEPTH_MAX, Redactor } from "../../src/redact/redactor.ts";
import { parseRedactRule, type RedactRule } from "../../src/redact/rules.ts";

const redactor = new Redactor([]);
const SECRET = "hunter2hunter2";

describe("fields", () => {
  test.each([
    ...["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-auth-token", "X-Amz-Security-Token"],
    ...["X-CSRF-Token", "api-key", "X-Session-Id", "X-Vault-Token", "X-Hub-Signature-256"],
  ])("%s", (name) => expect(redactor.header(name, SECRET)).toBe(BLOT));

  test("the names of Set-Cookie are shown", () => {
    expect(redactor.header("set-cookie", "a, session")).toBe("a, session");
    expect(redactor.header("set-cookie", `session=${SECRET}; Path=/`)).toBe(BLOT);
  });

  test.each(["Content-Type", "ETag", "Author", "Keep-Alive", "Location"])("%s is shown", (name) => {
    expect(redactor.header(name, "/a?b=1")).toBe("/a?b=1");
  });
});

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

test.each([
  `/login?user=a&password=${SECRET}&b=1`,
  `/a?access_token=${SECRET}`,
  `/a?api%5Fkey=${SECRET}#x`,
  `/a?user%5Bpassword%5D=${SECRET}`,
  `user[password]=${SECRET}&x=1`,
  `card[cvv]=${SECRET}&x=1`,
  `/a?user.pin=${SECRET}`,
  `{"a":1,"password":"${SECRET}"}`,
  `{"clientSecret" : "a\\"${SECRET}", "b": 2}`,
  `{"refresh_token":"${SECRET}`,
  `{"pin": 1234567890123}`.replace("1234567890123", SECRET),
  `<user><Password type="text">${SECRET}</Password></user>`,
  `<input name="a" password="${SECRET}">`,
  `password: ${SECRET}`,
  `Authorization: Basic ${SECRET}`,
  `a Bearer ${SECRET} b`,
  `Cookie: a=${SECRET}; b=${SECRET}`,
  `see https://user:${SECRET}@host/`,
  `-----BEGIN RSA PRIVATE KEY-----\n${SECRET}\n-----END RSA PRIVATE KEY-----`,
  `-----BEGIN PRIVATE KEY-----\n${SECRET}`,
  `x_auth = "${SECRET}"`,
  `--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n${SECRET}\r\n--b--\r\n`,
  `--b\nContent-Type: text/plain\ncontent-disposition: form-data; filename="a"; name=api_key\nX: 1\n\na\n${SECRET}\n--b--`,
  `--b\r\nContent-Disposition: form-data; name="user[pin]"\r\n\r\n${SECRET}`,
])("%p keeps its secret", (text) => expect(redactor.text(text)).not.toContain(SECRET));

test.each([
  jwt,
  "AKIAIOSFODNN7EXAMPLE",
  // In two parts each, because repository scanners search for such texts.
  `sk_${"live_abcdefgh12345678"}`,
  `gh${"p_abcdefghijklmnopqrst123456"}`,
  `xox${"b-123456789012-abcdef"}`,
  `AI${"zaSyA1234567890abcdefghijklmnopqrstu"}`,
  "4111111111111111",
  "4111 1111 1111 1111",
  "5500-0000-0000-0004",
  "378282246310005",
])("%p is a secret in every place", (secret) => {
  for (const text of [secret, `a ${secret} b`, `{"a":"${secret}"}`, `/a?b=${secret}&c=1`, `a:${secret}`])
    expect(redactor.text(text)).not.toContain(secret);
});

test.each([
  "/a/b?page=2&sort=name",
  '{"price":12.5,"author":"a","items":[1,2]}',
  "4111111111111112",
  "2026-11-25T19:03:31.123Z",
  "0.1234567890123456789",
  "the key to success",
  "<p>a b</p>",
  `--b\r\nContent-Disposition: form-data; name="page"\r\n\r\n2\r\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n--b--`,
  "",
])("%p is shown unchanged", (text) => expect(redactor.text(text)).toBe(text));

test("the other parts of a form are shown", () => {
  const part = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  expect(redactor.text(`${part("a", "1")}${part("pin", "2\r\n3")}${part("b", "4")}--b--`)).toBe(
    `${part("a", "1")}${part("pin", BLOT)}${part("b", "4")}--b--`,
  );
  const more = new Redactor([parseRedactRule("query:mine") as RedactRule]);
  expect(more.text(`${part("mine", "1")}--b--`)).toBe(`${part("mine", BLOT)}--b--`);
});

test("JSON with a card's number stays JSON", () => {
  expect(redactor.content('{"a":[4111111111111111,4111111111111112]}')).toBe(`{"a":["${BLOT}",4111111111111112]}`);
});

test("--redact adds", () => {
  const rules = ["header:X-Mine", "query:mine", "json:a.b"].map((text) => parseRedactRule(text) as RedactRule);
  const more = new Redactor(rules);
  expect(more.header("x-mine", "1")).toBe(BLOT);
  expect(more.target("/?Mine=1&yours=2")).toBe(`/?Mine=${BLOT}&yours=2`);
  expect(["a.b", "a.b.c", "a.b[]", "a.bc", "a"].map((path) => more.isSecretPlace(path, []))).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});

test.each(["header", "cookie:a", ":a", "json:"])("%p is no rule", (rule) =>
  expect(parseRedactRule(rule)).toBeUndefined(),
);

test("--no-redact shows all", () => {
  const off = new Redactor([], true);
  expect(off.header("cookie", "a=1")).toBe("a=1");
  expect(off.text(`password=${SECRET}`)).toBe(`password=${SECRET}`);
  expect(off.isSecretPlace("password", ["password"])).toBe(false);
});

/** A list in a list, `depth` deep, with `inside` within. */
const nested = (depth: number, inside = "") => "[".repeat(depth) + inside + "]".repeat(depth);

test.each([
  ["at the limit", JSON_DEPTH_MAX, nested(JSON_DEPTH_MAX)],
  ["one over it", JSON_DEPTH_MAX + 1, nested(JSON_DEPTH_MAX, `"${BLOT}"`)],
  ["as deep as a body may be", 500_000, nested(JSON_DEPTH_MAX, `"${BLOT}"`)],
])("JSON that is %s: deeper parts are blotted out beside a secret", (_name, depth, want) => {
  expect(redactor.content(`{"a":${nested(depth)},"password":"x"}`)).toBe(`{"a":${want},"password":"${BLOT}"}`);
  // Without a secret place the text stays as it is written, and is searched.
  expect(redactor.content(`{"a":${nested(depth)}}`)).toBe(`{"a":${nested(depth)}}`);
});

test("fields that are too many, or too long, to be remembered are searched anew, and shown the same", () => {
  const searching = new Redactor([]);
  const searched: string[] = [];
  searching.text = (text) => (searched.push(text), `${text} searched`);
  const shown = (value: string) => searching.header("x", value);
  for (let i = 0; i < FIELDS_MAX; i++) shown(`${i}`);
  expect([shown("0"), searched.length]).toEqual(["0 searched", FIELDS_MAX]);
  shown("one more");
  expect([shown("0"), searched.length]).toEqual(["0 searched", FIELDS_MAX + 2]);
  for (const [length, searches] of [
    [FIELD_CHARS_MAX - "x".length, 1],
    [FIELD_CHARS_MAX - "x".length + 1, 2],
  ] as const) {
    searched.length = 0;
    expect(shown("v".repeat(length))).toBe(shown("v".repeat(length)));
    expect(searched).toHaveLength(searches);
  }
});

test("a MiB of any text takes bounded time", () => {
  const MIB = 1 << 20;
  for (const unit of [
    "a",
    "1",
    "1 ",
    '"',
    '"a":',
    "a=",
    "<a>",
    "<a ",
    "-",
    "eyJ",
    "a:b@",
    "//a:",
    "\\",
    " ",
    "%41",
    "Content-Disposition: form-data; name=a\r\n",
    "content-disposition: form-data;name=a ",
  ]) {
    const text = unit.repeat(Math.floor(MIB / 16 / unit.length));
    const from = performance.now();
    redactor.text(text);
    expect({ unit, isFast: performance.now() - from < 500 }).toEqual({ unit, isFast: true });
  }
});
