/** The beginning and the end of flows, and the flow table's limits, each at its edge. */
import { describe, expect, test } from "bun:test";
import {
  CONNECTIONS_SHARE,
  INCARNATIONS_MAX,
  REMEMBER_MS,
  REMEMBERED_MIN,
  REPLACED_MS_MAX,
  TICK_MS,
} from "../../src/flow/flow-table.ts";
import { LATE_START_BYTES_MAX } from "../../src/flow/incarnation.ts";
import { ARRAY_BYTES_MIN } from "../../src/memory/array-pool.ts";
import { Cost, PENDING_SHARE_MAX } from "../../src/memory/budget.ts";
import { data, EPOCH_MS, fin, FLUSH, Flows, pause, reset, syn } from "./flows.ts";

const client = (sourcePort: number) => ({ sourcePort });

function flowCounts({ counters }: Flows) {
  return { ...counters.flows };
}

describe("silence", () => {
  const idleTimeoutMs = 10_000;

  test("ends a flow at the idle timeout, not before", () => {
    const flows = new Flows({ idleTimeoutMs }).play(syn(0), data(1, "abc"), pause(9900), pause(99));
    expect(flows.streams).toEqual(["SYN abc …"]);
    flows.play(pause(1), pause(100));
    expect(flows.streams).toEqual(["SYN abc idle"]);
    expect(flowCounts(flows)).toEqual({ opened: 1, picked_up: 0, closed: 1, evicted: 0, active: 0 });
  });

  test.each([
    ["bytes", data(4, "d"), "SYN abcd …"],
    ["a retransmission", data(1, "abc"), "SYN abc …"],
    ["a bare ACK", data(4, ""), "SYN abc …"],
    ["the SYN again", syn(0), "SYN abc …"],
  ])("is broken by %s", (_, event, stream) => {
    const flows = new Flows({ idleTimeoutMs }).play(syn(0), data(1, "abc"), pause(9000), event, pause(9000));
    expect(flows.streams).toEqual([stream]);
  });

  test("delivers pending bytes before it ends a flow", () => {
    const flows = new Flows({ idleTimeoutMs, gapTimeoutMs: Infinity }).play(syn(0), data(3, "c"), pause(10_000));
    expect(flows.streams).toEqual(["SYN <2> c idle"]);
  });

  test("ends a flow that waits for its SYN", () => {
    const flows = new Flows({ idleTimeoutMs, gapTimeoutMs: Infinity }).play(data(3, "c"), pause(10_000));
    expect(flows.streams).toEqual(["- c idle"]);
    expect(flowCounts(flows)).toEqual({ opened: 0, picked_up: 1, closed: 1, evicted: 0, active: 0 });
  });

  test("ends each flow at its own time", () => {
    const flows = new Flows({ idleTimeoutMs }).play(
      syn(0, "", client(1)),
      pause(5000),
      syn(0, "", client(2)),
      pause(5000),
    );
    expect(flows.streams).toEqual(["SYN idle", "SYN …"]);
    flows.play(pause(5000));
    expect(flows.streams).toEqual(["SYN idle", "SYN idle"]);
  });
});

describe("silence, as a flow's consumer sees it", () => {
  const idleTimeoutMs = 10_000;
  const silence = Array.from({ length: 10 }, () => pause(1000));

  test("a consumer that refuses keeps its flow, and is asked again after a silence of the same length", () => {
    const flows = new Flows({ idleTimeoutMs }).play(syn(0), data(1, "abc"));
    const [stream] = flows.recorder.streams;
    stream!.mayEndIdle = false;
    flows.play(...silence);
    expect([stream!.idled, stream!.how]).toEqual([1, null]);
    flows.play(...silence.slice(1));
    expect(stream!.idled).toBe(1);
    flows.play(pause(1000), data(4, "d"));
    expect(stream!.idled).toBe(2);
    stream!.mayEndIdle = true;
    flows.play(...silence);
    expect(flows.streams).toEqual(["SYN abcd idle"]);
  });

  test("a source that waits: every consumer is asked, no flow ends", () => {
    const flows = new Flows({ idleTimeoutMs, sourceWaits: true, gapTimeoutMs: Infinity }).play(
      syn(0),
      data(1, "abc"),
      data(6, "f"),
      data(9, "x", client(2)),
    );
    flows.play(...silence, ...silence, data(4, "de"), data(7, "gh"));
    expect(flows.streams).toEqual(["SYN abcdefgh …"]);
    expect(flows.recorder.streams[0]!.idled).toBe(2);
    expect(flows.table.liveCount).toBe(2);
    flows.play(FLUSH);
    expect(flows.streams).toEqual(["SYN abcdefgh flushed", "- x flushed"]);
  });

  test("a source that waits: flows beyond --max-flows are evicted nevertheless", () => {
    const flows = new Flows({ idleTimeoutMs, sourceWaits: true, maxFlows: 1 }).play(
      syn(0),
      ...silence,
      syn(0, "", client(2)),
    );
    expect(flows.streams).toEqual(["SYN evicted", "SYN …"]);
  });
});

describe("the limit of flows", () => {
  test("at the limit no flow is evicted; beyond it, the flow that has been idle longest", () => {
    const flows = new Flows({ maxFlows: 3 }).play(
      syn(0, "", client(1)),
      syn(0, "", client(2)),
      syn(0, "", client(3)),
      data(1, "a", client(1)),
    );
    expect(flows.streams).toEqual(["SYN a …", "SYN …", "SYN …"]);
    flows.play(syn(0, "", client(4)));
    expect(flows.streams).toEqual(["SYN a …", "SYN evicted", "SYN …", "SYN …"]);
    expect(flowCounts(flows)).toEqual({ opened: 4, picked_up: 0, closed: 0, evicted: 1, active: 3 });
  });

  test("pending bytes of an evicted flow are delivered", () => {
    const flows = new Flows({ maxFlows: 1 }).play(
      syn(0, "", client(1)),
      data(3, "c", client(1)),
      syn(0, "", client(2)),
    );
    expect(flows.streams).toEqual(["SYN <2> c evicted", "SYN …"]);
    expect(flows.budget.usedBytes).toBe(0);
  });

  test("flows that wait for their SYN count as well", () => {
    const flows = new Flows({ maxFlows: 2 }).play(
      data(1, "a", client(1)),
      data(1, "b", client(2)),
      data(1, "c", client(3)),
    );
    expect(flows.table.liveCount).toBe(2);
    expect(flows.streams).toEqual(["- a evicted"]);
  });

  test("an evicted flow's next bytes are joined", () => {
    const flows = new Flows({ maxFlows: 1 }).play(
      syn(0, "a", client(1)),
      syn(0, "", client(2)),
      data(2, "b", client(1)),
      pause(1000),
    );
    expect(flows.streams).toEqual(["SYN a evicted", "SYN evicted", "- b …"]);
  });

  test.each([
    ["the next byte", 2, 0],
    ["a byte further on", 5, 3],
    ["bytes that it has had, and the next", 1, 0],
  ])(
    "an evicted flow that goes on with %s is linked to its earlier part, with the number of missing bytes",
    (_, sequence, missing) => {
      const flows = new Flows({ maxFlows: 2 }).play(
        syn(0, "a", client(1)),
        syn(0, "", client(2)),
        syn(0, "", client(3)),
        data(sequence, "aba".slice(2 - Math.min(sequence, 2)), client(1)),
        pause(1000),
      );
      const [before, , , after] = flows.recorder.streams;
      expect(before!.origin.continued).toBeNull();
      expect(after!.origin.continued).toEqual({ consumer: before!, missing });
      // It goes on once: with another SYN, it is another connection.
      flows.play(syn(9000, "", client(1)));
      expect(flows.recorder.streams.at(-1)!.origin.continued).toBeNull();
    },
  );

  test("an evicted flow goes on with its next byte at once, however long others wait for their SYN", () => {
    const flows = new Flows({ maxFlows: 2, gapTimeoutMs: Infinity }).play(
      syn(0, "a", client(1)),
      syn(0, "", client(2)),
      syn(0, "", client(3)),
      data(2, "b", client(1)),
    );
    expect(flows.streams).toEqual(["SYN a evicted", "SYN evicted", "SYN …", "- b …"]);
    const [before, , , after] = flows.recorder.streams;
    expect(after!.origin.continued).toEqual({ consumer: before!, missing: 0 });
    // Bytes between may still come.
    flows.play(data(5, "e", client(2)));
    expect(flows.streams).toHaveLength(4);
  });

  test("an evicted flow that knows no more than one joined in its middle is not remembered", () => {
    const flows = new Flows({ maxFlows: 1 });
    flows.play(syn(0, "a", client(1)));
    flows.recorder.streams[0]!.mayGoOn = false;
    flows.play(syn(0, "", client(2)), data(2, "b", client(1)), pause(1000));
    expect(flows.streams).toEqual(["SYN a evicted", "SYN evicted", "- b …"]);
    expect(flows.recorder.streams.at(-1)!.origin.continued).toBeNull();
  });

  test("beyond the limit of remembered flows, the one that ended first is forgotten", () => {
    const flows = new Flows({ maxFlows: 2 });
    for (const port of [1, 2, 3]) flows.play(syn(0, "a", client(port)), reset(2, client(port)));
    expect(flows.table.rememberedCount).toBe(2);
    flows.play(syn(0, "a", client(2)), syn(0, "a", client(3)));
    expect(flows.streams).toHaveLength(3);
    flows.play(syn(0, "a", client(1)));
    expect(flows.streams).toHaveLength(4);
  });

  test("a small budget allows fewer: as many as fit into a share of it", () => {
    const fitting = 3;
    const flows = new Flows({ bufferBytes: (fitting * Cost.CONNECTION) / CONNECTIONS_SHARE });
    for (let port = 1; port <= fitting; port++) flows.play(syn(0, "", client(port)));
    expect(flowCounts(flows)).toMatchObject({ active: fitting, evicted: 0 });
    flows.play(syn(0, "", client(fitting + 1)));
    expect(flowCounts(flows)).toMatchObject({ active: fitting, evicted: 1 });
  });

  test("a fixed number of ended ones is remembered, with any small budget", () => {
    const flows = new Flows({ bufferBytes: 0 });
    const end = (port: number) => flows.play(syn(0, "a", client(port)), reset(2, client(port)));
    for (let port = 1; port <= REMEMBERED_MIN; port++) end(port);
    flows.play(syn(0, "a", client(1)));
    expect(flows.streams).toHaveLength(REMEMBERED_MIN);
    end(REMEMBERED_MIN + 1);
    expect(flows.table.rememberedCount).toBe(REMEMBERED_MIN);
    flows.play(syn(0, "a", client(1)));
    expect(flows.streams).toHaveLength(REMEMBERED_MIN + 2);
  });

  test("10,000 flows come and go under a limit of 100", () => {
    const flows = new Flows({ maxFlows: 100 });
    for (let i = 1; i <= 10_000; i++) {
      const one = { sourcePort: i & 0xffff, source: i };
      flows.play(syn(0, "ab", one), data(5, "ef", one), ...(i % 3 === 0 ? [data(3, "cd", one), fin(7, "", one)] : []));
      if (flows.table.liveCount > 100 || flows.table.rememberedCount > 100) throw new Error("over the limit");
    }
    flows.play(FLUSH);
    expect(flows.table.liveCount).toBe(0);
    expect(flows.budget.usedBytes).toBe(0);
    expect(flowCounts(flows)).toMatchObject({ opened: 10_000, active: 0 });
    const whole = flows.streams.filter((stream) => stream === "SYN abcdef fin");
    expect(whole).toHaveLength(3333);
    flows.play(pause(60_000), pause(60_000));
    expect(flows.table.rememberedCount).toBe(0);
  });
});

describe("the incarnations of a connection", () => {
  /** The first SYN of each is so far behind the one before. */
  const APART = 10_000;

  test.each([
    [INCARNATIONS_MAX, INCARNATIONS_MAX],
    [INCARNATIONS_MAX + 1, INCARNATIONS_MAX + 2],
  ])("of %d that have ended, the last so many are remembered: a late SYN of the first", (count, streams) => {
    const flows = new Flows();
    for (let i = 0; i < count; i++) flows.play(syn(i * APART, "a"), reset(i * APART + 2));
    flows.play(syn(0, "a"));
    expect(flows.streams).toHaveLength(streams);
  });

  test("if too many are open, the oldest is ended, and its pending bytes are delivered", () => {
    const flows = new Flows({ gapTimeoutMs: Infinity });
    flows.play(syn(0), data(3, "c"));
    for (let i = 1; i < INCARNATIONS_MAX; i++) flows.play(syn(i * APART));
    expect(flows.streams[0]).toBe("SYN …");
    flows.play(syn(INCARNATIONS_MAX * APART));
    expect(flows.streams[0]).toBe("SYN <2> c replaced");
    expect(flowCounts(flows)).toMatchObject({ opened: INCARNATIONS_MAX + 1, closed: 1, active: INCARNATIONS_MAX });
    expect(flows.counters.reassembly).toMatchObject({ gaps: 1, gap_bytes: 2 });
  });

  test("one that was replaced gets bytes for a while, where holes have no time limit", () => {
    const flows = new Flows({ gapTimeoutMs: Infinity });
    flows.play(syn(0), syn(APART), pause(REPLACED_MS_MAX - TICK_MS), data(1, "a"), pause(TICK_MS - 1));
    expect(flows.streams).toEqual(["SYN a …", "SYN …"]);
    flows.play(pause(1), pause(TICK_MS));
    expect(flows.streams).toEqual(["SYN a replaced", "SYN …"]);
  });

  test("one that has ended is remembered for a while", () => {
    const flows = new Flows().play(syn(0, "a"), fin(2), pause(REMEMBER_MS - TICK_MS), pause(TICK_MS - 1));
    expect([flows.play(syn(0, "a")).streams, flows.table.rememberedCount]).toEqual([["SYN a fin"], 1]);
    flows.play(pause(1), pause(TICK_MS));
    expect([flows.play(syn(0, "a")).streams, flows.table.rememberedCount]).toEqual([["SYN a fin", "SYN a …"], 0]);
  });

  test.each([
    [0, ["- abc …"]],
    [1, ["- abc replaced", "SYN …"]],
  ])("a SYN that comes late is its own as far below its first byte as may be, and not %d further", (more, streams) => {
    const flows = new Flows({ isn: 1 << 28 }).play(data(0, "abc"), pause(1000));
    flows.play(syn(-LATE_START_BYTES_MAX - 1 - more), pause(1000));
    expect(flows.streams).toEqual(streams);
  });

  test.each([
    [0, { retransmitted_bytes: 2, out_of_window: 0 }],
    [1, { retransmitted_bytes: 0, out_of_window: 1 }],
  ])("first bytes that come late are its own as far below as may be, and not %d further", (more, counted) => {
    const flows = new Flows({ isn: 1 << 28 }).play(data(0, "abc"), pause(1000));
    flows.play(data(-LATE_START_BYTES_MAX - more, "xy"), pause(1000));
    expect(flows.streams).toEqual(["- abc …"]);
    expect(flows.counters.reassembly).toMatchObject(counted);
  });

  test.each([0, 1])(
    "an evicted flow goes on after the largest allowed number of missing bytes, and not after %d more",
    (more) => {
      const flows = new Flows({ maxFlows: 2 }).play(syn(0, "a"), syn(0, "", client(1)), syn(0, "", client(2)));
      flows.play(data(2 + LATE_START_BYTES_MAX + more, "b"), pause(1000));
      const goesOn = { consumer: flows.recorder.streams[0]!, missing: LATE_START_BYTES_MAX };
      expect(flows.recorder.streams.at(-1)!.origin.continued).toEqual(more === 0 ? goesOn : null);
    },
  );
});

describe("the limit of held bytes", () => {
  const bytes = "x".repeat(1000);

  test("pending bytes take a share of it, up to the limit and not beyond", () => {
    const fitting = 4;
    const pieceBytes = Cost.PIECE + Cost.ARRAY + ARRAY_BYTES_MIN;
    const flows = new Flows({ bufferBytes: (fitting * pieceBytes) / PENDING_SHARE_MAX }).play(syn(0));
    for (let i = 0; i < fitting; i++) flows.play(data(2 + 2 * i, "x"));
    expect(flows.counters.reassembly.buffer_limit).toBe(0);
    flows.play(data(2 + 2 * fitting, "x"));
    expect(flows.counters.reassembly.buffer_limit).toBe(1);
    expect(flows.table.pendingCount).toBe(fitting);
  });

  test("is never exceeded; the oldest hole is given up first", () => {
    const flows = new Flows({ bufferBytes: 40_000, maxPendingPackets: 1000, gapTimeoutMs: Infinity });
    for (let port = 1; port <= 15; port++) {
      const from = client(port);
      flows.play(syn(0, "", from), data(2, bytes, from), data(2 + bytes.length + 1, bytes, from));
      expect(flows.budget.usedBytes).toBeLessThanOrEqual(40_000);
    }
    const { buffer_limit, gaps } = flows.counters.reassembly;
    expect(buffer_limit).toBeGreaterThan(0);
    expect(gaps).toBe(buffer_limit);
    const given = flows.streams.map((stream) => stream.includes("<1>"));
    expect(given).toEqual(given.toSorted((a, b) => Number(b) - Number(a)));
  });

  test("a flow that holds everything gives up its own holes", () => {
    const flows = new Flows({ bufferBytes: 10_000, maxPendingPackets: 1000, gapTimeoutMs: Infinity }).play(syn(0));
    for (let i = 0; i < 20; i++) {
      flows.play(data(2 + i * 1001, bytes));
      expect(flows.budget.usedBytes).toBeLessThanOrEqual(10_000);
    }
    flows.play(FLUSH);
    expect(flows.streams).toEqual([`SYN ${`<1> ${bytes} `.repeat(20)}flushed`]);
    expect(flows.budget.usedBytes).toBe(0);
  });

  test("holds for a segment larger than the limit, while FINs wait behind tails", () => {
    const flows = new Flows({ bufferBytes: 2400, gapTimeoutMs: Infinity });
    for (const port of [1, 2, 3]) flows.play(syn(0, "", client(port)), fin(5, "x", { ...client(port), missing: 5 }));
    flows.play(syn(0, "", client(4)), data(5, bytes, client(4)));
    expect(flows.streams).toEqual([...Array(3).fill("SYN <4> x <5> fin"), `SYN <4> ${bytes} …`]);
    expect(flows.budget.usedBytes).toBe(0);
  });

  test("bytes in order need no held memory", () => {
    const flows = new Flows({ bufferBytes: 0 }).play(syn(0), data(1, "abc"), data(4, "def"), fin(7));
    expect(flows.streams).toEqual(["SYN abcdef fin"]);
    expect(flows.counters.reassembly.buffer_limit).toBe(0);
  });

  test.each([
    ["filled", [data(1, "a")]],
    ["given up in time", [pause(1000)]],
    ["ended by a reset", [reset(1)]],
    ["flushed", [FLUSH]],
    ["replaced", [syn(5000), pause(1000)]],
    ["ended by a FIN before them", [fin(1)]],
  ] as const)("they are given back when the hole is %s", (_, events) => {
    const flows = new Flows().play(syn(0), data(2, bytes), data(1500, bytes));
    expect(flows.budget.usedBytes).toBeGreaterThanOrEqual(2000);
    flows.play(...events, FLUSH);
    expect(flows.budget.usedBytes).toBe(0);
    expect(flows.table.pendingCount).toBe(0);
  });
});

describe("time", () => {
  /** Frames with wrong times, between others. */
  test.each([
    ["301 s ahead", 301_000],
    ["80 years ahead", 80 * 365 * 86_400_000],
    ["of 1970", -EPOCH_MS],
  ])("a frame %s ends nothing and gives nothing up", (_, ms) => {
    const flows = new Flows().play(syn(0), data(1, "a"), data(3, "c"), syn(0, "", client(2)), pause(100));
    flows.nowMs += ms;
    flows.play(data(5, "e"));
    flows.nowMs -= ms;
    flows.play(pause(100), data(4, "d"), data(2, "b"), pause(100));
    expect(flows.streams).toEqual(["SYN abcde …", "SYN …"]);
    expect(flows.counters.reassembly.gaps).toBe(0);
  });

  test("after a long silence of the whole capture, a hole has its full time", () => {
    const flows = new Flows().play(syn(0), pause(100), syn(0, "", client(2)));
    flows.nowMs += 400_000;
    flows.play(data(3, "c"), data(1, "x", client(2)), data(2, "y", client(2)), data(3, "z", client(2)));
    flows.play(pause(999), data(1, "ab"));
    expect(flows.streams).toEqual(["SYN abc …", "SYN xyz …"]);
  });

  test("never runs backward: a frame with an older time changes no limit", () => {
    const flows = new Flows().play(syn(0), data(3, "c"), pause(900));
    flows.nowMs = EPOCH_MS - 5000;
    flows.play(data(5, "e"), pause(0));
    flows.nowMs = EPOCH_MS;
    flows.play(pause(1000));
    expect(flows.streams).toEqual(["SYN <2> c …"]);
  });
});
