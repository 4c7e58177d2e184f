/** Upgrades that production declined and the endpoint accepts, and those that both accept. */
import { afterAll, describe, expect, test } from "bun:test";
import { start, TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { pcap } from "../support/frames.ts";
import { forward, identityFaults } from "./mirror.ts";
import { OK, RawEndpoint, type RawConnection } from "./raw-endpoint.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const PCAP_HEADER_LEN = 24;
const mine = { vni: VNI, port: PORT };

function get(path: string, fields = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: prod.example\r\n${fields}\r\n`;
}

const KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const WEBSOCKET = `Connection: Upgrade\r\nUpgrade: websocket\r\n${KEY}`;
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** Bun.serve, which accepts WebSockets at /ws. */
function webSocketServer() {
  const served: string[] = [];
  const opened = Promise.withResolvers<void>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request, server) {
      served.push(new URL(request.url).pathname);
      return server.upgrade(request) ? undefined : new Response("served");
    },
    websocket: { open: () => opened.resolve(), message() {} },
  });
  return {
    served,
    opened: opened.promise,
    address: `127.0.0.1:${server.port}`,
    [Symbol.dispose]: () => void server.stop(true),
  };
}

describe.concurrent("a WebSocket that production declined and the endpoint accepts is one request, and the next requests are framed", () => {
  const others = ["/1", "/2", "/3"];

  test.each([
    ["in a segment each", [get("/ws", WEBSOCKET), ...others.map((path) => get(path))]],
    ["in one segment", [get("/ws", WEBSOCKET) + others.map((path) => get(path)).join("")]],
    ["twice", [get("/ws", WEBSOCKET), get("/1"), get("/ws", WEBSOCKET), get("/2"), get("/3")]],
  ])("%s", async (_name, segments) => {
    using server = webSocketServer();
    const { status, counters } = await forward(
      { savefile: pcap(session(segments)), ...mine },
      server.address,
      directory,
    );
    const paths = segments.join("").match(/(?<=GET )\S+/g)!;
    expect(server.served).toEqual(paths);
    expect(counters.requests).toMatchObject({ seen: paths.length, forwarded: paths.length, answered: paths.length });
    expect(identityFaults(counters)).toEqual([]);
    expect(status).toBe(0);
  });

  test("from a client that waits before it goes on", async () => {
    using server = webSocketServer();
    const frames = session([get("/ws", WEBSOCKET), ...others.map((path) => get(path))]);
    const first = frames.slice(0, 2);
    const summary = directory.file("waits.json", "{}");
    const args = ["--summary", summary, "--read", "-", String(VNI), String(PORT), server.address];
    const running = start(args, { stdin: "open" });
    await running.write(pcap(first));
    await server.opened;
    await running.write(pcap(frames.slice(2)).subarray(PCAP_HEADER_LEN));
    await running.closeStdin();
    expect((await running.outcome).status).toBe(0);
    expect(server.served).toEqual(["/ws", ...others]);
    expect((await Bun.file(summary).json()).requests).toMatchObject({ seen: 4, forwarded: 4, answered: 4 });
  });
});

describe.concurrent("an upgrade that both accept passes through", () => {
  /** Accepts the first request's upgrade; responds to others. */
  const accepting = async () => {
    const endpoint: RawEndpoint = await RawEndpoint.listen({
      respond: (connection, request) => {
        if (!request.includes("Upgrade: websocket")) return void connection.socket.write(OK);
        endpoint.pass(connection);
        connection.socket.write(SWITCHED);
      },
    });
    return endpoint;
  };
  const MASKED_TEXT = "\x81\x85\x01\x02\x03\x04ignmn";

  test.each([
    ["a frame", [MASKED_TEXT]],
    ["several frames in pieces", [MASKED_TEXT.slice(0, 3), MASKED_TEXT.slice(3) + MASKED_TEXT, MASKED_TEXT]],
    ["text that begins like no request line", ["hello\r\n\r\n", "world"]],
  ])("%s", async (_name, pieces) => {
    using endpoint = await accepting();
    const segments = [get("/ws", WEBSOCKET), ...pieces].map((piece) => Uint8Array.from(Buffer.from(piece, "latin1")));
    const { counters } = await forward({ savefile: pcap(session(segments)), ...mine }, endpoint.address, directory);
    expect(endpoint.connections.map(({ rest }: RawConnection) => rest)).toEqual([pieces.join("")]);
    expect(counters.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 1 });
  });

  test("20 MB behind an offer with a late decision wait, and are not lost", async () => {
    const total = 20_000_000;
    const pieceBytes = 50_000;
    const decided = Promise.withResolvers<void>();
    using endpoint = await RawEndpoint.listen({
      respond: (connection) => {
        endpoint.pass(connection);
        // Bytes are no event of this connection: the executable holds them until the endpoint has decided.
        setTimeout(() => {
          connection.socket.write(SWITCHED);
          decided.resolve();
        }, 300);
      },
    });
    const pieces = Array.from({ length: total / pieceBytes }, () => new Uint8Array(pieceBytes).fill(0x41));
    const head = Uint8Array.from(Buffer.from(get("/ws", WEBSOCKET)));
    const savefile = pcap(session([head, ...pieces]));
    const { status, counters } = await forward({ savefile, ...mine }, endpoint.address, directory);
    await decided.promise;
    expect(endpoint.connections.map(({ rest }) => rest.length)).toEqual([total]);
    expect(counters.reassembly).toMatchObject({ gaps: 0, gap_bytes: 0 });
    expect(status).toBe(0);
  }, 20_000);
});
