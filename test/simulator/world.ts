/**
 * One run of the simulator: clients, mirror, program and endpoint of one seed, on one clock.
 *
 * The program runs twice over the same batches: once whole (a Shard with the simulated endpoint), and once only up to
 * its streams (Decoder and FlowTable), to see the holes' places. The worlds that extend this one check the outcome: of
 * streams in simulation.ts, of requests in http/simulation.ts.
 */
import { Budget } from "../../src/memory/budget.ts";
import { Decoder } from "../../src/decode/decoder.ts";
import { DROP_REASONS, SEGMENT } from "../../src/decode/drop-reason.ts";
import { FlowTable, REMEMBER_MS } from "../../src/flow/flow-table.ts";
import type { DestinationReport } from "../../src/forward/destination-options.ts";
import type { Connector } from "../../src/forward/socket.ts";
import type { HttpReport } from "../../src/forward/http-options.ts";
import { Counters } from "../../src/observe/counters.ts";
import type { ShardOptions } from "../../src/shard/setup.ts";
import { Shard } from "../../src/shard/shard.ts";
import { limitTo } from "../support/limit.ts";
import { Random } from "../support/random.ts";
import { equal, within } from "./checks.ts";
import type { Connection } from "./client.ts";
import { Destinations } from "./destinations.ts";
import { addForeign } from "./foreign.ts";
import { MemorySource } from "./memory-source.ts";
import { type Frame, Mirror } from "./mirror.ts";
import { type Arrival, decodeAll, displacementOf, type FrameCounts, prematureGarbage } from "./oracle.ts";
import { type Answered, answer } from "./server.ts";
import { Recorder } from "./recorder.ts";
import type { Scenario } from "./scenario.ts";
import { Clock, type SimulatedEndpoint } from "./simulated-endpoint.ts";
import { traceOf } from "./trace.ts";

/** When the first client starts, in milliseconds since 1970. */
export const EPOCH_MS = 1_750_000_000_000;
/** The longest time that frames wait until they are read: the program's clock is ahead of theirs. */
export const BATCH_MS_MAX = 5;
/** The most pieces for each segment: each segment adds two ends. */
const PIECES_PER_SEGMENT = 2;
const DRAIN_MS_MAX = 600_000;
/** The time between two looks at busy further destinations in a silence: less than the wait of a refused connection. */
const FURTHER_STEP_MS = 50;

/** The program's options that concern flows; a world adds the rest. */
export type FlowOptions = Pick<
  ShardOptions,
  "maxPendingPackets" | "gapTimeoutMs" | "idleTimeoutMs" | "maxFlows" | "sourceWaits"
>;

export abstract class World {
  protected readonly random: Random;
  protected readonly connections: Connection[];
  protected readonly frames: Frame[];
  protected readonly arrivals: Arrival[];
  protected readonly counts: FrameCounts;
  /** The servers' bytes, and which of them arrive. */
  protected readonly answers = new Map<Connection, Answered>();
  protected readonly answersArrived: Arrival[];
  protected readonly clock = new Clock(EPOCH_MS);
  protected readonly options: ShardOptions;
  protected readonly report: CountingReport;
  protected readonly counters: Counters;
  protected readonly endpoint: SimulatedEndpoint;
  /** Further destinations. */
  protected readonly others: readonly SimulatedEndpoint[];
  private readonly connector: Connector & { step(): void };
  protected readonly shard: Shard;
  protected readonly recorder = new Recorder();
  protected readonly recorded = new Counters();
  protected readonly budget: Budget;
  protected readonly decoder: Decoder;
  protected readonly table: FlowTable;
  /** Behind the batch's writes, a connection has given way, and its pending bytes were written. */
  private givenWay = false;

  constructor(
    protected readonly scenario: Scenario,
    connect: (random: Random) => Connection[],
    optionsOf: (random: Random, flowOptions: FlowOptions) => ShardOptions,
    /** The receiver of connections, on the given clock. */
    endpointOf: (clock: Clock, options: ShardOptions) => SimulatedEndpoint,
    /** Further destinations, for `options.also`; null: the endpoint is alone, and gets its events itself. */
    furtherOf: ((clock: Clock, options: ShardOptions) => SimulatedEndpoint[]) | null = null,
  ) {
    // Another sequence than the one from which the scenario's knobs were drawn.
    this.random = new Random(scenario.seed ^ 0x5eed);
    this.connections = connect(this.random);
    const frames = this.mirror();
    ({ arrivals: this.arrivals, counts: this.counts } = decodeAll(frames));
    const answers = this.hearsServer ? this.mirrorAnswers() : [];
    this.answersArrived = decodeAll(answers).arrivals;
    this.frames = [...frames, ...answers].sort((a, b) => a.arrivalMs - b.arrivalMs);
    this.options = optionsOf(this.random, this.chooseFlowOptions());
    this.report = new CountingReport(this.options.mode);
    this.counters = new Counters(this.options.also.map(({ host }) => host));
    this.endpoint = endpointOf(this.clock, this.options);
    this.others = furtherOf?.(this.clock, this.options) ?? [];
    this.connector = furtherOf === null ? this.endpoint : new Destinations(this.endpoint, this.others);
    this.shard = new Shard(this.options, this.counters, this.report, this.connector, () => this.clock.nowMs);
    const { budget } = this.shard.destination.memory;
    if (scenario.regime === "memory") limitTo(budget, this.random.pick([0, 4096, 20_000, 60_000]));
    const flows = this.shard["flows"];
    const evictIdlest = flows.evictIdlest.bind(flows);
    flows.evictIdlest = () => evictIdlest() && (this.givenWay = true);
    this.budget = new Budget(budget.limitBytes);
    this.decoder = new Decoder({ ...this.options, takesServer: this.hearsServer }, this.recorded);
    this.table = new FlowTable(
      { ...this.options, reassemblesServer: this.hearsServer },
      this.recorded,
      this.budget,
      this.recorder,
      this.decoder.clock,
    );
  }

  /** The rules for every moment. */
  protected abstract check(): void;

  /** Whether the program that records reassembles the servers' bytes; the other one never does. */
  protected get hearsServer(): boolean {
    return false;
  }

  /** The servers' frames. They are whole: cuts and fragments have the same effect in both directions. */
  private mirrorAnswers(): Frame[] {
    // Its own random draws, so that a seed's clients send the same with it and without it.
    const random = new Random(this.scenario.seed ^ 0xa25e);
    const mirror = new Mirror(random, { ...this.scenario, truncate: 0, innerFragments: 0, outerFragments: 0 });
    for (const connection of this.connections) {
      // Frames from our port to our port count as the client's.
      if (connection.sourcePort === this.scenario.port) continue;
      const answered = answer(random, connection);
      this.answers.set(connection, answered);
      for (const sent of answered.sent)
        mirror.carry(
          { ...sent, atMs: EPOCH_MS + sent.atMs },
          { isKept: false, isInTime: false, isLate: false, isOnce: false },
        );
    }
    return this.withoutUntold(mirror.arrivals());
  }

  /**
   * Leaves out undecidable frames: a server's bytes on a connection with predecessors, before its SYN and its SYN-ACK.
   */
  private withoutUntold(answers: Frame[]): Frame[] {
    const told = new Map<Connection, number>();
    for (const { sent, atMs } of [...this.arrivals, ...decodeAll(answers).arrivals]) {
      if (sent.flags.includes("S")) told.set(sent.connection, Math.min(told.get(sent.connection) ?? Infinity, atMs));
    }
    return answers.filter(({ packet, arrivalMs }) => {
      const { connection } = packet!.segment.sent;
      return connection.before === null || (told.get(connection) ?? Infinity) <= arrivalMs;
    });
  }

  trace(): string {
    return [
      JSON.stringify(this.scenario),
      JSON.stringify(this.options),
      traceOf(
        this.connections,
        [...this.arrivals, ...this.answersArrived].sort((a, b) => a.atMs - b.atMs),
        EPOCH_MS,
      ),
    ].join("\n");
  }

  private mirror(): Frame[] {
    const { random, scenario, connections } = this;
    const mirror = new Mirror(random, scenario);
    for (const connection of connections) {
      const unseen = connection.before === null && random.chance(0.15) ? random.int(1, connection.sent.length) : 0;
      connection.sent.forEach((sent, i) => {
        // The SYN of a second connection distinguishes it from the first one.
        const isKept = i === 0 && connection.before !== null;
        // If limits are met, bytes before the SYN would be given up as the first connection's.
        const isInTime = isKept && scenario.regime !== "exact";
        const isLate = isKept && random.chance(scenario.lateSyn);
        // A SYN behind the end, and an acknowledgment that was not sent before, are the mark of a new connection.
        const isOnce = sent.flags.includes("S") && acknowledgesMore(connection);
        if (i >= unseen && !(isOnce && i > 0))
          mirror.carry({ ...sent, atMs: EPOCH_MS + sent.atMs }, { isKept, isInTime, isLate, isOnce });
        if (random.chance(scenario.foreign)) addForeign(random, scenario, mirror, connection, EPOCH_MS + sent.atMs);
      });
    }
    const frames = withoutAmbiguous(mirror.arrivals());
    const { arrivals } = decodeAll(frames);
    const premature = prematureGarbage(arrivals);
    const mayHaveGarbage = scenario.regime === "exact";
    const isLeftOut = ({ packet }: Frame) => {
      const sent = packet?.segment.sent;
      return (
        sent !== undefined && sent.isGarbage && (premature.has(sent) || (!mayHaveGarbage && sent.payload.length > 0))
      );
    };
    return frames.filter((frame) => !isLeftOut(frame));
  }

  private chooseFlowOptions(): FlowOptions {
    const chosen = this.chooseLimits();
    if (!this.hearsServer || this.scenario.regime !== "exact") return chosen;
    // None of the servers' bytes is given up either.
    return {
      ...chosen,
      maxPendingPackets: chosen.maxPendingPackets + this.answersArrived.length,
      gapTimeoutMs: chosen.gapTimeoutMs + 2 * this.scenario.delayMsMax + 2 * BATCH_MS_MAX,
    };
  }

  private chooseLimits(): FlowOptions {
    const { random, scenario } = this;
    const sourceWaits = !scenario.isLive;
    if (scenario.regime !== "exact") {
      const gapTimeoutMs = scenario.isLive ? random.pick([0, 1, 100, 1000]) : Infinity;
      const maxPendingPackets = random.pick([0, 1, 2, 5, 32]);
      // A flow that is forgotten too early cannot be distinguished from the next one with its addresses and ports.
      const mayForget = scenario.reuse === "none";
      const idleTimeoutMs = mayForget ? random.pick([100, 1000, 300_000]) : 300_000;
      const maxFlows = mayForget ? random.pick([1, 2, 5, 1000]) : 1000;
      return { maxPendingPackets, gapTimeoutMs, idleTimeoutMs, maxFlows, sourceWaits };
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
    return { maxPendingPackets, gapTimeoutMs, idleTimeoutMs: 300_000, maxFlows: 65_536, sourceWaits };
  }

  protected byIdentity(): Map<Connection[], Arrival[]> {
    const groups = Map.groupBy(this.connections, ({ identity }) => identity);
    const arrivals = Map.groupBy(this.arrivals, ({ sent }) => sent.connection.identity);
    return new Map([...groups].map(([identity, connections]) => [connections, arrivals.get(identity) ?? []]));
  }

  /** Plays all frames to the program, in batches, with time passing between them. */
  protected play(): void {
    const { random, scenario, frames } = this;
    const source = new MemorySource(scenario.linkType);
    const batchMax = random.pick([1, 5, 64]);
    for (let from = 0; from < frames.length;) {
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
      for (let more = true; more;) {
        more = this.process(source, random.int(1, batchMax));
        source.scribble();
      }
      this.tick();
      this.check();
    }
  }

  /** Lets the program take a part of a batch. Returns whether more of it is left. */
  protected process(source: MemorySource, recordsMax: number): boolean {
    const sockets = [this.endpoint, ...this.others].flatMap((each) => each.sockets);
    for (const socket of sockets) socket.writes = 0;
    this.givenWay = false;
    const more = this.shard.process(source, recordsMax);
    for (const { writes } of sockets)
      if (writes > 1 && !this.givenWay) throw new Error(`${writes} writes on one connection in one batch`);
    // A source that waits goes on after the endpoint.
    while (this.shard.isBehind) {
      this.clock.nowMs += BATCH_MS_MAX;
      this.connector.step();
      this.shard.tick();
      this.check();
    }
    return more;
  }

  private record(source: MemorySource): void {
    while (source.next()) {
      const outcome = this.decoder.decode(
        source.bytes,
        source.view,
        source.offset,
        source.length,
        source.linkType,
        source.timestampMs,
      );
      if (outcome === SEGMENT) this.table.accept(this.decoder.segment);
    }
  }

  /** Lets the time pass in steps, as the program's loop does. */
  private passTimeUntil(untilMs: number): void {
    const { clock } = this;
    while (clock.nowMs < untilMs) {
      // In a long silence nothing happens, unless connections are being established or ended.
      const isQuiet = this.endpoint.isIdle && this.shard.destination.unsettledCount === 0;
      const stepMs = Math.max(this.random.pick([1, 10, 100]), isQuiet ? (untilMs - clock.nowMs) / 10 : 0);
      const nextMs = Math.min(untilMs, clock.nowMs + stepMs);
      if (isQuiet) this.passFurtherTimeUntil(nextMs);
      clock.nowMs = nextMs;
      this.tick();
      this.check();
    }
  }

  /**
   * A silence for the endpoint may be none for further destinations: only for them, time passes in small steps;
   * otherwise their outages and time limits would be over in one step. The endpoint's steps stay the same as without
   * them.
   */
  private passFurtherTimeUntil(untilMs: number): void {
    const { clock, others, shard } = this;
    const isBusy = () =>
      others.some(({ isIdle }) => !isIdle) || shard.further.some(({ unsettledCount }) => unsettledCount > 0);
    while (clock.nowMs + FURTHER_STEP_MS < untilMs && isBusy()) {
      clock.nowMs += FURTHER_STEP_MS;
      this.connector.step();
      for (const destination of shard.further) destination.tick();
      shard["flushFurther"]();
      this.check();
    }
  }

  protected tick(): void {
    this.connector.step();
    if (this.scenario.isLive) {
      this.decoder.advance(this.clock.nowMs);
      this.table.advance(this.clock.nowMs);
      this.shard.advance(this.clock.nowMs);
    } else {
      this.shard.tick();
    }
  }

  /** The capture is over: everything ends, and the program waits for every connection. */
  protected drain(): void {
    this.table.flush();
    this.shard.finish();
    this.check();
    const startMs = this.clock.nowMs;
    const all = [this.shard.destination, ...this.shard.further];
    while (!this.shard.isSettled || !this.endpoint.isIdle) {
      this.clock.nowMs += this.random.pick([5, 10, 50]);
      this.connector.step();
      this.whileDraining(this.clock.nowMs - startMs);
      this.shard.tick();
      this.check();
      if (this.clock.nowMs - startMs > DRAIN_MS_MAX)
        throw new Error(`connections do not end: ${all.map(({ openCount }) => openCount).join(", ")} are open`);
    }
  }

  /** After the end of the capture, while responses come in. */
  protected whileDraining(_elapsedMs: number): void {}

  /** The counters agree with the purpose of the frames. */
  protected checkCounts(): void {
    const { captured, segments, truncated, dropped, completedDatagrams } = this.counts;
    const answers = this.answersArrived.length;
    for (const { frames, fragments } of [this.counters, this.recorded]) {
      const isHeard = frames === this.recorded.frames;
      equal("frames.captured", frames.captured, captured + answers);
      // The servers' frames, with those that are not of our connections: a program that hears servers counts them as
      // segments.
      const heard = isHeard && this.hearsServer ? answers + (dropped.get("from_server") ?? 0) : 0;
      equal("frames.segments", frames.segments, segments + heard);
      equal("frames.truncated", frames.truncated, truncated);
      const fromServer = (dropped.get("from_server") ?? 0) + answers - heard;
      const unheard = new Map([...dropped, ["from_server", fromServer]]);
      DROP_REASONS.forEach((reason, i) =>
        equal(`frames.dropped.${reason}`, frames.dropped[i]!, unheard.get(reason) ?? 0),
      );
      equal("fragments.completed", fragments.completed, completedDatagrams);
    }
  }

  protected checkNothingHeld(): void {
    equal("bytes held", this.shard.destination.memory.budget.usedBytes, 0);
    equal("bytes held by the recorder", this.budget.usedBytes, 0);
    equal("pending segments", this.table.pendingCount, 0);
    equal("live flows", this.table.liveCount, 0);
    equal("open connections", this.shard.destination.openCount, 0);
    equal("backlog", this.shard.destination.backlogBytes, 0);
    equal("unsettled", this.shard.destination.unsettledCount, 0);
    equal("active flows", this.counters.flows.active, 0);
    const last = this.frames.at(-1)?.arrivalMs ?? EPOCH_MS;
    this.table.advance(Math.max(last, this.clock.nowMs));
    this.table.advance(Math.max(last, this.clock.nowMs) + REMEMBER_MS + 1);
    equal("remembered flows", this.table.rememberedCount, 0);
  }
}

class CountingReport implements DestinationReport, HttpReport {
  begun = 0;
  ended = 0;
  /** Destinations that are away. */
  private readonly away = new Set<number>();

  constructor(private readonly mode: "http" | "tcp") {}

  get isInOutage(): boolean {
    return this.begun > this.ended;
  }

  outageBegan(_reason: string, destination = 0): void {
    if (this.away.has(destination)) throw new Error("an outage within an outage");
    this.away.add(destination);
    if (destination === 0) this.begun++;
  }

  outageEnded(durationMs: number, _lost: number, destination = 0): void {
    if (!this.away.delete(destination)) throw new Error("the end of no outage");
    within("an outage's duration", durationMs, Infinity);
    if (destination === 0) this.ended++;
  }

  foreign(): void {
    if (this.mode === "tcp") throw new Error("a protocol seen in --mode tcp");
  }

  speaksNot(): void {}
  speaks(_version: string, durationMs: number): void {
    within("how long a version was not spoken", durationMs, Infinity);
  }

  givenUp(_why: string, lostBytes: number): void {
    within("lost bytes", lostBytes, Infinity);
  }

  broken(_how: "closed" | "reset", lostBytes: number): void {
    within("lost bytes", lostBytes, Infinity);
  }
}

/**
 * Leaves out undecidable frames: a connection of which no segment came before another one had its addresses and ports;
 * segments before a third connection's SYN while the first one may still be open, because its FIN was not seen; and
 * segments before a second connection's SYN while the first one's was not seen either.
 */
function withoutAmbiguous(frames: Frame[]): Frame[] {
  const left = withoutSomeAmbiguous(frames);
  // The left-out frames may have been the ones that made the rest certain.
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
  const isOpened = (connection: Connection, atMs: number) =>
    known.get(connection)! < atMs && opened.get(connection)! < atMs;
  const isEnded = (connection: Connection | null, atMs: number): boolean =>
    connection === null ||
    (isOpened(connection, atMs) && ended.get(connection)! < atMs && isEnded(connection.before, atMs));
  const isUnknown = new Set<Connection>();
  return frames.filter(({ packet, arrivalMs }) => {
    if (packet === null) return true;
    const { connection, flags } = packet.segment.sent;
    const { before } = connection;
    if (isUnknown.has(connection)) return false;
    if (before === null) return true;
    const isEarly = arrivalMs < opened.get(connection)! && !flags.includes("S");
    if (isEarly && !(isOpened(before, arrivalMs) && isEnded(before.before, arrivalMs))) return false;
    if (!(known.get(before)! < arrivalMs)) isUnknown.add(before);
    return true;
  });
}

function acknowledgesMore({ sent }: Connection): boolean {
  const numbers = new Set(sent.filter(({ flags }) => flags.includes("A")).map(({ acknowledgment }) => acknowledgment));
  return numbers.size > 1;
}
