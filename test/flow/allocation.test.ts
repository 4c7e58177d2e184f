/**
 * In steady state, no in-order segment and no request allocates anything. The test counts the objects on the heap, with
 * garbage, over slices that are short enough for no collection to begin in them.
 */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { Budget } from "../../src/memory/budget.ts";
import { Decoder } from "../../src/decode/decoder.ts";
import { SEGMENT } from "../../src/decode/drop-reason.ts";
import { FlowTable } from "../../src/flow/flow-table.ts";
import type { StreamConsumer, StreamOpener } from "../../src/flow/stream.ts";
import type { UpstreamSocket } from "../../src/forward/socket.ts";
import { Counters } from "../../src/observe/counters.ts";
import { ethernet, ip, mirrored, TCP, tcp } from "../support/frames.ts";
import { SHARD_PORT, SHARD_VNI, shardOnItsOwn } from "../support/shard.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { EPOCH_MS } from "./flows.ts";

const PAYLOAD_BYTES = 200;
const FLOWS = 100;
const SLICES = 12;
const SEGMENTS_PER_SLICE = 20_000;
/** Objects of the engine, and of the counting itself. */
const OBJECTS_PER_SLICE_MAX = 400;
/** A few for each batch of the slice. */
const SHARD_OBJECTS_PER_SLICE_MAX = SEGMENTS_PER_SLICE / 10;
const ETHERNET_LINK = 1;

class CountingConsumer implements StreamConsumer {
  bytes = 0;

  data(_bytes: Uint8Array, _offset: number, length: number): void {
    this.bytes += length;
  }

  gap(): void {
    throw new Error("a hole");
  }

  idle(): boolean {
    return true;
  }

  end(): void {
    throw new Error("an end");
  }
}

/** The frames of many connections, one segment each, in one buffer; in each round they are the next segments. */
class Traffic extends MemorySource {
  override timestampMs = EPOCH_MS;
  private readonly sequenceOffsets: number[] = [];
  private sequence = 0xffff_0000;

  constructor(payload: (flow: number) => Uint8Array) {
    super(ETHERNET_LINK);
    const frames = Array.from({ length: FLOWS }, (_, i) => segmentFrame(i, "A", payload(i)));
    this.fill(frames.map((bytes) => ({ bytes, timestampMs: EPOCH_MS })));
    for (let i = 0; this.next(); i++) this.sequenceOffsets.push(this.offset + this.length - PAYLOAD_BYTES - 16);
  }

  /** The connections' SYNs, once. */
  syns(): MemorySource {
    const source = new MemorySource(ETHERNET_LINK);
    source.fill(
      Array.from({ length: FLOWS }, (_, i) => ({
        bytes: segmentFrame(i, "S", new Uint8Array(0)),
        timestampMs: EPOCH_MS,
      })),
    );
    return source;
  }

  /** Turns all frames into the next segments. */
  advance(): void {
    for (const offset of this.sequenceOffsets) this.view.setUint32(offset, this.sequence);
    this.sequence = (this.sequence + PAYLOAD_BYTES) >>> 0;
    this.rewind();
  }
}

/** Some over IPv6, some behind a tag. */
function segmentFrame(index: number, flags: string, payload: Uint8Array): Uint8Array {
  const isV6 = index % 4 === 0;
  const source = isV6 ? `2001:db8::${index + 1}` : `10.0.0.${index + 1}`;
  const destination = isV6 ? "2001:db8::ffff" : "10.1.0.1";
  const segment = tcp({
    source,
    destination,
    sourcePort: 40_000,
    destinationPort: SHARD_PORT,
    sequence: 0xfffe_ffff,
    acknowledgment: 1,
    flags,
    payload,
  });
  return mirrored(ethernet(ip(source, destination, TCP, segment), index % 3 === 0 ? [100] : []), { vni: SHARD_VNI });
}

function objects(): number {
  let count = 0;
  for (const ofType of Object.values(heapStats().objectTypeCounts)) count += ofType;
  return count;
}

/** The number of objects that a slice allocates: the median over all slices. */
function objectsPerSlice(slice: () => void): number {
  const deltas: number[] = [];
  for (let i = 0; i < SLICES; i++) {
    // A collection under way beside this thread would change the count.
    Bun.gc(true);
    const before = objects();
    slice();
    deltas.push(objects() - before);
  }
  return deltas.toSorted((a, b) => a - b)[SLICES >> 1]!;
}

test("the counting finds one object per segment", () => {
  const kept: { value: number }[] = new Array(1);
  const allocated = objectsPerSlice(() => {
    for (let i = 0; i < SEGMENTS_PER_SLICE; i++) kept[0] = { value: i };
  });
  expect(allocated).toBeGreaterThanOrEqual(SEGMENTS_PER_SLICE * 0.9);
});

test("decode and flow allocate nothing per in-order segment", () => {
  const counters = new Counters();
  const consumer = new CountingConsumer();
  const opener: StreamOpener = { open: () => consumer };
  const decoder = new Decoder({ vxlanPort: 4789, vnis: [SHARD_VNI], ports: [SHARD_PORT] }, counters);
  const limits = {
    maxPendingPackets: 32,
    gapTimeoutMs: 1000,
    idleTimeoutMs: 300_000,
    maxFlows: 1000,
    sourceWaits: false,
  };
  const table = new FlowTable(limits, counters, new Budget(1 << 20), opener, decoder.clock);
  const traffic = new Traffic((flow) => new Uint8Array(PAYLOAD_BYTES).fill(flow));
  const read = (source: MemorySource) => {
    while (source.next()) {
      const outcome = decoder.decode(
        source.bytes,
        source.view,
        source.offset,
        source.length,
        source.linkType,
        source.timestampMs,
      );
      if (outcome === SEGMENT) table.accept(decoder.segment);
    }
  };
  read(traffic.syns());
  const slice = () => {
    for (let count = 0; count < SEGMENTS_PER_SLICE; count += FLOWS) {
      traffic.advance();
      read(traffic);
    }
  };
  for (let warmUp = 0; warmUp < 10; warmUp++) slice();
  Bun.gc(true);
  const liveBefore = objects();
  expect(objectsPerSlice(slice)).toBeLessThan(OBJECTS_PER_SLICE_MAX);
  Bun.gc(true);
  expect(objects() - liveBefore).toBeLessThan(OBJECTS_PER_SLICE_MAX);
  const segments = (10 + SLICES) * SEGMENTS_PER_SLICE;
  expect(consumer.bytes).toBe(segments * PAYLOAD_BYTES);
  expect(counters.frames.segments).toBe(segments + FLOWS);
  expect(counters.reassembly).toMatchObject({ out_of_order: 0, retransmitted_bytes: 0, gaps: 0 });
}, 60_000);

const HEAD = "GET / HTTP/1.1\r\nA: ";
const REQUEST = new TextEncoder().encode(`${HEAD}${"a".repeat(PAYLOAD_BYTES - HEAD.length - 4)}\r\n\r\n`);
const ANSWER = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

test.each(["tcp", "http"] as const)(
  "a whole shard in mode %s allocates nothing per segment that the kernel takes at once, nor per response",
  (mode) => {
    let bytes = 0;
    const { shard, counters, connections } = shardOnItsOwn({ mode }, () => EPOCH_MS);
    const traffic = new Traffic(() => REQUEST);
    shard.process(traffic.syns(), FLOWS + 1);
    const accept = () => {
      for (const events of connections) {
        const socket: UpstreamSocket = {
          write: (_bytes, _offset, length) => ((bytes += length), length),
          shutdown() {},
          terminate() {},
        };
        events.opened(socket);
      }
    };
    const round = () => {
      traffic.advance();
      shard.process(traffic, FLOWS + 1);
      if (bytes === 0) accept();
      for (const events of connections) events.received(ANSWER);
    };
    const slice = () => {
      for (let count = 0; count < SEGMENTS_PER_SLICE; count += FLOWS) round();
    };
    for (let warmUp = 0; warmUp < 10; warmUp++) slice();
    expect(objectsPerSlice(slice)).toBeLessThan(SHARD_OBJECTS_PER_SLICE_MAX);
    const segments = (10 + SLICES) * SEGMENTS_PER_SLICE;
    expect(bytes).toBe(segments * PAYLOAD_BYTES);
    expect(counters.requests.answered).toBe(mode === "http" ? segments : 0);
  },
  60_000,
);
