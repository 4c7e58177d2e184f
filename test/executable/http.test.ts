/** Mode http through the real executable: the requests that arrive, their form, and the counters. */
import { afterAll, describe, expect, test } from "bun:test";
import net from "node:net";
import { bytes, type CapturedFrame, pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { PORT, session, VNI } from "./sessions.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

interface Forwarded {
  status: number | null;
  stderr: string;
  counters: any;
}

/** Forwards a capture with --read; the counters come from --summary. */
async function forward(frames: CapturedFrame[], port: number, ...flags: string[]): Promise<Forwarded> {
  const summary = directory.file("summary.json", "");
  const capture = directory.file("mirror.pcap", pcap(frames));
  const { status, stderr } = await run([
    ...flags,
    "--summary",
    summary,
    "--read",
    capture,
    String(VNI),
    String(PORT),
    `127.0.0.1:${port}`,
  ]);
  return { status, stderr, counters: await Bun.file(summary).json() };
}

function get(path: string, fields = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: production.example\r\n${fields}\r\n`;
}

function post(path: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: production.example\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** An HTTP endpoint that keeps the requests, as text. */
function endpoint(answer: (request: string) => Response | Promise<Response> = () => new Response("ok")) {
  const got: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const text = `${request.method} ${new URL(request.url).pathname} ${await request.text()}`.trimEnd();
      got.push(text);
      return answer(text);
    },
  });
  return { got, port: server.port!, [Symbol.dispose]: () => void server.stop(true) };
}

/** A TCP endpoint: `serve` gets each connection with its number, from 0. */
async function rawEndpoint(serve: (socket: net.Socket, number: number) => void) {
  let number = 0;
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    serve(socket, number++);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    connections: () => number,
    [Symbol.dispose]: () => void server.close(),
  };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

describe("whole requests", () => {
  test("a thousand on one connection, ten to a segment, all arrive in order", async () => {
    using to = endpoint();
    const paths = Array.from({ length: 1000 }, (_, i) => `/${i}`);
    const segments = Array.from({ length: 100 }, (_, i) =>
      paths
        .slice(i * 10, i * 10 + 10)
        .map((path) => get(path))
        .join(""),
    );
    const { status, counters } = await forward(session(segments), to.port);
    expect(status).toBe(0);
    expect(to.got).toEqual(paths.map((path) => `GET ${path}`));
    expect(counters.requests).toMatchObject({ seen: 1000, forwarded: 1000, answered: 1000, damaged: 0 });
    expect(counters.responses).toMatchObject({ "2xx": 1000, unanswered: 0 });
  });

  test("the next is sent after the response to the previous one, and not earlier", async () => {
    let unanswered = 0;
    let most = 0;
    using to = endpoint(async () => {
      most = Math.max(most, ++unanswered);
      await Bun.sleep(5);
      unanswered--;
      return new Response("ok");
    });
    await forward(session([get("/1") + get("/2") + get("/3"), get("/4")]), to.port);
    expect(to.got).toEqual(["GET /1", "GET /2", "GET /3", "GET /4"]);
    expect(most).toBe(1);
  });

  test("arrive byte for byte", async () => {
    const request = `POST /x?a=b HTTP/1.1\r\nhOST:  production.example \r\nX-Folded: a\r\n b\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: t\r\n\r\n`;
    let got = "";
    using to = await rawEndpoint((socket) => {
      socket.on("data", (data) => {
        got += data.toString("latin1");
        if (got.endsWith("Trailer: t\r\n\r\n")) socket.write(OK);
      });
    });
    const { counters } = await forward(session([...request]), to.port);
    expect(got).toBe(request);
    expect(counters.requests).toMatchObject({ forwarded: 1, answered: 1 });
  });

  test("larger than --max-request-bytes are streamed, and arrive whole", async () => {
    using to = endpoint();
    const body = "x".repeat(100_000);
    const pieces = post("/large", body).match(/[\s\S]{1,8000}/g)!;
    const { counters } = await forward(session([...pieces, get("/next")]), to.port, "--max-request-bytes", "1000");
    expect(to.got).toEqual([`POST /large ${body}`, "GET /next"]);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
  });

  test("with --host, --set-header and --mark, only those fields are changed", async () => {
    let got = "";
    using to = await rawEndpoint((socket) => {
      socket.on("data", (data) => {
        got += data.toString("latin1");
        socket.write(OK);
      });
    });
    const marked = get("/marked", "X-Mirrored-From: 192.0.2.1\r\n");
    const { counters } = await forward(
      session([get("/", "X-A: 1\r\nX-B: 2\r\n"), marked]),
      to.port,
      "--host",
      "test.example",
      "--set-header",
      "X-A: changed",
      "--mark",
    );
    expect(got.split("\r\n").sort()).toEqual([
      "",
      "",
      "GET / HTTP/1.1",
      "Host: test.example",
      "X-A: changed",
      "X-B: 2",
      "X-Mirrored-From: 10.0.0.1",
    ]);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 1, dropped: { loop: 1 } });
  });
});

describe("requests with a hole", () => {
  const [syn, first, , third, fin] = session([post("/1", "aaaa"), post("/2", "bbbb"), post("/3", "cccc")]);

  test("between others are damaged, and the others arrive", async () => {
    using to = endpoint();
    const { counters } = await forward([syn!, first!, third!, fin!], to.port);
    expect(to.got).toEqual(["POST /1 aaaa", "POST /3 cccc"]);
    expect(counters.requests).toMatchObject({ seen: 3, forwarded: 2, damaged: 1, damage: { gap: 1 } });
  });

  test("in the body leave the next one whole, although no segment begins with it", async () => {
    using to = endpoint();
    const whole = post("/1", "a".repeat(300)) + get("/2");
    const [syn1, ...pieces] = session([whole.slice(0, 200), whole.slice(200, 300), whole.slice(300)]);
    const { counters } = await forward([syn1!, pieces[0]!, pieces[2]!, pieces[3]!], to.port);
    expect(to.got).toEqual(["GET /2"]);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 1, damaged: 1 });
  });

  test("in the head: the body is recognised as a body, although it looks like a request", async () => {
    using to = endpoint();
    const body = get("/nested");
    const head = `POST /1 HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: ${body.length}\r\n\r\n`;
    const frames = session([head.slice(0, 20), head.slice(20), body, get("/2")]);
    const { counters } = await forward(frames.toSpliced(1, 1), to.port);
    expect(to.got).toEqual(["GET /2"]);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 1, damaged: 1 });
  });

  test("in dense pipelining also cost the requests behind the hole, up to a packet that begins with a request: they are counted", async () => {
    using to = endpoint();
    const all = Array.from({ length: 30 }, (_, i) => get(`/${i}`)).join("");
    const third = all.indexOf("/3 ");
    const [syn1, one, , others, last, fin1] = session([all.slice(0, third), "/3 ", all.slice(third + 3), get("/end")]);
    const { counters } = await forward([syn1!, one!, others!, last!, fin1!], to.port);
    expect(to.got).toEqual(["GET /0", "GET /1", "GET /2", "GET /end"]);
    expect(counters.requests).toMatchObject({ seen: 5, forwarded: 4, damaged: 1, skipped_request_lines: 26 });
  });

  test("that are streamed reset their connection, so the endpoint never sees them as whole", async () => {
    const ends: string[] = [];
    using to = await rawEndpoint((socket) => {
      socket.on("data", () => {});
      socket.on("end", () => ends.push("end"));
      socket.on("error", (error: NodeJS.ErrnoException) => ends.push(error.code!));
    });
    const pieces = post("/large", "x".repeat(50_000)).match(/[\s\S]{1,5000}/g)!;
    const frames = session(pieces);
    const { counters } = await forward(frames.toSpliced(5, 1), to.port, "--max-request-bytes", "1000");
    expect(ends).toEqual(["ECONNRESET"]);
    expect(counters.requests).toMatchObject({ seen: 1, forwarded: 0, damaged: 1 });
  });
});

describe("an endpoint that ends its connection", () => {
  /** Reads to the end of a GET. */
  const onGet = (socket: net.Socket, then: (text: string) => void) =>
    socket.on("data", (data) => then(data.toString()));

  test("after each response gets the next request on another", async () => {
    const got: string[] = [];
    using to = await rawEndpoint((socket) => {
      onGet(socket, (text) => {
        got.push(text.split(" ")[1]!);
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      });
    });
    const { counters } = await forward(session([get("/1") + get("/2") + get("/3")]), to.port);
    expect(got).toEqual(["/1", "/2", "/3"]);
    expect(to.connections()).toBe(3);
    expect(counters.requests).toMatchObject({ forwarded: 3, answered: 3 });
  });

  test("before it responds gets an idempotent request again", async () => {
    const got: string[] = [];
    using to = await rawEndpoint((socket, number) => {
      onGet(socket, (text) => {
        got.push(text.split(" ")[1]!);
        if (number === 0) socket.destroy();
        else socket.write(OK);
      });
    });
    const { counters } = await forward(session([get("/1") + get("/2")]), to.port);
    expect(got).toEqual(["/1", "/1", "/2"]);
    expect(counters.requests).toMatchObject({ forwarded: 2, answered: 2 });
  });

  test("before it responds does not get other requests again: they are unanswered", async () => {
    const got: string[] = [];
    using to = await rawEndpoint((socket, number) => {
      onGet(socket, (text) => {
        got.push(text.split(" ")[1]!);
        if (number === 0) socket.destroy();
        else socket.write(OK);
      });
    });
    const { counters } = await forward(session([post("/1", "a") + get("/2")]), to.port);
    expect(got).toEqual(["/1", "/2"]);
    expect(counters.requests).toMatchObject({ forwarded: 2, answered: 1 });
    expect(counters.responses.unanswered).toBe(1);
  });

  test("to end its response gets the next request on another", async () => {
    const got: string[] = [];
    using to = await rawEndpoint((socket) => {
      onGet(socket, (text) => {
        got.push(text.split(" ")[1]!);
        socket.end("HTTP/1.1 200 OK\r\n\r\nbody without a length");
      });
    });
    const { counters } = await forward(session([get("/1") + get("/2") + get("/3")]), to.port);
    expect(got).toEqual(["/1", "/2", "/3"]);
    expect(counters.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
  });

  test("with an upgrade that no client asked for: its connection is closed, and the next request is framed as usual", async () => {
    const got: string[] = [];
    using to = await rawEndpoint((socket, number) => {
      onGet(socket, (text) => {
        got.push(text.split(" ")[1]!);
        socket.write(number === 0 ? "HTTP/1.1 101 Switching Protocols\r\n\r\n" : OK);
      });
    });
    const { counters } = await forward(session([get("/1"), get("/2"), get("/3")]), to.port);
    expect(got).toEqual(["/1", "/2", "/3"]);
    expect(counters.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 2 });
    expect(counters.responses.unanswered).toBe(1);
  });

  test("and one that never responds: its connection is closed after --response-timeout-ms", async () => {
    using to = await rawEndpoint((socket) => void socket.on("data", () => {}));
    const { counters, stderr } = await forward(session([get("/1")]), to.port, "--response-timeout-ms", "200");
    expect(counters.requests).toMatchObject({ forwarded: 1, answered: 0 });
    expect(counters.responses.unanswered).toBe(1);
    expect(stderr).toContain("no byte of a response within 200 ms");
  });
});

describe("other protocols than HTTP/1", () => {
  test("TLS is counted, reported once, and not forwarded", async () => {
    using to = endpoint();
    const hello = bytes([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00]);
    const { counters, stderr } = await forward(
      [...session([hello]), ...session([hello], 40_001), ...session([get("/")], 40_002)],
      to.port,
    );
    expect(to.got).toEqual(["GET /"]);
    expect(counters.foreign).toMatchObject({ tls: 2, discarded_bytes: 20 });
    expect(stderr.match(/foreign\.tls/g)).toHaveLength(1);
  });

  test("an accepted upgrade passes through, although bytes came before the response", async () => {
    let got = "";
    using to = await rawEndpoint((socket) => {
      socket.on("data", (data) => {
        got += data.toString("latin1");
        if (got.endsWith("\r\n\r\n"))
          setTimeout(
            () => socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            50,
          );
      });
      socket.on("end", () => socket.end());
    });
    const upgrade = get("/ws", "Connection: Upgrade\r\nUpgrade: x\r\n");
    const { counters } = await forward(session([`${upgrade}frame 1, `, "GET no request", "frame 2"]), to.port);
    expect(got).toBe(`${upgrade}frame 1, GET no requestframe 2`);
    expect(counters.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1 });
  });

  test("a refused upgrade goes on as HTTP", async () => {
    using to = endpoint();
    await forward(session([get("/ws", "Connection: Upgrade\r\nUpgrade: x\r\n"), get("/next")]), to.port);
    expect(to.got).toEqual(["GET /ws", "GET /next"]);
  });
});
