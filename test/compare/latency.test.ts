/**
 * An endpoint is slower on one route in ten: this route's median shows it to within a millisecond, and no other median
 * does.
 */
import { expect, test } from "bun:test";
import { summaryOf } from "../../src/compare/tally.ts";
import type { SocketEvents } from "../../src/forward/socket.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { mirroredSegment } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { SHARD_PORT, SHARD_VNI, shardOnItsOwn } from "../support/shard.ts";

const EPOCH_MS = 1_750_000_000_000;
const NAMES = "abcdefghij";
const ROUTES = NAMES.length;
const REQUESTS = 51;
const SLOW = 3;
const NEAR_MS = 1;
/** The time that both need for a request. */
const SERVED_MS = 20;
const SPREAD_MS = 30;
const RESPONSE = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
const COMPARISON = {
  ...{ maxCompareBytes: 1 << 20, share: 1, wantsLines: false, hasControl: false, endpointIsFile: false },
  ...{ ignore: [], redact: [], noRedact: false },
};

test.each([0, 5, 50, 500])("%d ms", (slowerMs) => {
  const random = new Random(slowerMs);
  const clock = { nowMs: EPOCH_MS };
  const { shard, connections } = shardOnItsOwn({ mode: "http", comparison: COMPARISON }, () => clock.nowMs);
  const source = new MemorySource(1);
  const opened = new Set<SocketEvents>();
  /** The endpoint takes all bytes, and does not respond yet. */
  const accept = () => {
    for (const events of connections) {
      if (!opened.has(events)) events.opened({ write: (_bytes, _at, length) => length, shutdown() {}, terminate() {} });
      opened.add(events);
    }
  };
  const next = Array.from({ length: ROUTES }, () => ({ client: 1, server: 1 }));
  const frame = (route: number, isServer: boolean, flags: string, payload = new Uint8Array(0)) => {
    const [client, server] = [`10.0.0.${route + 1}`, "10.1.0.1"];
    const numbers = next[route]!;
    const [sequence, acknowledgment] = isServer ? [numbers.server, numbers.client] : [numbers.client, numbers.server];
    const [source_, destination] = isServer ? [server, client] : [client, server];
    const [sourcePort, destinationPort] = isServer ? [SHARD_PORT, 4000] : [4000, SHARD_PORT];
    const ends = { source: source_, destination, sourcePort, destinationPort };
    const bytes = mirroredSegment({ ...ends, sequence, acknowledgment, flags, payload }, SHARD_VNI);
    numbers[isServer ? "server" : "client"] += payload.length + (flags.includes("S") ? 1 : 0);
    source.fill([{ bytes, timestampMs: clock.nowMs }]);
    while (shard.process(source, Infinity));
  };
  for (let route = 0; route < ROUTES; route++) {
    frame(route, false, "S");
    frame(route, true, "SA");
  }
  for (let i = 0; i < REQUESTS * ROUTES; i++) {
    const route = i % ROUTES;
    const servedMs = SERVED_MS + random.next() * SPREAD_MS;
    frame(route, false, "A", new TextEncoder().encode(`GET /${NAMES[route]} HTTP/1.1\r\nHost: a\r\n\r\n`));
    accept();
    clock.nowMs += servedMs;
    frame(route, true, "A", RESPONSE);
    if (route === SLOW) clock.nowMs += slowerMs;
    connections[route]!.received(RESPONSE);
    clock.nowMs += 1;
    shard.tick();
  }
  const { routes, compared, same } = summaryOf(shard.comparison!.tally);
  expect([compared, same]).toEqual([REQUESTS * ROUTES, REQUESTS * ROUTES]);
  for (const { path, latency } of routes) {
    const { p50_ms: production } = latency.production;
    const { p50_ms: endpoint } = latency.endpoint;
    const expectedMs = path === `/${NAMES[SLOW]}` ? slowerMs : 0;
    const isNear = Math.abs(endpoint! - production! - expectedMs) < NEAR_MS;
    expect({ path, slowerMs: isNear ? expectedMs : endpoint! - production! }).toEqual({ path, slowerMs: expectedMs });
  }
});
