/** Floods: unusual input, a million times. The limits hold, and earlier connections are still forwarded. */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { DATAGRAMS_MAX, FRAGMENT_BYTES_MAX } from "../../src/decode/fragments.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Shard } from "../../src/shard/shard.ts";
import { Cost } from "../../src/memory/budget.ts";
import { USUAL } from "../support/usual.ts";
import { ethernet, ip, mirrored, TCP, tcp } from "../support/frames.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { EPOCH_MS } from "./flows.ts";
import { UNTOLD } from "../support/untold.ts";

const VNI = 7;
const PORT = 80;
const MIB = 1 << 20;
const ETHERNET_LINK = 1;
const MAX_FLOWS = 65_536;
/** The allowed memory beside the limit's own amount. */
const MEMORY_BESIDE_BYTES_MAX = 100 * MIB;
const ETHERNET_LEN = 14;
/** In a frame made by `mirrored`: Ethernet, IPv4, UDP, VXLAN, Ethernet. */
const INNER_IP_OFFSET = ETHERNET_LEN + 20 + 8 + 8 + ETHERNET_LEN;
const INNER_TCP_OFFSET = INNER_IP_OFFSET + 20;
const BATCH = 500;
/** Connections that exist before the flood. */
const ESTABLISHED = 10;
const WORDS = ["still ", "there"];

/** Takes all bytes, and closes when asked. */
class Sink implements UpstreamSocket {
  bytes = 0;
  private isClosed = false;

  constructor(
    private readonly events: SocketEvents,
    private readonly shutDown: Sink[],
  ) {}

  write(_bytes: Uint8Array, _offset: number, length: number): number {
    this.bytes += length;
    return length;
  }

  shutdown(): void {
    this.shutDown.push(this);
  }

  /** The peer has seen the end, and closes too. */
  close(): void {
    if (!this.isClosed) this.events.closed(undefined);
  }

  terminate(): void {
    this.isClosed = true;
  }
}

/** Responds to attempts when told; as many at a time as a kernel would between two batches. */
class Sinks implements Connector {
  private attempts: SocketEvents[] = [];
  /** The sockets that were shut down since the last response. */
  private readonly shutDown: Sink[] = [];
  /** In the order in which they were connected. */
  readonly first: Sink[] = [];

  connect(_address: unknown, events: SocketEvents): void {
    this.attempts.push(events);
  }

  lookup(name: string, found: (addresses: readonly string[]) => void): void {
    found([name]);
  }

  afterEvents(callback: () => void): void {
    callback();
  }

  answer(): void {
    const attempts = this.attempts;
    this.attempts = [];
    for (const events of attempts) {
      const sink = new Sink(events, this.shutDown);
      if (this.first.length < ESTABLISHED) this.first.push(sink);
      events.opened(sink);
    }
    for (const sink of this.shutDown.splice(0)) sink.close();
  }
}

class World {
  readonly counters = new Counters();
  readonly sinks = new Sinks();
  readonly shard: Shard;
  readonly source = new MemorySource(ETHERNET_LINK);
  nowMs = EPOCH_MS;
  private readonly established: { sequence: number; index: number }[] = [];
  /** Bytes of the established connections. */
  sent = 0;

  constructor(options: { maxBufferMib?: number; maxPendingPackets?: number } = {}) {
    const http = {
      pipelineDepth: 1,
      maxWaitingRequests: 1,
      maxRequestBytes: 1,
      maxHeaderBytes: 1,
      responseTimeoutMs: 1000,
    };
    const limits = {
      maxPendingPackets: 32,
      gapTimeoutMs: 1000,
      idleTimeoutMs: 300_000,
      maxFlows: MAX_FLOWS,
      sourceWaits: false,
      maxBufferMib: 16,
      maxRetries: 10,
      connectTimeoutMs: 5000,
    };
    const ours = {
      vxlanPort: 4789,
      vnis: [VNI],
      ports: [PORT],
      address: { host: "endpoint", port: 1 },
      mode: "tcp" as const,
      measuresDelay: false,
    };
    this.shard = new Shard(
      { ...USUAL, ...http, ...limits, ...ours, ...options },
      this.counters,
      UNTOLD,
      this.sinks,
      () => this.nowMs,
    );
  }

  /** Opens the connections that exist before the flood. */
  establish(): void {
    for (let index = 0; index < ESTABLISHED; index++) {
      this.take([frameOf(client(index), 0, "S", "")]);
      this.established.push({ sequence: 1, index });
    }
    this.pass(10);
  }

  /** Each of them sends some bytes, in segments of one batch. */
  talk(): void {
    const frames: Uint8Array[] = [];
    for (const connection of this.established) {
      for (const word of WORDS) {
        frames.push(frameOf(client(connection.index), connection.sequence, "A", word));
        connection.sequence += word.length;
        this.sent += word.length;
      }
    }
    this.take(frames);
  }

  take(frames: Uint8Array[]): void {
    this.source.fill(frames.map((bytes) => ({ bytes, timestampMs: this.nowMs })));
    this.shard.process(this.source, frames.length + 1);
  }

  /** A batch is over: the kernel responds, and time passes. */
  pass(ms: number): void {
    this.sinks.answer();
    this.nowMs += ms;
    this.shard.advance(this.nowMs);
  }

  /** Bytes of the established connections that the endpoint got. */
  get forwarded(): number {
    this.pass(10);
    return this.sinks.first.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get budget() {
    return this.shard.destination.memory.budget;
  }
}

const client = (index: number) => ({ source: `192.168.0.${index + 1}`, sourcePort: 50_000 });

function frameOf(
  { source, sourcePort }: { source: string; sourcePort: number },
  sequence: number,
  flags: string,
  text: string,
): Uint8Array {
  const destination = "10.0.0.1";
  const segment = tcp({
    source,
    destination,
    sourcePort,
    destinationPort: PORT,
    sequence,
    acknowledgment: 1,
    flags,
    payload: new TextEncoder().encode(text),
  });
  return mirrored(ethernet(ip(source, destination, TCP, segment)), { vni: VNI });
}

/** The memory held on the heap, and beside it. */
function heldBytes(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

/** Frames in which only addresses, ports and numbers change: the frames of a flood cost nothing to make. */
function flood(text: string, flags: string) {
  const frames = Array.from({ length: BATCH }, () => frameOf(client(0), 0, flags, text));
  const views = frames.map((frame) => new DataView(frame.buffer));
  return { frames, views };
}

/** Plays a million half-open flows; returns the peak of the held memory. */
function halfOpen(world: World, count: number, passMs: number): number {
  const { frames, views } = flood("", "S");
  const before = heldBytes();
  let most = 0;
  for (let done = 0; done < count; done += BATCH) {
    views.forEach((view, i) => {
      view.setUint32(INNER_IP_OFFSET + 12, 0x0a00_0000 + ((done + i) >> 4));
      view.setUint16(INNER_TCP_OFFSET, 1024 + ((done + i) & 15));
    });
    world.take(frames);
    world.talk();
    for (let ms = 0; ms < passMs; ms += 10) world.pass(10);
    if (done % 250_000 === 0) most = Math.max(most, heldBytes() - before);
  }
  return Math.max(most, heldBytes() - before);
}

test("a million half-open flows: the table stays within its limit, and other connections are forwarded", () => {
  const world = new World();
  world.establish();
  const most = halfOpen(world, 1_000_000, 20);
  const { flows } = world.counters;
  // Fewer than --max-flows, because they may take a quarter of a small budget.
  const active = Math.floor(world.budget.limitBytes / 4 / Cost.CONNECTION);
  expect(active).toBeLessThan(MAX_FLOWS);
  expect(flows).toMatchObject({ opened: 1_000_010, active, evicted: 1_000_010 - active });
  expect(most).toBeLessThan(MEMORY_BESIDE_BYTES_MAX);
  expect(world.forwarded).toBe(world.sent);
}, 120_000);

test("a flood faster than the endpoint connects: the waiting connections have a limit", () => {
  const world = new World();
  halfOpen(world, 300_000, 0);
  expect(world.shard.destination.openCount).toBeLessThanOrEqual(2 * MAX_FLOWS);
}, 120_000);

test("flows without a SYN, beyond the limit: the table stays within it, and other connections are forwarded", () => {
  const world = new World();
  world.establish();
  const { frames, views } = flood("GET / HTTP/1.1", "A");
  const before = heldBytes();
  for (let done = 0; done < 300_000; done += BATCH) {
    views.forEach((view, i) => {
      view.setUint32(INNER_IP_OFFSET + 12, 0x0a00_0000 + done + i);
      view.setUint32(INNER_TCP_OFFSET + 4, Math.imul(done + i, 0x9e3779b1));
    });
    world.take(frames);
    world.talk();
    if (world.budget.usedBytes > 16 * MIB) throw new Error("over the limit of held bytes");
    world.pass(10);
    world.pass(10);
  }
  expect(heldBytes() - before).toBeLessThan(16 * MIB + MEMORY_BESIDE_BYTES_MAX);
  expect(world.counters.flows.active).toBeLessThanOrEqual(MAX_FLOWS);
  expect(world.forwarded).toBe(world.sent);
}, 120_000);

test("out-of-order bytes that are never completed: the held memory stays within its limit, and other connections are forwarded", () => {
  const world = new World({ maxPendingPackets: 100_000 });
  world.establish();
  const attackers = 100;
  for (let i = 0; i < attackers; i++) world.take([frameOf({ source: `10.9.0.${i + 1}`, sourcePort: 9 }, 0, "S", "")]);
  const { frames, views } = flood("x".repeat(1000), "A");
  const before = heldBytes();
  let held = 0;
  for (let done = 0; done < 200_000; done += BATCH) {
    views.forEach((view, i) => {
      const index = (done + i) % attackers;
      view.setUint32(INNER_IP_OFFSET + 12, 0x0a09_0001 + index);
      view.setUint16(INNER_TCP_OFFSET, 9);
      // Each leaves a hole of one byte.
      view.setUint32(INNER_TCP_OFFSET + 4, 2 + Math.floor((done + i) / attackers) * 1001);
    });
    world.take(frames);
    world.talk();
    held = Math.max(held, world.budget.usedBytes);
    if (world.budget.usedBytes > 16 * MIB) throw new Error("over the limit of held bytes");
    world.pass(10);
  }
  expect(held).toBeGreaterThan(7 * MIB);
  expect(world.counters.reassembly.buffer_limit).toBeGreaterThan(0);
  expect(heldBytes() - before).toBeLessThan(16 * MIB + MEMORY_BESIDE_BYTES_MAX);
  expect(world.forwarded).toBe(world.sent);
  world.shard.finish();
  // The FIN of each waits until the endpoint has been silent.
  for (let ms = 0; ms < 2 * USUAL.finDelayMs; ms += 10) world.pass(10);
  expect(world.budget.usedBytes).toBe(0);
}, 120_000);

test("fragments that are never completed: the held memory stays within its limit, and other connections are forwarded", () => {
  const world = new World();
  world.establish();
  const destination = "10.0.0.1";
  const fragment = (length: number, fragmentOffset: number) =>
    mirrored(
      ethernet(ip("10.8.0.1", destination, TCP, new Uint8Array(length), { fragmentOffset, moreFragments: true })),
      { vni: VNI },
    );
  // The fragment with the far offset makes its datagram as large as possible.
  const frames = Array.from({ length: BATCH }, (_, i) => (i % 2 === 0 ? fragment(1400, 0) : fragment(800, 64_000)));
  const views = frames.map((frame) => new DataView(frame.buffer));
  const before = heldBytes();
  let most = 0;
  for (let done = 0; done < 100_000; done += BATCH) {
    views.forEach((view, i) => {
      view.setUint16(INNER_IP_OFFSET + 4, done + i);
      view.setUint32(INNER_IP_OFFSET + 12, 0x0a08_0000 + ((done + i) >> 16));
    });
    world.take(frames);
    world.talk();
    world.pass(1);
    if (done % 25_000 === 0) most = Math.max(most, heldBytes() - before);
  }
  const { frames: counted, fragments } = world.counters;
  expect(counted.dropped.reduce((sum, count) => sum + count, 0)).toBe(100_000);
  expect(fragments.evicted).toBeGreaterThanOrEqual(100_000 - DATAGRAMS_MAX);
  expect(most).toBeLessThan(FRAGMENT_BYTES_MAX + MEMORY_BESIDE_BYTES_MAX);
  expect(world.forwarded).toBe(world.sent);
}, 120_000);
