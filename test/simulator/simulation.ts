/**
 * One run of the simulator: clients, mirror, program and endpoint of one seed, on one clock. Throws
 * an error that begins with the seed if anything is not as it must be.
 *
 * The program runs twice over the same batches: once whole (a Shard with the simulated endpoint), and
 * once only to where its streams begin and end (Decoder and FlowTable), to see the holes' places.
 */
import { BufferBudget } from "../../src/buffer-budget.ts";
import { Decoder } from "../../src/decode/decoder.ts";
import { DROP_REASONS, SEGMENT } from "../../src/decode/drop-reason.ts";
import { FlowTable, REMEMBER_MS } from "../../src/flow/flow-table.ts";
import type { EndpointReport } from "../../src/forward/endpoint.ts";
import type { HttpReport } from "../../src/forward/http-mode.ts";
import { Counters } from "../../src/observe/counters.ts";
import { Shard, type ShardOptions } from "../../src/shard.ts";
import { Random } from "../support/random.ts";
import { connect, type Connection } from "./client.ts";
import { addForeign } from "./foreign.ts";
import { MemorySource } from "./memory-source.ts";
import { type Frame, Mirror } from "./mirror.ts";
import { type Arrival, decodeAll, displacementOf, expect, type Expected, type FrameCounts, prematureGarbage } from "./oracle.ts";
import { type RecordedStream, Recorder } from "./recorder.ts";
import { AVOIDED, type Scenario, scenarioOf } from "./scenario.ts";
import { traceOf } from "./trace.ts";
import { Clock, SimulatedEndpoint, type SimulatedSocket } from "./simulated-endpoint.ts";

/** When the first client starts, in milliseconds since 1970. */
const EPOCH_MS = 1_750_000_000_000;
/** What --mode tcp has no use for, and the time limit for an answer. */
const HTTP = { pipelineDepth: 1, maxWaitingRequests: 1, maxRequestBytes: 1, maxHeaderBytes: 1, responseTimeoutMs: 500, headerEdits: null };
/** How long frames wait at most until they are read: the program's clock runs ahead of theirs. */
const BATCH_MS_MAX = 5;
/** More pieces than this many segments cannot come of them: each adds two ends. */
const PIECES_PER_SEGMENT = 2;
const DRAIN_MS_MAX = 600_000;
/** So many first bytes tell a stream from all others. */
const HEAD_BYTES = 8;

export interface Outcome {
  readonly frames: number;
  readonly streams: number;
  readonly bytes: number;
  readonly gaps: number;
}

/** Runs the world of one seed. */
export function simulate(seed: number): Outcome {
  try {
    return new Simulation(scenarioOf(seed)).run();
  } catch (error) {
    throw new Error(`seed ${seed} (SIMULATOR_SEED=${seed} bun test test/simulator): ${(error as Error).message}`, { cause: error });
  }
}

/** The world of one seed in words, without running it. */
export function traceSeed(seed: number): string {
  return new Simulation(scenarioOf(seed)).trace();
}

class Simulation {
  private readonly random: Random;
  private readonly connections: Connection[];
  private readonly frames: Frame[];
  private readonly arrivals: Arrival[];
  private readonly counts: FrameCounts;
  private readonly clock = new Clock(EPOCH_MS);
  private readonly options: ShardOptions;
  private readonly endpoint: SimulatedEndpoint;
  private readonly report = new CountingReport();
  private readonly counters = new Counters();
  private readonly shard: Shard;
  private readonly recorder = new Recorder();
  private readonly recorded = new Counters();
  private readonly budget: BufferBudget;
  private readonly decoder: Decoder;
  private readonly table: FlowTable;
  private readonly matched = new Map<SimulatedSocket, { streams: RecordedStream[]; checked: number }>();

  constructor(private readonly scenario: Scenario) {
    // Another sequence than the scenario's own knobs were drawn from.
    this.random = new Random(scenario.seed ^ 0x5eed);
    this.connections = connect(this.random, scenario);
    this.frames = this.mirror();
    ({ arrivals: this.arrivals, counts: this.counts } = decodeAll(this.frames));
    this.options = this.chooseOptions();
    this.endpoint = new SimulatedEndpoint(new Random(scenario.seed ^ 0xe4d), scenario, this.clock, this.options.connectTimeoutMs);
    this.shard = new Shard(this.options, this.counters, this.report, this.endpoint, () => this.clock.nowMs);
    const { budget } = this.shard.endpoint.memory;
    // Finer than --max-buffer-mib, so that it is met in a small world.
    if (scenario.regime === "memory") Object.assign(budget, { limitBytes: this.random.pick([0, 4096, 20_000, 60_000]) });
    this.budget = new BufferBudget(budget.limitBytes);
    this.decoder = new Decoder(this.options, this.recorded);
    this.table = new FlowTable(this.options, this.recorded, this.budget, this.recorder);
  }

  run(): Outcome {
    this.play();
    this.drain();
    this.checkCounts();
    if (this.scenario.regime === "exact") this.checkExactly();
    else this.checkTruth();
    this.checkUpstream();
    // Else the two runs of the program have given up different holes.
    if (this.scenario.regime !== "memory") this.checkArrived();
    this.checkNothingHeld();
    const { segments } = this.counts;
    return { frames: segments, streams: this.recorder.streams.length, bytes: this.recorded.reassembly.delivered_bytes, gaps: this.recorded.reassembly.gaps };
  }

  trace(): string {
    return [JSON.stringify(this.scenario), JSON.stringify(this.options), traceOf(this.connections, this.arrivals, EPOCH_MS)].join("\n");
  }

  private mirror(): Frame[] {
    const { random, scenario, connections } = this;
    const mirror = new Mirror(random, scenario);
    for (const connection of connections) {
      const unseen = connection.before === null && random.chance(0.15) ? random.int(1, connection.sent.length) : 0;
      connection.sent.forEach((sent, i) => {
        // The SYN of a second connection is what tells it from the first one.
        const isKept = i === 0 && connection.before !== null;
        // Where limits are met, what comes before it would be given up as the first one's.
        const isInTime = isKept && scenario.regime !== "exact";
        // A SYN behind the end and an acknowledgment that was not said before are a new connection's mark.
        const isOnce = sent.flags.includes("S") && acknowledgesMore(connection);
        if (i >= unseen && !(isOnce && i > 0)) mirror.carry({ ...sent, atMs: EPOCH_MS + sent.atMs }, { isKept, isInTime, isOnce });
        if (random.chance(scenario.foreign)) addForeign(random, scenario, mirror, connection, EPOCH_MS + sent.atMs);
      });
    }
    const frames = withoutAmbiguous(mirror.arrivals());
    const { arrivals } = decodeAll(frames);
    const premature = prematureGarbage(arrivals);
    const mayHaveGarbage = scenario.regime === "exact";
    const isLeftOut = ({ packet }: Frame) => {
      const sent = packet?.segment.sent;
      return sent !== undefined && sent.isGarbage && (premature.has(sent) || (!mayHaveGarbage && sent.payload.length > 0));
    };
    return frames.filter((frame) => !isLeftOut(frame));
  }

  private chooseOptions(): ShardOptions {
    const { random, scenario } = this;
    const fixed = {
      ...HTTP,
      mode: "tcp" as const,
      vxlanPort: scenario.vxlanPort,
      vni: scenario.vni,
      port: scenario.port,
      address: { host: "endpoint", port: 1 },
      maxRetries: 10,
      connectTimeoutMs: 2000,
      measuresDelay: scenario.isLive,
    };
    if (scenario.regime !== "exact") {
      const gapTimeoutMs = scenario.isLive ? random.pick([0, 1, 100, 1000]) : Infinity;
      const maxPendingPackets = random.pick([0, 1, 2, 5, 32]);
      // A flow that is forgotten too early cannot be told from the next with its addresses and ports.
      const mayForget = scenario.reuse === "none";
      const idleTimeoutMs = mayForget ? random.pick([100, 1000, 300_000]) : 300_000;
      const maxFlows = mayForget ? random.pick([1, 2, 5, 1000]) : 1000;
      return { ...fixed, maxPendingPackets, gapTimeoutMs, idleTimeoutMs, maxFlows, maxBufferMib: 256 };
    }
    let segments = 0;
    let waitMs = 0;
    for (const [connections, arrivals] of this.byIdentity()) {
      const worst = displacementOf(connections, arrivals);
      segments = Math.max(segments, worst.segments);
      waitMs = Math.max(waitMs, worst.waitMs);
    }
    const least = waitMs + 2 * BATCH_MS_MAX;
    const gapTimeoutMs = scenario.isLive ? random.pick([least, least + 150, Math.max(least, 1000)]) : Infinity;
    const maxPendingPackets = random.pick([1, 2]) * PIECES_PER_SEGMENT * segments + random.pick([0, 1, 32]);
    return { ...fixed, maxPendingPackets, gapTimeoutMs, idleTimeoutMs: 300_000, maxFlows: 65_536, maxBufferMib: 256 };
  }

  private byIdentity(): Map<Connection[], Arrival[]> {
    const groups = Map.groupBy(this.connections, ({ identity }) => identity);
    const arrivals = Map.groupBy(this.arrivals, ({ sent }) => sent.connection.identity);
    return new Map([...groups].map(([identity, connections]) => [connections, arrivals.get(identity) ?? []]));
  }

  /** Plays all frames to the program, in batches, with time passing between them. */
  private play(): void {
    const { random, scenario, frames } = this;
    const source = new MemorySource(scenario.linkType);
    const batchMax = random.pick([1, 5, 64]);
    for (let from = 0; from < frames.length; ) {
      const endMs = frames[from]!.arrivalMs + BATCH_MS_MAX;
      const batch = frames
        .slice(from, from + random.int(1, batchMax))
        .filter(({ arrivalMs }) => arrivalMs <= endMs)
        .map(({ bytes, arrivalMs }) => ({ bytes, timestampMs: arrivalMs }));
      from += batch.length;
      source.fill(batch);
      this.passTimeUntil(batch.at(-1)!.timestampMs);
      this.record(source);
      source.rewind();
      for (let more = true; more; ) {
        for (const socket of this.endpoint.sockets) socket.writes = 0;
        more = this.shard.process(source, random.int(1, batchMax));
        source.scribble();
        for (const { writes } of this.endpoint.sockets) if (writes > 1) throw new Error(`${writes} writes on one connection in one batch`);
      }
      this.tick();
      this.check();
    }
  }

  private record(source: MemorySource): void {
    while (source.next()) {
      const outcome = this.decoder.decode(source.bytes, source.view, source.offset, source.length, source.linkType, source.timestampMs);
      if (outcome === SEGMENT) this.table.accept(this.decoder.segment);
    }
  }

  /** Lets the time pass in steps, as the program's loop does. */
  private passTimeUntil(untilMs: number): void {
    const { clock } = this;
    while (clock.nowMs < untilMs) {
      // In a long silence nothing happens, unless connections are being made or ended.
      const isQuiet = this.endpoint.isIdle && this.shard.endpoint.unsettledCount === 0;
      const stepMs = Math.max(this.random.pick([1, 10, 100]), isQuiet ? (untilMs - clock.nowMs) / 10 : 0);
      clock.nowMs = Math.min(untilMs, clock.nowMs + stepMs);
      this.tick();
      this.check();
    }
  }

  private tick(): void {
    this.endpoint.step();
    if (this.scenario.isLive) {
      this.decoder.advance(this.clock.nowMs);
      this.table.advance(this.clock.nowMs);
      this.shard.advance(this.clock.nowMs);
    } else {
      this.shard.tick();
    }
  }

  /** The capture is over: everything ends, and every connection is waited for. */
  private drain(): void {
    this.table.flush();
    this.shard.finish();
    this.check();
    const limitMs = this.clock.nowMs + DRAIN_MS_MAX;
    while (this.shard.endpoint.openCount > 0 || !this.endpoint.isIdle) {
      this.clock.nowMs += this.random.pick([5, 10, 50]);
      this.endpoint.step();
      this.shard.tick();
      this.check();
      if (this.clock.nowMs > limitMs) throw new Error(`${this.shard.endpoint.openCount} connections do not end`);
    }
  }

  /** What holds at every moment. */
  private check(): void {
    const { counters, recorded } = this;
    for (const { frames, flows } of [counters, recorded]) {
      equal("frames.captured", frames.captured, frames.segments + sum(frames.dropped));
      equal("flows", flows.opened + flows.picked_up, flows.closed + flows.evicted + flows.active);
    }
    const { upstream, reassembly } = counters;
    const isSettled = this.endpoint.sockets.every((socket) => !socket.isDead || socket.isClosed);
    if (isSettled) equal("reassembly.delivered_bytes", reassembly.delivered_bytes, upstream.bytes + upstream.lost_bytes + this.shard.endpoint.backlogBytes);
    equal("upstream.bytes", upstream.bytes, sum(this.endpoint.sockets.map(({ received }) => received.length)));
    equal("upstream.would_block", upstream.would_block, sum(this.endpoint.sockets.map(({ blocked }) => blocked)));
    const { usedBytes, limitBytes } = this.shard.endpoint.memory.budget;
    within("the shard's budget", usedBytes, limitBytes);
    within("the recorder's budget", this.budget.usedBytes, limitBytes);
    within("live flows", this.table.liveCount, this.options.maxFlows);
    within("remembered flows", this.table.rememberedCount, this.options.maxFlows);
    within("delays", counters.delay.sum_ms, Infinity);
    if (this.scenario.regime !== "memory") this.checkPrefixes();
  }

  /** What a socket got is the beginning of what some stream has delivered. */
  private checkPrefixes(): void {
    for (const socket of this.endpoint.sockets) {
      const { received } = socket;
      if (received.length < HEAD_BYTES) continue;
      let match = this.matched.get(socket);
      if (match === undefined) {
        match = { streams: this.streamsWith(received.slice(0, HEAD_BYTES)), checked: HEAD_BYTES };
        this.matched.set(socket, match);
      }
      if (match.checked === received.length && match.streams.length > 0) continue;
      const fresh = received.slice(match.checked);
      const { checked } = match;
      match.streams = match.streams.filter(({ delivered }) => isSame(delivered.slice(checked, Math.min(delivered.length, received.length)), fresh));
      match.checked = received.length;
      if (match.streams.length === 0) throw new Error(`connection ${socket.index} got ${received.length} bytes that are no stream's first`);
    }
  }

  private streamsWith(head: Uint8Array): RecordedStream[] {
    return this.recorder.streams.filter(({ delivered }) => isSame(delivered.slice(0, Math.min(delivered.length, head.length)), head));
  }

  /** The counters are what the frames were made for. */
  private checkCounts(): void {
    const { captured, segments, truncated, dropped, completedDatagrams } = this.counts;
    for (const { frames, fragments } of [this.counters, this.recorded]) {
      equal("frames.captured", frames.captured, captured);
      equal("frames.segments", frames.segments, segments);
      equal("frames.truncated", frames.truncated, truncated);
      DROP_REASONS.forEach((reason, i) => equal(`frames.dropped.${reason}`, frames.dropped[i]!, dropped.get(reason) ?? 0));
      equal("fragments.completed", fragments.completed, completedDatagrams);
    }
  }

  /** Every stream came as it must, every hole was told at its place; nothing else came. */
  private checkExactly(): void {
    const streams = Map.groupBy(this.recorder.streams, ({ identity }) => identity);
    let opened = 0;
    let pickedUp = 0;
    for (const [connections, arrivals] of this.byIdentity()) {
      const { identity } = connections[0]!;
      const left = [...(streams.get(identity) ?? [])];
      streams.delete(identity);
      for (const connection of connections) {
        const expected = expect(connection, arrivals);
        if (expected === null) continue;
        if (expected.hasSyn) opened++;
        else pickedUp++;
        const at = left.findIndex((stream) => isAsExpected(stream, expected));
        if (at < 0) throw new Error(`connection ${connection.id} did not come as it must: ${describe(expected)}\n  instead: ${left.map(describeStream).join("\n  or: ")}`);
        left.splice(at, 1);
      }
      if (left.length > 0) throw new Error(`with connection ${connections[0]!.id}, streams that nobody sent: ${left.map(describeStream).join("\n")}`);
    }
    if (streams.size > 0) throw new Error("streams of addresses that nobody has");
    const { flows, reassembly } = this.recorded;
    equal("flows.opened", flows.opened, opened);
    equal("flows.picked_up", flows.picked_up, pickedUp);
    equal("reassembly.pending_limit with room for all", reassembly.buffer_limit, 0);
    this.checkPayload();
    equal("reassembly.discarded_bytes", reassembly.discarded_bytes, 0);
    if (this.scenario.reuse === "none") equal("reassembly.out_of_window", reassembly.out_of_window, 0);
    this.checkGaps();
  }

  /** No byte disappears: what did not come for the first time came again. */
  private checkPayload(): void {
    const { delivered_bytes, retransmitted_bytes, overlap_bytes, out_of_window } = this.recorded.reassembly;
    // Of what lies outside of the window, only segments are counted.
    if (out_of_window === 0) equal("payload bytes", delivered_bytes + retransmitted_bytes + overlap_bytes, sum(this.arrivals.map(({ length }) => length)));
  }

  private checkGaps(): void {
    const { reassembly } = this.recorded;
    equal("reassembly.gap_bytes", reassembly.gap_bytes, sum(this.recorder.streams.map(({ gapBytes }) => gapBytes)));
  }

  /** With limits that are met: what came is true, and in its place. */
  private checkTruth(): void {
    const connections = Map.groupBy(this.connections, ({ identity }) => identity);
    for (const stream of this.recorder.streams) {
      const candidates = connections.get(stream.identity) ?? [];
      if (!candidates.some((connection) => placeOf(stream, connection) >= 0)) throw new Error(`nobody sent ${describeStream(stream)}`);
    }
  }

  /** The connections' counters are what happened to them. */
  private checkUpstream(): void {
    const { upstream, flows, reassembly } = this.counters;
    const wanted = this.wantedSockets;
    equal("upstream.connects", upstream.connects, wanted.length);
    equal("flows", upstream.connects + upstream.connect_errors, flows.opened + flows.picked_up - this.unconnected);
    equal("ended connections", upstream.closed + upstream.broken + upstream.given_up, wanted.length + this.unconnected);
    equal("upstream.response_bytes", upstream.response_bytes, sum(wanted.map(({ responseBytes }) => responseBytes)));
    equal("reassembly.delivered_bytes", reassembly.delivered_bytes, upstream.bytes + upstream.lost_bytes);
    equal("outages", this.report.begun, this.report.ended + (this.report.isInOutage ? 1 : 0));
    for (const { index, isHealthy, isShutDown, isTerminated, harm } of wanted) {
      if (this.scenario.regime === "memory") continue;
      if (isHealthy && !isShutDown) throw new Error(`connection ${index} was not half-closed`);
      if (harm === "none" && isTerminated) throw new Error(`connection ${index} was closed before its end`);
    }
  }

  private get wantedSockets(): SimulatedSocket[] {
    return this.endpoint.sockets.filter(({ wasUnwanted }) => !wasUnwanted);
  }

  /** Connections that were given up before they were made. */
  private get unconnected(): number {
    const { upstream, flows } = this.counters;
    return flows.opened + flows.picked_up - upstream.connects - upstream.connect_errors;
  }

  /** Every stream has its own connection, and it got all of it, but for what the endpoint did. */
  private checkArrived(): void {
    const { flows, reassembly } = this.counters;
    equal("streams", this.recorder.streams.length, flows.opened + flows.picked_up);
    equal("connections given up before they were made", this.unconnected, 0);
    // An attempt that is not answered begins an outage, in which a refusal may be final.
    if (this.endpoint.unanswered === 0) equal("upstream.connect_errors", this.counters.upstream.connect_errors, 0);
    equal("delivered by both", reassembly.delivered_bytes, this.recorded.reassembly.delivered_bytes);
    const left = new Set(this.recorder.streams);
    // Those of which all is known choose first; then those that got more.
    const byCertainty = (a: SimulatedSocket, b: SimulatedSocket) => Number(b.isHealthy) - Number(a.isHealthy) || b.received.length - a.received.length;
    for (const socket of this.wantedSockets.toSorted(byCertainty)) {
      const { received, isHealthy } = socket;
      const isIts = ({ delivered }: RecordedStream) =>
        (isHealthy ? delivered.length === received.length : delivered.length >= received.length) && isSame(delivered.slice(0, received.length), received.slice());
      const stream = [...left].find(isIts);
      if (stream === undefined) throw new Error(`connection ${socket.index} (harm: ${socket.harm}) got ${received.length} bytes that are no stream's`);
      left.delete(stream);
    }
  }

  private checkNothingHeld(): void {
    equal("bytes held", this.shard.endpoint.memory.budget.usedBytes, 0);
    equal("bytes held by the recorder", this.budget.usedBytes, 0);
    equal("waiting flows", this.table.waiting.size, 0);
    equal("live flows", this.table.liveCount, 0);
    equal("open connections", this.shard.endpoint.openCount, 0);
    equal("backlog", this.shard.endpoint.backlogBytes, 0);
    equal("unsettled", this.shard.endpoint.unsettledCount, 0);
    equal("active flows", this.counters.flows.active, 0);
    const last = this.frames.at(-1)?.arrivalMs ?? EPOCH_MS;
    this.table.advance(Math.max(last, this.clock.nowMs) + REMEMBER_MS + 1);
    equal("remembered flows", this.table.rememberedCount, 0);
  }
}

class CountingReport implements EndpointReport, HttpReport {
  begun = 0;
  ended = 0;

  get isInOutage(): boolean {
    return this.begun > this.ended;
  }

  outageBegan(): void {
    if (this.isInOutage) throw new Error("an outage within an outage");
    this.begun++;
  }

  outageEnded(durationMs: number): void {
    if (!this.isInOutage) throw new Error("the end of no outage");
    within("an outage's duration", durationMs, Infinity);
    this.ended++;
  }

  foreign(): void {
    throw new Error("a protocol seen in --mode tcp");
  }

  givenUp(_why: string, lostBytes: number): void {
    within("lost bytes", lostBytes, Infinity);
  }

  broken(_how: "closed" | "reset", lostBytes: number): void {
    within("lost bytes", lostBytes, Infinity);
  }
}

/**
 * Leaves out what nobody can tell: a connection of which nothing came before another had its addresses
 * and ports; what came before a third connection's SYN while the first one may still be open, as its FIN
 * was not seen; and what came before a second connection's SYN while the first one's was not seen either.
 */
function withoutAmbiguous(frames: Frame[]): Frame[] {
  const left = withoutSomeAmbiguous(frames);
  // What was left out may have been what made the rest certain.
  return left.length === frames.length ? left : withoutAmbiguous(left);
}

function withoutSomeAmbiguous(frames: Frame[]): Frame[] {
  const known = new Map<Connection, number>();
  const opened = new Map<Connection, number>();
  const ended = new Map<Connection, number>();
  const note = (times: Map<Connection, number>, { sent, atMs }: Arrival) => {
    if (!times.has(sent.connection)) times.set(sent.connection, atMs);
  };
  for (const arrival of decodeAll(frames).arrivals) {
    const { flags } = arrival.sent;
    if (arrival.length > 0 || flags.includes("S")) note(known, arrival);
    if (flags.includes("S")) note(opened, arrival);
    if (flags.includes("F")) note(ended, arrival);
  }
  const isOpened = (connection: Connection, atMs: number) => known.get(connection)! < atMs && opened.get(connection)! < atMs;
  const isEnded = (connection: Connection | null, atMs: number): boolean =>
    connection === null || (isOpened(connection, atMs) && ended.get(connection)! < atMs && isEnded(connection.before, atMs));
  const isUnknown = new Set<Connection>();
  return frames.filter(({ packet, arrivalMs }) => {
    if (packet === null) return true;
    const { connection, flags } = packet.segment.sent;
    const { before } = connection;
    if (isUnknown.has(connection)) return false;
    if (before === null) return true;
    const isEarly = arrivalMs < opened.get(connection)! && !flags.includes("S");
    if (isEarly && AVOIDED.earlyWhileOpen && !isEnded(before, arrivalMs)) return false;
    if (isEarly && !(isOpened(before, arrivalMs) && isEnded(before.before, arrivalMs))) return false;
    if (!(known.get(before)! < arrivalMs)) isUnknown.add(before);
    return true;
  });
}

function acknowledgesMore({ sent }: Connection): boolean {
  const numbers = new Set(sent.filter(({ flags }) => flags.includes("A")).map(({ acknowledgment }) => acknowledgment));
  return numbers.size > 1;
}

function isAsExpected(stream: RecordedStream, { hasSyn, runs, end }: Expected): boolean {
  if (stream.hasSyn !== hasSyn || stream.runs.length !== runs.length) return false;
  if (end !== null && stream.how !== end) return false;
  return runs.every(({ bytes, length }, i) => {
    const run = stream.runs[i]!;
    return run.length === length && (run.bytes === null) === (bytes === null) && (bytes === null || isSame(run.bytes!.slice(), bytes));
  });
}

/** Where in a connection's stream all of a recorded stream's runs lie; -1: nowhere. */
function placeOf(stream: RecordedStream, { stream: sent }: Connection): number {
  let ahead = 0;
  const first = stream.runs.findIndex(({ bytes }) => bytes !== null);
  for (const { length } of stream.runs.slice(0, Math.max(first, 0))) ahead += length;
  if (first < 0) return 0;
  const head = stream.runs[first]!.bytes!.slice();
  const haystack = Buffer.from(sent.buffer, sent.byteOffset, sent.length);
  for (let at = haystack.indexOf(head); at >= 0; at = haystack.indexOf(head, at + 1)) {
    const start = at - ahead;
    if (start >= 0 && isAt(stream, sent, start)) return start;
  }
  return -1;
}

function isAt(stream: RecordedStream, sent: Uint8Array, start: number): boolean {
  let at = start;
  for (const { bytes, length } of stream.runs) {
    if (bytes !== null && !isSame(bytes.slice(), sent.subarray(at, at + length))) return false;
    at += length;
  }
  return at <= sent.length;
}

function describe({ connection, hasSyn, runs, end }: Expected): string {
  return `${hasSyn ? "SYN" : "no SYN"}, ${describeRuns(runs)}, end ${end ?? "any"} (ISN ${connection.isn}, ${connection.stream.length} bytes, ${connection.ending})`;
}

function describeStream(stream: RecordedStream): string {
  return `${stream.hasSyn ? "SYN" : "no SYN"}, ${describeRuns(stream.runs)}, end ${stream.how}`;
}

function describeRuns(runs: readonly { bytes: unknown; length: number }[]): string {
  return runs.length === 0 ? "nothing" : runs.map(({ bytes, length }) => (bytes === null ? `hole of ${length}` : `${length} bytes`)).join(", ");
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function equal(what: string, actual: number, expected: number): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, not ${expected}`);
}

function within(what: string, actual: number, limit: number): void {
  if (!(actual >= 0 && actual <= limit)) throw new Error(`${what}: ${actual} is not within 0 and ${limit}`);
}
