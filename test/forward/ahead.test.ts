/** How far a source that can wait, such as a savefile, may be ahead of the endpoint. */
import { expect, test } from "bun:test";
import { EXCHANGE_COST_BYTES } from "../../src/compare/exchange.ts";
import { COMPARE_SHARE, FULL_SHARE } from "../../src/compare/memory.ts";
import type { Destination } from "../../src/forward/destination.ts";
import { HELD_MS_MAX } from "../../src/forward/http2-conversation.ts";
import type { Load } from "../../src/forward/load.ts";
import type { ShardOptions } from "../../src/shard/setup.ts";
import {
  AHEAD_BYTES_MAX,
  AHEAD_CONNECTIONS_MAX,
  AHEAD_REQUESTS_MAX,
  AHEAD_SHARE_MAX,
  HELD_SHARE_MAX,
  ReadAhead,
  SILENCE_MS_MAX,
  UNSETTLED_CONNECTIONS_MAX,
} from "../../src/shard/read-ahead.ts";
import { STREAM_OFFSET } from "../../src/http/http2/frames.ts";
import { rounds, Template } from "../hostile/frames.ts";
import { headers, PREFACE, pseudo, SETTINGS } from "../http/http2/client-frames.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { ethernet, ip, mirrored, TCP, tcp } from "../support/frames.ts";
import { SHARD_PORT, SHARD_VNI, shardOnItsOwn } from "../support/shard.ts";

const FLOWS = 8;
const REQUEST = new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n");
const ANSWER = new TextEncoder().encode("HTTP/1.1 204 No Content\r\n\r\n");
const EPOCH_MS = 1_750_000_000_000;

/** The n-th segment of a flow: its SYN, then one request each. */
function frame(flow: number, n: number) {
  const address = { source: `10.0.0.${flow + 1}`, destination: "10.1.0.1" };
  const sequence = n === 0 ? 0 : 1 + (n - 1) * REQUEST.length;
  const segment = tcp({
    ...address,
    sourcePort: 40_000,
    destinationPort: SHARD_PORT,
    sequence,
    flags: n === 0 ? "S" : "A",
    ...(n === 0 ? {} : { payload: REQUEST }),
  });
  return {
    bytes: mirrored(ethernet(ip(address.source, address.destination, TCP, segment)), { vni: SHARD_VNI }),
    timestampMs: EPOCH_MS,
  };
}

/** A shard with a source of `requests` requests, given to the flows in turn. */
function setUp(requests: number, sourceWaits = true, more: Partial<ShardOptions> = {}) {
  const clock = { nowMs: EPOCH_MS };
  const { shard, counters, connections } = shardOnItsOwn({ mode: "http", sourceWaits, ...more }, () => clock.nowMs);
  const source = new MemorySource(1);
  source.fill(Array.from({ length: FLOWS + requests }, (_, i) => frame(i % FLOWS, Math.floor(i / FLOWS))));
  return { shard, source, counters, connections, clock };
}

test("the limit of waiting requests is reached; the next request is read when one of them is sent", () => {
  const { shard, source, counters, connections } = setUp(AHEAD_REQUESTS_MAX + FLOWS + 1);
  expect(shard.process(source, 100_000)).toBe(true);
  expect(counters.requests.seen).toBe(AHEAD_REQUESTS_MAX);
  expect(shard.isBehind).toBe(true);
  // The first request of each flow leaves.
  for (const events of connections)
    events.opened({ write: (_bytes, _offset, length) => length, shutdown() {}, terminate() {} });
  expect(counters.upstream.bytes).toBe(FLOWS * REQUEST.length);
  expect(shard.isBehind).toBe(false);
  expect(shard.process(source, 100_000)).toBe(true);
  expect(counters.requests.seen).toBe(AHEAD_REQUESTS_MAX + FLOWS);
  connections[0]!.received(ANSWER);
  expect(shard.isBehind).toBe(false);
  expect(shard.process(source, 100_000)).toBe(true);
  expect(counters.requests.seen).toBe(AHEAD_REQUESTS_MAX + FLOWS + 1);
});

test("an endpoint with no more requests gets more: it may serve one connection at a time, and wait for its end", () => {
  const { shard, source, counters, connections, clock } = setUp(2 * AHEAD_REQUESTS_MAX);
  expect(shard.process(source, 100_000)).toBe(true);
  for (const events of connections)
    events.opened({ write: (_bytes, _offset, length) => length, shutdown() {}, terminate() {} });
  while (shard.process(source, 100_000) && !shard.isBehind);
  const pass = (ms: number) => {
    clock.nowMs += ms;
    shard.tick();
  };
  // It responds to everything on one connection, and may take its time for each.
  for (let answered = 0; answered < AHEAD_REQUESTS_MAX / FLOWS; answered++) {
    pass(SILENCE_MS_MAX - 1);
    connections[0]!.received(ANSWER);
  }
  while (shard.process(source, 100_000) && !shard.isBehind);
  expect(shard.isBehind).toBe(true);
  pass(SILENCE_MS_MAX - 1);
  expect(shard.isBehind).toBe(true);
  pass(1);
  expect(shard.isBehind).toBe(false);
  expect(shard.process(source, 100_000)).toBe(false);
  expect(counters.requests.seen).toBe(2 * AHEAD_REQUESTS_MAX);
});

test("an endpoint that has been silent for long gets no more requests than can be compared", () => {
  const maxBufferMib = 8;
  const comparable = Math.floor((maxBufferMib * 2 ** 20 * COMPARE_SHARE * FULL_SHARE) / EXCHANGE_COST_BYTES);
  const comparison = {
    ...{ maxCompareBytes: 1 << 20, share: 1, wantsLines: false, hasControl: false, endpointIsFile: false },
    ...{ ignore: [], redact: [], noRedact: false },
  };
  const { shard, source, counters, clock } = setUp(2 * comparable, true, { maxBufferMib, comparison });
  clock.nowMs += SILENCE_MS_MAX;
  shard.tick();
  while (shard.process(source, 100_000) && !shard.isBehind);
  expect(shard.isBehind).toBe(true);
  expect(counters.requests.seen).toBe(comparable + 1);
  expect(shard.comparison!.tally.not_comparable.production_response_missing).toBe(0);
});

const PLENTY_BYTES = 2 ** 30;
const SMALL_BYTES = 2 ** 20;

/** What has been handed to an endpoint, and waits. */
interface Handed {
  limitBytes: number;
  heldBytes: number;
  waitingRequests: number;
  requestsBehindParts: number;
  awaitingPipes: number;
  unsettledCount: number;
}

test.each<[what: string, silenceMs: number, limit: number, handed: (at: number) => Partial<Handed>]>([
  ["requests that wait", 0, AHEAD_REQUESTS_MAX - 1, (at) => ({ waitingRequests: at })],
  ["pipes that wait for a response", 0, AHEAD_CONNECTIONS_MAX, (at) => ({ awaitingPipes: at })],
  ["connections that are being made", 0, AHEAD_CONNECTIONS_MAX, (at) => ({ unsettledCount: at })],
  ["held bytes", 0, AHEAD_BYTES_MAX, (at) => ({ heldBytes: at, awaitingPipes: 1 })],
  [
    "held bytes of a small budget",
    0,
    SMALL_BYTES * AHEAD_SHARE_MAX,
    (at) => ({ limitBytes: SMALL_BYTES, heldBytes: at, awaitingPipes: 1 }),
  ],
  [
    "requests behind parts of others as requests at all, since only the source helps those,",
    SILENCE_MS_MAX,
    AHEAD_REQUESTS_MAX,
    (at) => ({ heldBytes: PLENTY_BYTES, waitingRequests: at, requestsBehindParts: AHEAD_REQUESTS_MAX }),
  ],
  [
    "connections, while the endpoint is silent",
    SILENCE_MS_MAX,
    UNSETTLED_CONNECTIONS_MAX,
    (at) => ({ unsettledCount: at }),
  ],
  [
    "held bytes, while the endpoint is silent",
    SILENCE_MS_MAX,
    PLENTY_BYTES * HELD_SHARE_MAX,
    (at) => ({ heldBytes: at, awaitingPipes: 1 }),
  ],
])("with as many %s as may be, reading goes on, with one more it waits", (_what, silenceMs, limit, handed) => {
  for (const more of [0, 1]) {
    const nothing = { waitingRequests: 0, requestsBehindParts: 0, awaitingPipes: 0, unsettledCount: 0 };
    const usual = { limitBytes: PLENTY_BYTES, heldBytes: 0, ...nothing };
    const { limitBytes, heldBytes, unsettledCount, ...load } = { ...usual, ...handed(limit + more) };
    const memory = { budget: { limitBytes, roomBytes: limitBytes }, heldBytes };
    const destination = { memory, unsettledCount, silenceMs, isAwaited: false } as unknown as Destination;
    expect(new ReadAhead(destination, load as Load).isFar).toBe(more === 1);
  }
});

/** More than all time limits need. */
const WAITS_MAX = 1000;

test("requests of HTTP/2 whose rest has not come do not make the source wait for ever", () => {
  const maxBufferMib = 1;
  const { shard, counters, connections, clock } = setUp(0, true, { maxBufferMib, maxWaitingRequests: 1024 });
  const source = new MemorySource(1);
  const next = new Template("A", headers(1, pseudo("POST", "/")), 4, SHARD_VNI);
  const begin = new Template("A", Buffer.concat([PREFACE, SETTINGS]), 4, SHARD_VNI);
  const [clients, requests] = [4, 600];
  const frames: Uint8Array[] = [];
  for (let client = 0; client < clients; client++) frames.push(begin.from(client).at(1).slice());
  for (const each of rounds(clients, clients * requests, (client, round) => {
    next.view.setUint32(next.payloadOffset + STREAM_OFFSET, 2 * round + 1);
    return next.from(client).at(1 + begin.payloadLength + round * next.payloadLength);
  }))
    frames.push(each.slice());
  // Calls that were held for long are begun.
  source.fill(frames.map((bytes, i) => ({ bytes, timestampMs: EPOCH_MS + i * HELD_MS_MAX })));
  let opened = 0;
  while (shard.process(source, 100)) {
    for (; opened < connections.length; opened++) {
      const events = connections[opened]!;
      events.opened({ write: (_bytes, _offset, length) => length, shutdown() {}, terminate() {} });
      events.received(SETTINGS);
    }
    for (let waits = 0; shard.isBehind; waits++) {
      expect(waits).toBeLessThan(WAITS_MAX);
      clock.nowMs += SILENCE_MS_MAX;
      shard.tick();
    }
  }
  while (shard.finish());
  shard.terminate();
  expect(counters.requests).toMatchObject({ seen: clients * requests, forwarded: 0 });
});

test("a source that cannot wait, such as an interface, is read to its end", () => {
  const { shard, source, counters } = setUp(2 * AHEAD_REQUESTS_MAX, false);
  expect(shard.process(source, 100_000)).toBe(false);
  expect(counters.requests.seen).toBe(2 * AHEAD_REQUESTS_MAX);
});
