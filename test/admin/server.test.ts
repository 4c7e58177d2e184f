/** The admin port, with good clients and bad ones. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import { HEAD_BYTES_MAX, HEAD_MS_MAX, RESPONSE_MS_MAX } from "../../src/admin/client.ts";
import { ADMIN_REJECTS, type AdminReject } from "../../src/admin/counters.ts";
import { told } from "../../src/admin/response.ts";
import { AdminServer, CONNECTIONS_MAX } from "../../src/admin/server.ts";
import { RefusalError } from "../../src/errors.ts";

/** More than the kernel takes at once. */
const LARGE = "x".repeat(32 << 20);
const LOOPBACK = "127.0.0.1";

let nowMs = 0;
let made = 0;
let server: AdminServer;
const clients: Client[] = [];

beforeEach(() => {
  nowMs = 0;
  made = 0;
  const page = () => told(200, `page ${++made}`);
  const routes = new Map([
    ["/", { page, fields: "X-Own: yes\r\n" }],
    ["/large", { page: () => told(200, LARGE) }],
  ]);
  server = new AdminServer({ host: LOOPBACK, port: 0 }, routes, () => nowMs);
});

afterEach(() => {
  for (const client of clients.splice(0)) client.socket.terminate();
  server.close();
});

/** A connection of a test. */
class Client {
  text = "";
  readonly ended = Promise.withResolvers<void>();
  socket!: Socket;
  private readonly waiting = new Set<() => void>();

  static async open(pauses = false): Promise<Client> {
    const client = new Client();
    client.socket = await Bun.connect({
      hostname: LOOPBACK,
      port: server.port,
      allowHalfOpen: true,
      socket: {
        open: (socket) => void (pauses && socket.pause()),
        data: (_socket, bytes) => client.take(bytes),
        end: (socket) => {
          client.ended.resolve();
          socket.end();
        },
        close: () => client.ended.resolve(),
        error: () => client.ended.resolve(),
      },
    });
    clients.push(client);
    return client;
  }

  private take(bytes: Uint8Array): void {
    this.text += new TextDecoder("latin1").decode(bytes);
    for (const look of this.waiting) look();
  }

  /** All bytes that came until the server ended the connection. */
  async response(): Promise<string> {
    await this.ended.promise;
    return this.text;
  }
}

async function ask(head: string): Promise<string> {
  const client = await Client.open();
  client.socket.write(head);
  return client.response();
}

const statusOf = (response: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(response)?.[1]);

/** The rejections, by reason, without zeros. */
const rejected = () =>
  Object.fromEntries(
    ADMIN_REJECTS.map((reason) => [reason, server.counters.rejected[reason]]).filter(([, n]) => n !== 0),
  );

const padded = (length: number) =>
  `GET / HTTP/1.1\r\nX: ${"a".repeat(length - "GET / HTTP/1.1\r\nX: \r\n\r\n".length)}\r\n\r\n`;

const HEADS: [name: string, head: string, status: number, reason?: AdminReject][] = [
  ["GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
  ["HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200],
  ["bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", 200],
  ["a query", "GET /?a=b HTTP/1.1\r\n\r\n", 200],
  ["absolute-form", "GET http://a:1/?b HTTP/1.1\r\n\r\n", 200],
  ["absolute-form without a path", "GET http://a HTTP/1.1\r\n\r\n", 200],
  ["an empty line before it", "\r\nGET / HTTP/1.1\r\n\r\n", 200],
  ["another request behind it", "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200],
  ["a head as long as may be", padded(HEAD_BYTES_MAX), 200],
  ["a head that is longer", padded(HEAD_BYTES_MAX + 1), 431, "header_limit"],
  ["bytes without an end", "x".repeat(HEAD_BYTES_MAX + 1), 431, "header_limit"],
  ["another path", "GET /etc/passwd HTTP/1.1\r\n\r\n", 404, "not_found"],
  ["a path out of it", "GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404, "not_found"],
  ["a name of Object's", "GET constructor HTTP/1.1\r\n\r\n", 404, "not_found"],
  ...["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"].map((method): [string, string, number, AdminReject] => [
    method,
    `${method} / HTTP/1.1\r\n\r\n`,
    405,
    "method",
  ]),
  ["a body", `POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd`, 405, "method"],
  ["a method in small letters", "get / HTTP/1.1\r\n\r\n", 405, "method"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"],
  ["no version", "GET /\r\n\r\n", 400, "malformed"],
  ["TLS", `\x16\x03\x01${"\0".repeat(100)}\n\n`, 400, "malformed"],
  ["nothing", "\r\n\r\n", 400, "malformed"],
];

const heads = HEADS.map(([name, head, status, reason]) => ({ name, head, status, reason }));
test.each(heads)("$name", async ({ head, status, reason }) => {
  expect(statusOf(await ask(head))).toBe(status);
  expect(server.counters).toMatchObject({ connections: 1, requests: reason === undefined ? 1 : 0 });
  expect(rejected()).toEqual(reason === undefined ? {} : { [reason]: 1 });
});

test("a head may come a byte at a time", async () => {
  const client = await Client.open();
  for (const byte of "GET / HTTP/1.1\r\n\r\n") client.socket.write(byte);
  expect(statusOf(await client.response())).toBe(200);
});

test("HEAD gives GET's head without the body; 405 names the served methods", async () => {
  const [get, head] = [await ask("GET / HTTP/1.1\r\n\r\n"), await ask("HEAD / HTTP/1.1\r\n\r\n")];
  expect(get).toEndWith("\r\n\r\npage 1\n");
  expect(head).toBe(get.slice(0, -"page 1\n".length));
  expect(head).toContain("\r\nContent-Length: 7\r\n");
  expect(head).toContain("\r\nX-Own: yes\r\n");
  expect(await ask("PUT / HTTP/1.1\r\n\r\n")).toContain("\r\nAllow: GET, HEAD\r\n");
});

test("a page is made once for each look, for any number of requests", async () => {
  for (let i = 0; i < 3; i++) await ask("GET / HTTP/1.1\r\n\r\n");
  expect(made).toBe(1);
  server.renew();
  expect(await ask("GET / HTTP/1.1\r\n\r\n")).toEndWith("page 2\n");
});

test("a page that the kernel does not take at once comes whole", async () => {
  const response = await ask("GET /large HTTP/1.1\r\n\r\n");
  expect(response.length - response.indexOf("\r\n\r\n") - 4).toBe(LARGE.length + 1);
});

describe("time", () => {
  test("a head that does not come in time gets a response that says so, even if it comes steadily", async () => {
    const client = await Client.open();
    client.socket.write("GET / HT");
    // The page is there before the time passes.
    await ask("GET / HTTP/1.1\r\n\r\n");
    nowMs = HEAD_MS_MAX - 1;
    client.socket.write("TP/1.1\r\nX: y");
    await ask("GET / HTTP/1.1\r\n\r\n");
    expect(rejected()).toEqual({});
    nowMs = HEAD_MS_MAX;
    expect(statusOf(await client.response())).toBe(408);
    expect(rejected()).toEqual({ time_limit: 1 });
  });

  test("a response that the client does not read in time ends", async () => {
    const client = await Client.open(true);
    client.socket.write("GET /large HTTP/1.1\r\n\r\n");
    await ask("GET / HTTP/1.1\r\n\r\n");
    nowMs = RESPONSE_MS_MAX;
    while (server.openCount > 0) await Bun.sleep(10);
    expect(rejected()).toEqual({ time_limit: 1 });
  });
});

test("a client that closes before it asks is counted", async () => {
  const client = await Client.open();
  client.socket.write("GET / HT");
  client.socket.end();
  await client.response();
  while (server.openCount > 0) await Bun.sleep(1);
  expect(rejected()).toEqual({ closed: 1 });
});

test("the oldest connection without a request gives way: 200 slow clients do not stop the service for others", async () => {
  const slow = 200;
  for (let i = 0; i < slow; i++) (await Client.open()).socket.write("G");
  for (let i = 0; i < 3; i++) expect(statusOf(await ask("GET / HTTP/1.1\r\n\r\n"))).toBe(200);
  expect(server.openCount).toBeLessThanOrEqual(CONNECTIONS_MAX);
  // Each served connection makes room for the next, if it has ended by then.
  const { connection_limit: limited, ...others } = rejected();
  expect(others).toEqual({});
  expect(limited).toBeWithin(slow + 1 - CONNECTIONS_MAX, slow + 3 - CONNECTIONS_MAX + 1);
  // The first client is served, and not only the last.
  await clients[0]!.response();
  expect(clients[slow - 1]!.socket.readyState).toBeGreaterThan(0);
});

test.each([
  [CONNECTIONS_MAX - 1, 0],
  [CONNECTIONS_MAX, 1],
])("beside %d that have not asked anything, one is served: so many give way: %d", async (slow, limited) => {
  for (let i = 0; i < slow; i++) (await Client.open()).socket.write("G");
  expect(statusOf(await ask("GET / HTTP/1.1\r\n\r\n"))).toBe(200);
  expect(rejected()).toEqual(limited === 0 ? {} : { connection_limit: limited });
});

describe("an address that cannot be used", () => {
  const open = (host: string, port: number) => () => new AdminServer({ host, port }, new Map(), () => 0).close();

  test("a used port: the message names its owner", () => {
    expect(open(LOOPBACK, server.port)).toThrow(RefusalError);
    expect(open(LOOPBACK, server.port)).toThrow(
      `Cannot listen on 127.0.0.1:${server.port} (--admin): bun (process ${process.pid}) has that port; choose another`,
    );
    // For any owner and any address.
    expect(open("0.0.0.0", server.port)).toThrow(/has that port/);
  });

  test("an address of another host", () => {
    expect(open("192.0.2.77", 9)).toThrow("Cannot listen on 192.0.2.77:9 (--admin): this host has no such address");
  });

  test("a name that does not exist", () => {
    expect(open("nowhere.invalid", 9)).toThrow(
      /^Cannot listen on nowhere\.invalid:9 \(--admin\): .*is there such a host\?$/,
    );
  });
});

afterAll(() => expect(clients).toEqual([]));
