import { describe, expect, test } from "bun:test";
import { DROP_REASONS, Drop } from "../../src/decode/drop-reason.ts";
import type { RecordSource } from "../../src/capture/record-source.ts";
import type { Connector, SocketEvents } from "../../src/forward/socket.ts";
import { countTime, DELAY_BUCKETS_MS } from "../../src/forward/counters.ts";
import { Counters, type CountersSnapshot } from "../../src/observe/counters.ts";
import { Shard } from "../../src/shard/shard.ts";
import { bytes, ethernet, ip, mirrored, mirroredSegment, TCP, udp, UDP } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { USUAL } from "../support/usual.ts";
import { UNTOLD } from "../support/untold.ts";

type Section = keyof CountersSnapshot;

// DESIGN.md's list, without the parts that are lists themselves.
const contract: [Section, string[]][] = [
  ["frames", ["captured", "kernel_dropped", "segments"]],
  ["flows", ["opened", "picked_up", "closed", "evicted", "active"]],
  ["reassembly", ["out_of_order", "retransmitted_bytes", "overlap_bytes", "gaps", "gap_bytes"]],
  ["requests", ["seen", "forwarded", "answered", "damaged", "dropped"]],
  ["responses", ["1xx", "2xx", "3xx", "4xx", "5xx", "unanswered"]],
  ["upstream", ["connects", "connect_errors", "would_block", "given_up", "bytes"]],
];

describe("the summary's shape", () => {
  const snapshot = new Counters().snapshot();

  test.each(contract)("%s has the documented counters", (section, names) => {
    expect(Object.keys(snapshot[section])).toEqual(expect.arrayContaining(names));
  });

  test("frames.dropped has every reason by its name, at zero too", () => {
    expect(snapshot.frames.dropped).toEqual(
      Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])) as typeof snapshot.frames.dropped,
    );
    for (const [name, number] of Object.entries(Drop)) expect(DROP_REASONS[number] as string).toBe(name.toLowerCase());
  });

  test("delay has a bucket for each bound, and one beyond the last", () => {
    expect(Object.keys(snapshot.delay.buckets)).toEqual([
      ...DELAY_BUCKETS_MS.map((bound) => `le_${bound}_ms`),
      "le_inf_ms",
    ]);
    expect([...DELAY_BUCKETS_MS]).toEqual([...DELAY_BUCKETS_MS].sort((a, b) => a - b));
  });

  test("every leaf is a number, zero at the start, and stays one in JSON", () => {
    function leaves(value: unknown): unknown[] {
      return typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : [value];
    }
    expect(new Set(leaves(snapshot))).toEqual(new Set([0]));
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  test("a snapshot does not change with the counters", () => {
    const counters = new Counters();
    const before = counters.snapshot();
    counters.frames.captured++;
    counters.frames.dropped[0]!++;
    countTime(counters.delay, DELAY_BUCKETS_MS, 1);
    expect(before).toEqual(snapshot);
  });
});

describe("each delay is counted once, in the first bucket with room for it", () => {
  const cases: [number, string][] = [
    [-1, "le_0.25_ms"],
    [0, "le_0.25_ms"],
    [0.25, "le_0.25_ms"],
    [0.26, "le_0.5_ms"],
    [9.99, "le_10_ms"],
    [5000, "le_5000_ms"],
    [5001, "le_inf_ms"],
  ];
  test.each(cases)("%f ms: %s", (delayMs, bucket) => {
    const counters = new Counters();
    countTime(counters.delay, DELAY_BUCKETS_MS, delayMs);
    const { delay } = counters.snapshot();
    expect(Object.entries(delay.buckets).filter(([, count]) => count !== 0)).toEqual([[bucket, 1]]);
    expect([delay.count, delay.sum_ms]).toEqual([1, delayMs]);
  });
});

/** A batch of frames, one after the other in one buffer. */
class Batch implements RecordSource {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly linkType = 1;
  offset = 0;
  length = 0;
  timestampMs = 0;
  private read = 0;

  constructor(private readonly frames: Uint8Array[]) {
    this.bytes = bytes(...frames);
    this.view = new DataView(this.bytes.buffer);
  }

  next(): boolean {
    const frame = this.frames[this.read++];
    if (frame === undefined) return false;
    this.offset += this.length;
    this.length = frame.length;
    this.timestampMs++;
    return true;
  }
}

/** An endpoint that behaves at random: it refuses, or takes all or part of the bytes, or none, or resets. */
function moody(random: Random): Connector {
  return {
    afterEvents: queueMicrotask,
    lookup: (name, found) => found([name]),
    connect(_address, events: SocketEvents) {
      if (random.chance(0.1)) {
        events.failed(new Error("connection refused"));
        return;
      }
      // No response.
      if (random.chance(0.05)) return;
      let isOpen = true;
      const isStuck = random.chance(0.1);
      events.opened({
        write(_bytes, _offset, length) {
          if (!isOpen) return -1;
          if (isStuck) return 0;
          if (!random.chance(0.05)) return random.chance(0.8) ? length : random.int(0, length);
          isOpen = false;
          queueMicrotask(() => events.closed(new Error("reset")));
          return -1;
        },
        shutdown() {
          queueMicrotask(() => events.closed(undefined));
        },
        terminate() {
          isOpen = false;
        },
      });
    },
  };
}

const VNI = 42;
const PORT = 80;

/** A frame of any kind: a segment of some flow, a frame that is not ours, or a damaged frame. */
function anyFrame(random: Random): Uint8Array {
  const payload = random.bytes(random.int(0, 400));
  const segment = {
    source: "10.0.0.1",
    destination: random.chance(0.9) ? "10.0.0.2" : "10.0.0.3",
    sourcePort: random.int(1000, 1010),
    destinationPort: random.chance(0.9) ? PORT : 81,
    sequence: random.int(0, 4000),
    flags: random.pick(["S", "A", "A", "PA", "PA", "FA", "R"]),
    payload,
  };
  const frame = random.pick([
    () => mirroredSegment(segment, VNI),
    () => mirroredSegment(segment, VNI),
    () => mirroredSegment(segment, VNI),
    () => mirroredSegment(segment, random.int(0, 99), [7]),
    () => mirroredSegment({ ...segment, sourcePort: PORT, destinationPort: 1000 }, VNI),
    () => mirrored(ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(1, 2, payload))), { vni: VNI }),
    () =>
      mirrored(
        ethernet(
          ip("10.0.0.1", "10.0.0.2", TCP, payload, {
            moreFragments: random.chance(0.5),
            fragmentOffset: 8 * random.int(0, 3),
          }),
        ),
        { vni: VNI },
      ),
    () => ethernet(ip("10.0.0.1", "10.0.0.2", UDP, udp(1, random.int(4788, 4790), payload))),
    () => payload,
  ])();
  return random.chance(0.1) ? frame.subarray(0, random.int(0, frame.length)) : frame;
}

/** Runs a shard through random events, to its end. */
async function runThrough(seed: number) {
  const random = new Random(seed);
  const counters = new Counters();
  let nowMs = 1;
  const http = {
    pipelineDepth: 1,
    maxWaitingRequests: 8,
    maxRequestBytes: 1024,
    maxHeaderBytes: 1024,
  };
  const limits = {
    maxPendingPackets: 8,
    gapTimeoutMs: 500,
    idleTimeoutMs: 5000,
    maxFlows: 8,
    sourceWaits: false,
    maxBufferMib: 1,
    maxRetries: 2,
    connectTimeoutMs: 300,
    responseTimeoutMs: 1000,
  };
  const address = { host: "localhost", port: 1 };
  const shard = new Shard(
    {
      ...USUAL,
      mode: "tcp",
      vxlanPort: 4789,
      vnis: [VNI],
      ports: [PORT],
      address,
      ...limits,
      ...http,
      measuresDelay: true,
    },
    counters,
    UNTOLD,
    moody(random),
    () => nowMs,
  );

  let fed = 0;
  for (let batch = 0; batch < 50; batch++) {
    const frames = Array.from({ length: random.int(0, 40) }, () => anyFrame(random));
    fed += frames.length;
    shard.process(new Batch(frames), Infinity);
    await Promise.resolve();
    nowMs += random.int(0, 200);
    shard.advance(nowMs);
  }
  shard.finish();
  for (let turn = 0; turn < 100 && shard.destination.openCount > 0; turn++) {
    await Promise.resolve();
    nowMs += 100;
    shard.destination.tick();
  }
  return { fed, open: shard.destination.openCount, ...counters.snapshot() };
}

test("the counters add up, for any input", async () => {
  const met = {
    opened: 0,
    picked_up: 0,
    evicted: 0,
    gaps: 0,
    connect_errors: 0,
    broken: 0,
    given_up: 0,
    lost_bytes: 0,
  };
  for (let seed = 1; seed <= 20; seed++) {
    const { fed, open, frames, flows, reassembly, upstream, delay } = await runThrough(seed);
    const equal = (what: string, got: number, want: number) => expect(got, `seed ${seed}: ${what}`).toBe(want);
    equal("connections open at the end", open, 0);
    equal("frames.captured", frames.captured, fed);
    equal("frames.captured", frames.captured, frames.segments + sum(frames.dropped));
    equal("flows.active", flows.active, 0);
    equal("flows begun", flows.opened + flows.picked_up, flows.closed + flows.evicted);
    equal("bytes delivered", reassembly.delivered_bytes, upstream.bytes + upstream.lost_bytes);
    equal("connections made", upstream.connects, upstream.closed + upstream.broken + upstream.given_up);
    equal("delays", sum(delay.buckets), delay.count);
    equal("negative counters", Object.values(reassembly).filter((count) => count < 0).length, 0);
    for (const name of Object.keys(met) as (keyof typeof met)[])
      met[name] += { ...flows, ...reassembly, ...upstream }[name];
  }
  // The seeds are useful only if each of these happens.
  for (const [name, count] of Object.entries(met)) expect(count, name).toBeGreaterThan(0);
});

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
