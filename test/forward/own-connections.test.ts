/** This program's own connections, seen from the two ends of shared memory in two threads. */
import { afterEach, expect, setSystemTime, test } from "bun:test";
import { LINGER_MS, OwnConnections, OwnConnector, UNKNOWN_OWN } from "../../src/forward/own-connections.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { address, bytes, u16 } from "../support/frames.ts";

afterEach(() => void setSystemTime());

/** An identity as decode makes it, with VNI 0. */
function identityOf(client: string, clientPort: number, server: string, serverPort: number): Int32Array {
  const mapped = (text: string) =>
    text.includes(":") ? address(text) : [...new Array<number>(10).fill(0), 0xff, 0xff, ...address(text)];
  const all = bytes(mapped(client), mapped(server), u16(clientPort), u16(serverPort), [0, 0, 0, 0]);
  const view = new DataView(all.buffer);
  return Int32Array.from({ length: 10 }, (_, word) => view.getInt32(4 * word));
}

const ends = (localAddress: string, localPort: number, remoteAddress: string, remotePort: number) => ({
  localAddress,
  localPort,
  remoteAddress,
  remotePort,
});

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["10.0.0.9", "192.168.1.254"],
  ["2001:db8::1", "fd00::2"],
  ["::1", "::1"],
  ["fe80::12:1", "fe80::1"],
])(
  "from %s to %s: known while it is open and for a while after, and no other connection is known",
  (client, server) => {
    const own = new OwnConnections();
    const other = new OwnConnections(own.shared);
    const identity = identityOf(client, 50_000, server, 8080);
    expect(other.has(identity, false)).toBe(false);
    const forget = own.opened(ends(client, 50_000, server, 8080));
    for (const isSyn of [true, false]) expect(other.has(identity, isSyn)).toBe(true);
    expect(other.has(identityOf(client, 50_001, server, 8080), false)).toBe(false);
    expect(other.has(identityOf(client, 50_000, server, 8081), false)).toBe(false);
    expect(other.has(identityOf(server, 50_000, "10.9.9.9", 8080), false)).toBe(false);
    const closedMs = 1_700_000_000_000;
    setSystemTime(closedMs);
    forget!();
    setSystemTime(closedMs + LINGER_MS - 1);
    expect(other.has(identity, false)).toBe(true);
    setSystemTime(closedMs + LINGER_MS);
    expect(other.has(identity, false)).toBe(false);
  },
);

test("addresses as sockets write them: IPv4 in IPv6, and zones", () => {
  const own = new OwnConnections();
  own.opened(ends("::ffff:10.0.0.9", 1, "::ffff:10.0.0.1", 80));
  expect(own.has(identityOf("10.0.0.9", 1, "10.0.0.1", 80), false)).toBe(true);
  own.opened(ends("fe80::9%eth0", 1, "fe80::1%eth0", 80));
  expect(own.has(identityOf("fe80::9", 1, "fe80::1", 80), false)).toBe(true);
});

test("while a connection is being established, a SYN to its destination may be its own; its data cannot come before it is known", () => {
  const own = new OwnConnections();
  const events: SocketEvents[] = [];
  const inner: Connector = {
    connect: (_address, told) => void events.push(told),
    lookup: () => {},
    afterEvents: (callback) => callback(),
  };
  const told: string[] = [];
  const listener: SocketEvents = {
    opened: () => told.push("opened"),
    failed: () => told.push("failed"),
    writable: () => told.push("writable"),
    received: () => told.push("received"),
    ended: () => told.push("ended"),
    closed: () => told.push("closed"),
  };
  const connector = new OwnConnector(inner, own);
  const [mine, others] = [identityOf("10.0.0.9", 4000, "10.0.0.1", 80), identityOf("10.0.0.8", 4000, "10.0.0.1", 80)];
  connector.connect({ host: "10.0.0.1", port: 80 }, listener, null);
  connector.connect({ host: "10.0.0.1", port: 80 }, listener, null);
  expect([own.has(mine, true), own.has(mine, false), own.has(others, true)]).toEqual([true, false, true]);
  events[1]!.failed(new Error("refused"));
  expect(own.has(others, true)).toBe(true);
  events[0]!.opened(ends("10.0.0.9", 4000, "10.0.0.1", 80) as unknown as UpstreamSocket);
  expect([own.has(mine, true), own.has(mine, false), own.has(others, true)]).toEqual([true, true, false]);
  events[0]!.received(bytes("x"));
  events[0]!.writable();
  events[0]!.ended();
  events[0]!.closed(undefined);
  expect(told).toEqual(["failed", "opened", "received", "writable", "ended", "closed"]);
  expect(own.has(mine, false)).toBe(true);
});

test("as many connections as a host has ports are distinguished", () => {
  const own = new OwnConnections();
  const [mine, others] = [identityOf("10.0.0.9", 1, "10.0.0.1", 80), identityOf("10.0.0.8", 1, "10.0.0.1", 80)];
  const ports = mine.length - 2;
  expect(mine[ports]).toBe((1 << 16) | 80);
  for (let port = 1; port < 65_536; port++) own.opened(ends("10.0.0.9", port, "10.0.0.1", 80));
  for (let port = 1; port < 65_536; port++) {
    mine[ports] = others[ports] = (port << 16) | 80;
    if (!own.has(mine, false)) throw new Error(`${port} is not known`);
    if (own.has(others, false)) throw new Error(`${port} of another is`);
  }
});

test("one that has no place among those that are known is not used, until another's place is free", () => {
  const own = new OwnConnections();
  const open: { port: number; forget: () => void }[] = [];
  const sockets: string[] = [];
  let port = 0;
  const connector = new OwnConnector(
    {
      connect: (_address, events) => {
        const socket = {
          ...ends("10.0.0.9", port & 0xffff, `10.0.${port >> 16}.1`, 80),
          terminate: () => sockets.push("ended"),
        };
        events.opened(socket as unknown as UpstreamSocket);
      },
      lookup: () => {},
      afterEvents: (callback) => callback(),
    },
    own,
  );
  for (; ; port++) {
    const forget = own.opened(ends("10.0.0.9", port & 0xffff, `10.0.${port >> 16}.1`, 80));
    if (forget === null) break;
    open.push({ port, forget });
  }
  const identity = (of: number) => identityOf("10.0.0.9", of & 0xffff, `10.0.${of >> 16}.1`, 80);
  for (const each of open.slice(-1000)) expect(own.has(identity(each.port), false)).toBe(true);
  const told: string[] = [];
  const listener = {
    opened: () => told.push("opened"),
    failed: (error: Error) => told.push(error.message),
  } as unknown as SocketEvents;
  const connect = () => connector.connect({ host: `10.0.${port >> 16}.1`, port: 80 }, listener, null);
  connect();
  expect([told, sockets]).toEqual([[UNKNOWN_OWN], ["ended"]]);
  for (const isSyn of [true, false]) expect(own.has(identity(port), isSyn)).toBe(false);
  for (const { forget } of open) forget();
  setSystemTime(Date.now() + LINGER_MS + 1000);
  connect();
  expect([told.at(-1), own.has(identity(port), false)]).toEqual(["opened", true]);
});
