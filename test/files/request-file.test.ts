/** Files of requests: a connection's requests are in them correctly, in every state of the disk. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RefusalError } from "../../src/errors.ts";
import { fileCounters } from "../../src/files/counters.ts";
import { FileConnector } from "../../src/files/file-connector.ts";
import type { FiledResponse } from "../../src/files/filed-response.ts";
import { AHEAD_BYTES_MAX, AWAITING_BYTES_MAX, RequestFile, WAITING_BYTES_MAX } from "../../src/files/request-file.ts";
import { Slices } from "../../src/files/slices.ts";
import type { SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { parseRedactRule, type RedactRule } from "../../src/redact/rules.ts";
import { Redactor } from "../../src/redact/redactor.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "request-file-test-"));
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));
const DIRECTORY = join(FOLDER, "files");
beforeEach(() => {
  rmSync(DIRECTORY, { recursive: true, force: true });
  mkdirSync(DIRECTORY);
});

const TIME_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const TIME = "2026-01-02T03:04:05.006Z";
const LIMITS = { maxHeaderBytes: 1000, maxRequestBytes: 10_000, maxCompareBytes: 5000 };

interface Options {
  name?: string;
  fileBytesMax?: number;
  thread?: number;
  redactor?: Redactor;
}

class Filing {
  readonly counters = fileCounters();
  readonly failures: string[] = [];
  readonly file: RequestFile;
  readonly connector: FileConnector;

  constructor({ name = "requests.ndjson", fileBytesMax = 1 << 20, thread, redactor }: Options = {}) {
    const report = { fileFailed: (_path: string, reason: string) => void this.failures.push(reason) };
    this.file = new RequestFile({ path: join(DIRECTORY, name), fileBytesMax, thread }, this.counters, report);
    const own = {
      file: this.file,
      limits: LIMITS,
      redactor: redactor ?? new Redactor([], true),
      counters: this.counters,
      slices: new Slices(),
    };
    this.connector = new FileConnector(own);
  }

  /**
   * Sends bytes in pieces on one connection. Returns the status codes, when there are this many or the connection
   * closes.
   */
  async send(pieces: readonly (string | Buffer)[], responses = 1): Promise<(number | "closed")[]> {
    const told: (number | "closed")[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const events: SocketEvents = {
      capturedMs: TIME_MS,
      opened: (socket: UpstreamSocket) => {
        for (const piece of pieces) {
          const bytes = Buffer.from(piece as string, "latin1");
          expect(socket.write(bytes, 0, bytes.length)).toBe(bytes.length);
        }
      },
      failed: () => {},
      writable: () => {},
      received: (bytes) => {
        told.push(Number(new TextDecoder().decode(bytes).slice(9, 12)));
        if (told.length === responses) resolve();
      },
      ended: () => {},
      closed: () => {
        told.push("closed");
        resolve();
      },
    };
    this.connector.connect(null, events);
    await promise;
    return told;
  }
}

const names = () => readdirSync(DIRECTORY).toSorted();
const read = (name: string) => readFileSync(join(DIRECTORY, name), "utf8");
const lines = (name: string) =>
  read(name)
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const post = (body: string, fields = "") =>
  `POST /p HTTP/1.1\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;

describe("the entry of a request", () => {
  const utf8 = (text: string) => Buffer.from(text).toString("latin1");
  const bodies: [what: string, request: string, want: object][] = [
    ["none", "GET / HTTP/1.1\r\n\r\n", {}],
    ["empty", post(""), {}],
    ["text", post("a\r\nb"), { body: "a\r\nb" }],
    ["UTF-8", post(utf8("ü€😀")), { body: "ü€😀" }],
    ["with a byte order mark", post("\xef\xbb\xbfa"), { body: "\ufeffa" }],
    ["bytes", post("\xff\x00"), { body_base64: "/wA=" }],
    [
      "in chunks",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
      { body: "abc" },
    ],
  ];

  test.each(bodies)("body: %s", async (_what, request, want) => {
    for (const pieces of [[request], [...request]]) {
      const filing = new Filing();
      expect(await filing.send(pieces)).toEqual([204]);
      await filing.file.end();
      const [{ body, body_base64 }] = lines("requests.ndjson");
      expect({
        ...(body === undefined ? {} : { body }),
        ...(body_base64 === undefined ? {} : { body_base64 }),
      }).toEqual(want);
    }
  });

  test("the whole head, in its order", async () => {
    const filing = new Filing();
    await filing.send(["OPTIONS * HTTP/1.0\r\nB: 1\r\na:\t2 \r\nB: 3\r\n  4\r\nC:\r\nD: \xfc\r\n\r\n"]);
    await filing.file.end();
    const headers = [
      ["B", "1"],
      ["a", "2"],
      ["B", "3 4"],
      ["C", ""],
      ["D", "ü"],
    ];
    expect(lines("requests.ndjson")).toEqual([{ time: TIME, connection: 1, method: "OPTIONS", target: "*", headers }]);
  });

  const responses: [what: string, request: string, want: (number | "closed")[], filed: number][] = [
    ["two in one write", "GET / HTTP/1.1\r\n\r\n".repeat(2), [204, 204], 2],
    ["the last one", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", [204, "closed"], 1],
    ["CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", [405], 1],
    ["one that offers another protocol", "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", [204], 1],
    ["the largest", post("x".repeat(LIMITS.maxRequestBytes)), [204], 1],
    ["too large a one", post("x".repeat(LIMITS.maxRequestBytes + LIMITS.maxHeaderBytes)), [413], 0],
    ["one after that", post("x".repeat(20_000)) + post("y"), [413, 204], 1],
    ["TLS", "\x16\x03\x01\0\x05hello", ["closed"], 0],
  ];
  test.each(responses)("%s is responded to", async (_what, request, want, filed) => {
    const filing = new Filing();
    expect((await filing.send([request], want.length)).toSorted()).toEqual(want.toSorted());
    await filing.file.end();
    expect(lines("requests.ndjson").length).toBe(filed);
    expect(filing.counters.requests).toBe(filed);
    expect(filing.counters.dropped_requests).toBe(want.includes(413) ? 1 : 0);
  });
});

describe("secrets", () => {
  const rules = ["header:X-Mine", "query:mine", "json:user.name"].map((text) => parseRedactRule(text) as RedactRule);
  const redacted: [what: string, request: string, gone: string][] = [
    ["a field", "GET / HTTP/1.1\r\nX-Mine: abc\r\n\r\n", "abc"],
    ["a parameter", "GET /?mine=abc HTTP/1.1\r\n\r\n", "abc"],
    ["a JSON member by its path", post('{"user":{"name":"abc"}}'), "abc"],
    ["a JSON object by its name", post('{"token":{"a":["abc"]}}'), "abc"],
    ["a form's field", post("a=1&password=abc"), "abc"],
    ["bytes", post("\xff password=abc"), Buffer.from("password=abc").toString("base64").slice(4, 12)],
    ["a compressed body", post("abc", "Content-Encoding: gzip\r\n"), "abc"],
  ];
  test.each(redacted)("%s", async (_what, request, gone) => {
    for (const redactor of [new Redactor(rules), new Redactor(rules, true)]) {
      for (const name of ["requests.ndjson", "requests.har"]) {
        const filing = new Filing({ redactor, name });
        await filing.send([request]);
        await filing.file.end();
        if (!redactor.showsAll) expect(read(name)).not.toContain(gone);
        else if (!request.includes("\xff")) expect(read(name)).toContain(gone);
      }
    }
  });
});

test("a HAR has everything that HAR 1.2 requires", async () => {
  const filing = new Filing({ name: "requests.har" });
  expect(JSON.parse(read("requests.har")).log.entries).toEqual([]);
  const fields = "Host: a.test\r\nContent-Type: text/plain\r\n";
  await filing.send(
    [post("b", fields) + "GET http://b.test/?x=1&y HTTP/1.1\r\nHost: b.test\r\n\r\n" + post("\xff")],
    3,
  );
  await filing.file.end();
  const { log } = JSON.parse(read("requests.har"));
  expect(log).toMatchObject({ version: "1.2", creator: { name: "vxlan-to-http", version: expect.any(String) } });
  const [first, second, third] = log.entries;
  const response = { status: 0, statusText: "", httpVersion: "HTTP/1.1", cookies: [], headers: [], redirectURL: "" };
  expect(first).toEqual({
    startedDateTime: TIME,
    time: 0,
    request: {
      method: "POST",
      url: "http://a.test/p",
      httpVersion: "HTTP/1.1",
      cookies: [],
      headers: [
        { name: "Host", value: "a.test" },
        { name: "Content-Type", value: "text/plain" },
        { name: "Content-Length", value: "1" },
      ],
      queryString: [],
      postData: { mimeType: "text/plain", text: "b" },
      headersSize: -1,
      bodySize: -1,
    },
    response: { ...response, content: { size: 0, mimeType: "" }, headersSize: -1, bodySize: -1 },
    cache: {},
    timings: { send: 0, wait: 0, receive: 0 },
    connection: "1",
  });
  const queryString = [
    { name: "x", value: "1" },
    { name: "y", value: "" },
  ];
  expect(second.request).toMatchObject({ url: "http://b.test/?x=1&y", queryString });
  expect(third.request).toMatchObject({
    url: "http://localhost/p",
    postData: { mimeType: "", text: "/w==", _encoding: "base64" },
  });
});

describe("the disk", () => {
  test.each([".ndjson", ".har"])(
    "%s: no file is larger than it may be, and none has less than it could",
    async (end) => {
      const filing = new Filing({ name: `requests${end}`, fileBytesMax: 3000, thread: 2 });
      for (let i = 0; i < 30; i++) await filing.send([post("x".repeat(100 + i))]);
      // Larger than the limit of a file: it has a file for itself.
      await filing.send([post("y".repeat(5000)) + post("z")], 2);
      await filing.file.end();
      const files = names();
      const sizes = files.map((name) => statSync(join(DIRECTORY, name)).size);
      const large = files.findIndex((name) => read(name).includes("yyy"));
      sizes.forEach((size, i) => expect(size <= 3000).toBe(i !== large));
      const inOrder = [`requests.t2${end}`, ...files.slice(1).map((_, i) => `requests.t2.${i + 1}${end}`)];
      expect(files.toSorted()).toEqual(inOrder.toSorted());
      const entries = inOrder.map((name) => (end === ".har" ? JSON.parse(read(name)).log.entries : lines(name)));
      expect(entries.flat().length).toBe(32);
      expect(entries.slice(0, -3).every((each) => each.length > 1)).toBe(true);
      expect(filing.counters.requests).toBe(32);
    },
  );

  test("a file is created new, only for its owner", async () => {
    writeFileSync(join(DIRECTORY, "requests.ndjson"), "old", { mode: 0o644 });
    const filing = new Filing();
    await filing.file.end();
    expect([read("requests.ndjson"), statSync(join(DIRECTORY, "requests.ndjson")).mode & 0o777]).toEqual(["", 0o600]);
    expect(names()).toEqual(["requests.ndjson"]);
  });

  test("a path that is no regular file is refused, and not touched", () => {
    const other = join(FOLDER, "other");
    writeFileSync(other, "kept");
    symlinkSync(other, join(DIRECTORY, "requests.ndjson"));
    expect(() => new Filing()).toThrow(RefusalError);
    expect(readFileSync(other, "utf8")).toBe("kept");
    mkdirSync(join(DIRECTORY, "requests.har"));
    expect(() => new Filing({ name: "requests.har" })).toThrow(RefusalError);
    expect(() => new Filing({ name: "none/requests.har" })).toThrow(RefusalError);
    expect(names()).toEqual(["requests.har", "requests.ndjson"]);
  });

  test("it ends if it may not remove the old file", async () => {
    const filing = new Filing();
    rmSync(join(DIRECTORY, "requests.ndjson.a"));
    mkdirSync(join(DIRECTORY, "requests.ndjson.a"));
    await filing.file.end();
    expect(names()).toEqual(["requests.ndjson", "requests.ndjson.a"]);
  });

  test("a file that cannot be created or inspected is refused with the reason, and nothing is left behind", () => {
    symlinkSync("loop", join(DIRECTORY, "loop"));
    mkdirSync(join(DIRECTORY, "a.ndjson.a"));
    writeFileSync(join(DIRECTORY, "plain"), "");
    const before = names();
    for (const [name, why] of [
      [`${"a".repeat(300)}.ndjson`, "its name is too long"],
      ["loop/a.ndjson", "it is a symbolic link"],
      ["a.ndjson", "a directory"],
      ["plain/a.ndjson", "there is no such directory"],
    ] as const) {
      expect(() => new Filing({ name })).toThrow(new RegExp(`^Cannot write requests to .*${why}`));
    }
    expect(names()).toEqual(before);
  });

  test("a link in place of the second file is not followed", async () => {
    const other = join(FOLDER, "second");
    writeFileSync(other, "kept");
    for (const name of ["a", "b"]) symlinkSync(other, join(DIRECTORY, `requests.ndjson.${name}`));
    const filing = new Filing();
    await filing.send([post("a"), post("b")], 2);
    await filing.file.end();
    expect(readFileSync(other, "utf8")).toBe("kept");
    expect(lines("requests.ndjson").length).toBe(2);
  });

  test("a file that is moved away is begun anew", async () => {
    const filing = new Filing();
    await filing.send([post("a")]);
    renameSync(join(DIRECTORY, "requests.ndjson"), join(DIRECTORY, "moved.ndjson"));
    expect(await filing.send([post("b")])).toEqual([204]);
    await filing.file.end();
    expect([lines("moved.ndjson")[0].body, lines("requests.ndjson")[0].body]).toEqual(["a", "b"]);
  });

  test("requests that cannot be written are counted and reported once; later requests are written when possible", async () => {
    const filing = new Filing({ name: "requests.har" });
    await filing.send([post("a")]);
    renameSync(DIRECTORY, `${DIRECTORY}-gone`);
    expect(await filing.send([post("b") + post("c")], 2)).toEqual([507, 507]);
    expect(await filing.send([post("d")])).toEqual([507]);
    expect(filing.counters).toMatchObject({ requests: 1, dropped_requests: 3 });
    expect(filing.failures.length).toBe(1);
    renameSync(`${DIRECTORY}-gone`, DIRECTORY);
    expect(await filing.send([post("e")])).toEqual([204]);
    await filing.file.end();
    const bodies = JSON.parse(read("requests.har")).log.entries.map(
      ({ request }: { request: { postData: { text: string } } }) => request.postData.text,
    );
    expect(bodies).toEqual(["a", "e"]);
    expect(names()).toEqual(["requests.har"]);
  });

  test("the waiting requests are limited", async () => {
    const filing = new Filing();
    const request = { timeMs: TIME_MS, connection: 1, method: "GET", target: "/", version: "HTTP/1.1", host: "" };
    const large = { ...request, headers: [], body: { text: "x".repeat(WAITING_BYTES_MAX / 2), isBase64: false } };
    const written: boolean[] = [];
    const add = () => filing.file.add(large, (isWritten) => void written.push(isWritten));
    expect([add(), add()]).toEqual([true, false]);
    expect(filing.counters.dropped_requests).toBe(1);
    await filing.file.end();
    expect(written).toEqual([true]);
    expect(existsSync(join(DIRECTORY, "requests.ndjson.a"))).toBe(false);
  });
});

describe("with production's responses", () => {
  const request = { timeMs: TIME_MS, connection: 1, method: "GET", target: "/", version: "HTTP/1.1", host: "" };
  const ofBody = (length: number, target = "/") => ({
    ...request,
    target,
    headers: [],
    body: { text: "x".repeat(length), isBase64: false },
  });
  const times = { requestMs: TIME_MS, firstMs: TIME_MS, lastMs: TIME_MS };
  const lengths = { contentLength: 0, bodyLength: 0, headLength: 0, sha256: undefined };
  const response = (text = ""): FiledResponse => ({
    ...{ status: 200, statusText: "", version: "HTTP/1.1", headers: [], body: { text, isBase64: false } },
    ...lengths,
    ...times,
  });

  /** Requests with responses that the test sends, each by its place. */
  class Awaited {
    readonly filing = new Filing({ fileBytesMax: 1 << 30 });
    readonly tells: ((response: FiledResponse | null) => void)[] = [];
    readonly filed: number[] = [];

    add(filed: ReturnType<typeof ofBody>): void {
      const place = this.tells.length;
      const isTaken = this.filing.file.add(
        filed,
        () => this.filed.push(place),
        (tell) => this.tells.push(tell),
      );
      expect(isTaken).toBe(true);
    }
  }

  test("a request waits for its own response, and is written once; at the end it is written without one", async () => {
    const awaited = new Awaited();
    for (const target of ["/0", "/1", "/2", "/3"]) awaited.add(ofBody(1, target));
    // Their clients need not wait.
    expect(awaited.filed).toEqual([0, 1, 2, 3]);
    awaited.tells[2]!(response("two"));
    awaited.tells[0]!(null);
    awaited.tells[2]!(response("again"));
    await awaited.filing.file.end();
    awaited.tells[3]!(response("late"));
    const written = lines("requests.ndjson").map(({ target, response: said }) => [target, said?.body]);
    expect(written).toEqual([
      ["/2", "two"],
      ["/0", undefined],
      ["/1", undefined],
      ["/3", undefined],
    ]);
    expect(awaited.filed).toEqual([0, 1, 2, 3]);
    expect(awaited.filing.counters).toMatchObject({ requests: 4, responses: 1, dropped_responses: 0 });
  });

  test.each([0, 1])(
    "while as much waits for the disk as may, and %d more, those that bring more wait",
    async (more) => {
      const awaited = new Awaited();
      const { file, counters } = awaited.filing;
      file.add(ofBody(0), () => {});
      await Bun.sleep(0);
      while (counters.bytes === 0) await Bun.sleep(1);
      // An entry's bytes, without its body.
      const around = counters.bytes;
      file.add(ofBody(AHEAD_BYTES_MAX - around + more), () => {});
      awaited.add(ofBody(1));
      expect(awaited.filed).toHaveLength(1 - more);
      await file.end();
      expect([awaited.filed, counters.requests]).toEqual([[0], 3]);
    },
  );

  test("if the waiting requests hold too many bytes, the oldest is written without a response", async () => {
    const awaited = new Awaited();
    const third = ofBody(Math.floor(AWAITING_BYTES_MAX / 3));
    for (let i = 0; i < 3; i++) awaited.add(third);
    // The bytes around their bodies make them one too many.
    expect(awaited.filing.counters.dropped_responses).toBe(1);
    awaited.tells.forEach((tell) => tell(response()));
    await awaited.filing.file.end();
    expect(lines("requests.ndjson").map(({ response: said }) => said?.status)).toEqual([undefined, 200, 200]);
    expect(awaited.filing.counters).toMatchObject({ requests: 3, responses: 2, dropped_requests: 0 });
  });

  test("a response without room is left out, and its request is written", async () => {
    const awaited = new Awaited();
    for (let i = 0; i < 3; i++) awaited.add(ofBody(1));
    const half = "x".repeat(WAITING_BYTES_MAX / 2);
    awaited.tells.forEach((tell) => tell(response(half)));
    await awaited.filing.file.end();
    expect(awaited.filing.counters).toMatchObject({ requests: 3, responses: 1, dropped_responses: 2 });
  });

  test("while much waits for the disk, the client of a new request waits too", async () => {
    const awaited = new Awaited();
    awaited.add(ofBody(1));
    awaited.tells[0]!(response("x".repeat(10 << 20)));
    awaited.add(ofBody(1));
    expect(awaited.filed).toEqual([0]);
    while (awaited.filed.length < 2) await new Promise(setImmediate);
    awaited.tells[1]!(null);
    await awaited.filing.file.end();
    expect(awaited.filed).toEqual([0, 1]);
  });
});
