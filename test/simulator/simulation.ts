/**
 * The world of --mode tcp: every stream, and every hole, must come as it was sent. Throws an error that begins with the
 * seed if a rule does not hold.
 */
import { limitTo } from "../support/limit.ts";
import { Random } from "../support/random.ts";
import { equal, isSame, sum, within } from "./checks.ts";
import { type Delivered, DestinationChecks } from "./destination-checks.ts";
import { furtherAddresses } from "./destinations.ts";
import { connect, type Connection } from "./client.ts";
import type { Incarnation } from "../../src/flow/incarnation.ts";
import { expect, type Expected, runsOf } from "./oracle.ts";
import type { Answered } from "./server.ts";
import type { RecordedStream } from "./recorder.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import type { ShardOptions } from "../../src/shard/setup.ts";
import { type Clock, SimulatedEndpoint } from "./simulated-endpoint.ts";
import { NO_STREAM_POLICY, policyOfStreams, type StreamPolicy } from "./stream-policies.ts";
import { BATCH_MS_MAX, World } from "./world.ts";
import { USUAL } from "../support/usual.ts";

/** Options that --mode tcp does not use, and the time limit for a response. */
const HTTP = {
  ...USUAL,
  pipelineDepth: 1,
  maxWaitingRequests: 1,
  maxRequestBytes: 1,
  maxHeaderBytes: 1,
  responseTimeoutMs: 500,
};

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
    throw new Error(`seed ${seed} (SIMULATOR_SEED=${seed} bun test test/simulator): ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The world of one seed in words, without running it. */
export function traceSeed(seed: number): string {
  return new Simulation(scenarioOf(seed)).trace();
}

/** A destination beside the endpoint. */
export interface Further {
  readonly scenario: Scenario;
  /** Its memory; undefined: enough. */
  readonly limitBytes: number | undefined;
}

export class Simulation extends World {
  private readonly checks: readonly DestinationChecks[];
  private readonly isLeftOut = new Map<string, boolean>();

  /** `further` null: this world has no further destinations. */
  constructor(
    scenario: Scenario,
    further: readonly Further[] | null = null,
    private readonly policy: StreamPolicy = NO_STREAM_POLICY,
  ) {
    const endpoint = (own: Scenario, salt: number) => (clock: Clock, options: ShardOptions) =>
      new SimulatedEndpoint(new Random(own.seed ^ salt), own, clock, options.connectTimeoutMs);
    super(
      scenario,
      (random) => connect(random, scenario),
      (_random, flowOptions) => ({
        ...HTTP,
        ...flowOptions,
        mode: "tcp",
        vxlanPort: scenario.vxlanPort,
        vnis: [scenario.vni],
        ports: [scenario.port],
        address: { host: "endpoint", port: 1 },
        also: furtherAddresses(further?.length ?? 0),
        maxRetries: 10,
        connectTimeoutMs: 2000,
        maxBufferMib: 256,
        measuresDelay: scenario.isLive,
        policy: policyOfStreams(policy),
      }),
      endpoint(scenario, 0xe4d),
      further === null
        ? null
        : (clock, options) => further.map((own, i) => endpoint(own.scenario, 0xa150 ^ i)(clock, options)),
    );
    for (const { identity, source } of this.connections) this.isLeftOut.set(identity, policy.leavesOut(source));
    const isShort = scenario.regime === "memory";
    this.checks = [
      new DestinationChecks("the endpoint", this.shard.destination, this.endpoint, isShort),
      ...this.shard.further.map((each, i) => {
        const { limitBytes } = further![i]!;
        if (limitBytes !== undefined) limitTo(each.memory.budget, limitBytes);
        return new DestinationChecks(`also-${i}`, each, this.others[i]!, limitBytes !== undefined);
      }),
    ];
  }

  protected override get hearsServer(): boolean {
    return this.scenario.hearsServer;
  }

  run(): Outcome {
    this.play();
    this.drain();
    this.checkCounts();
    if (this.scenario.regime === "exact") this.checkExactly();
    else this.checkTruth();
    if (this.hearsServer) this.checkResponses();
    this.checkDestinations();
    this.checkNothingHeld();
    const { segments } = this.counts;
    return {
      frames: segments,
      streams: this.recorder.streams.length,
      bytes: this.recorded.reassembly.delivered_bytes,
      gaps: this.recorded.reassembly.gaps,
    };
  }

  /** The rules for every moment. */
  protected override check(): void {
    const { counters, recorded } = this;
    for (const { frames, flows } of [counters, recorded]) {
      equal("frames.captured", frames.captured, frames.segments + sum(frames.dropped));
      equal("flows", flows.opened + flows.picked_up, flows.closed + flows.evicted + flows.active);
    }
    const { limitBytes } = this.shard.destination.memory.budget;
    within("the recorder's budget", this.budget.usedBytes, limitBytes);
    within("live flows", this.table.liveCount, this.options.maxFlows);
    within("remembered flows", this.table.rememberedCount, this.options.maxFlows);
    const { delivered } = this;
    for (const each of this.checks) each.check(delivered);
  }

  private get delivered(): Delivered {
    const { flows, reassembly } = this.counters;
    // If memory is short, the two runs of the program have given up different holes.
    const isKnown = this.scenario.regime !== "memory";
    const streams = isKnown ? this.recorder.streams.filter(({ identity }) => !this.isLeftOut.get(identity)) : null;
    return { flows: flows.opened + flows.picked_up, bytes: reassembly.delivered_bytes, streams };
  }

  /** Every stream came as it must, and every hole was reported at its place; nothing else came. */
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
        if (at < 0)
          throw new Error(
            `connection ${connection.id} did not come as it must: ${describe(expected)}\n  instead: ${left.map(describeStream).join("\n  or: ")}`,
          );
        left.splice(at, 1);
      }
      if (left.length > 0)
        throw new Error(
          `with connection ${connections[0]!.id}, streams that nobody sent: ${left.map(describeStream).join("\n")}`,
        );
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

  /** No byte disappears: bytes that did not come for the first time are repeated ones. */
  private checkPayload(): void {
    const { delivered_bytes, retransmitted_bytes, overlap_bytes, out_of_window } = this.recorded.reassembly;
    // For segments outside of the window, only their number is counted.
    if (out_of_window === 0)
      equal(
        "payload bytes",
        delivered_bytes + retransmitted_bytes + overlap_bytes,
        sum(this.arrivals.map(({ length }) => length)),
      );
  }

  /**
   * The servers' bytes came unchanged, in their place, on their own connection; and completely if nothing prevented it.
   */
  private checkResponses(): void {
    for (const { response, identity, hasSyn, origin } of this.recorder.streams) {
      if (response.isFromStart === null) continue;
      if (response.how === null) throw new Error("a response does not end");
      const { isn } = origin as Incarnation;
      const connections = this.connections.filter(
        (connection) => connection.identity === identity && (!hasSyn || connection.isn === isn >>> 0),
      );
      const isTrue = ({ stream }: Answered) =>
        response.isFromStart ? isAt(response, stream, 0) : placeOf(response, { stream }) >= 0;
      if (!connections.some((connection) => isTrue(this.answers.get(connection)!)))
        throw new Error(`no server said ${describeRuns(response.runs)} to connection ${connections[0]?.id}`);
    }
    if (this.scenario.regime !== "exact" || this.scenario.reuse !== "none") return;
    for (const connection of this.connections) this.checkResponse(connection);
  }

  /** All arrived bytes of a response, if its connection was known by then. */
  private checkResponse(connection: Connection): void {
    const arrived = this.answersArrived.filter(({ sent }) => sent.connection === connection);
    const syn = this.arrivals.find(({ sent }) => sent.connection === connection && sent.flags.includes("S"));
    const synAck = arrived.find(({ sent }) => sent.flags.includes("S"));
    if (
      connection.ending === "reset" ||
      syn === undefined ||
      synAck === undefined ||
      arrived[0]!.atMs <= syn.atMs + BATCH_MS_MAX
    )
      return;
    const { stream } = this.answers.get(connection)!;
    const present = new Uint8Array(stream.length);
    for (const { sent, length } of arrived) present.fill(1, sent.position, sent.position + length);
    const hasFin = arrived.some(({ sent }) => sent.flags.includes("F"));
    const runs = runsOf(stream, present, 0, hasFin ? stream.length : present.lastIndexOf(1) + 1);
    const recorded = this.recorder.streams.find((each) => each.identity === connection.identity && each.hasSyn);
    if (recorded === undefined) return;
    const { response } = recorded;
    const isSameRun = ({ bytes, length }: (typeof runs)[number], i: number) =>
      response.runs[i]?.length === length && (response.runs[i]!.bytes === null) === (bytes === null);
    if (response.runs.length !== runs.length || !runs.every(isSameRun) || (hasFin && response.how !== "fin")) {
      throw new Error(
        `the response on connection ${connection.id} did not come as it must: ${describeRuns(runs)}, end ${hasFin ? "fin" : "any"}\n  instead: ${describeRuns(response.runs)}, end ${response.how}`,
      );
    }
  }

  private checkGaps(): void {
    const { reassembly } = this.recorded;
    equal("reassembly.gap_bytes", reassembly.gap_bytes, sum(this.recorder.streams.map(({ gapBytes }) => gapBytes)));
  }

  /** With limits that are met: the outcome is true, and in its place. */
  private checkTruth(): void {
    const connections = Map.groupBy(this.connections, ({ identity }) => identity);
    for (const stream of this.recorder.streams) {
      const candidates = connections.get(stream.identity) ?? [];
      if (!candidates.some((connection) => placeOf(stream, connection) >= 0))
        throw new Error(`nobody sent ${describeStream(stream)}`);
    }
  }

  /** Each destination got all streams that policy leaves in, except for its own behaviour. */
  private checkDestinations(): void {
    const { counters, recorded, recorder, delivered } = this;
    equal("outages", this.report.begun, this.report.ended + (this.report.isInOutage ? 1 : 0));
    for (const each of this.checks) each.checkEnd(delivered);
    if (delivered.streams === null) return;
    equal("streams", recorder.streams.length, delivered.flows);
    equal("delivered by both", counters.reassembly.delivered_bytes, recorded.reassembly.delivered_bytes);
    const leftOut = recorder.streams.length - delivered.streams.length;
    const { dropped } = counters.streams;
    equal(`streams.dropped.${this.policy.reason}`, dropped[this.policy.reason], leftOut);
    equal("streams.dropped", sum(Object.values(dropped)), leftOut);
  }
}

function isAsExpected(stream: RecordedStream, { hasSyn, runs, end }: Expected): boolean {
  if (stream.hasSyn !== hasSyn || stream.runs.length !== runs.length) return false;
  if (end !== null && stream.how !== end) return false;
  return runs.every(({ bytes, length }, i) => {
    const run = stream.runs[i]!;
    return (
      run.length === length &&
      (run.bytes === null) === (bytes === null) &&
      (bytes === null || isSame(run.bytes!.slice(), bytes))
    );
  });
}

/** The place in a connection's stream with all of a recorded stream's runs; -1: none. */
function placeOf(stream: Pick<RecordedStream, "runs">, { stream: sent }: Pick<Connection, "stream">): number {
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

function isAt(stream: Pick<RecordedStream, "runs">, sent: Uint8Array, start: number): boolean {
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
  return runs.length === 0
    ? "nothing"
    : runs.map(({ bytes, length }) => (bytes === null ? `hole of ${length}` : `${length} bytes`)).join(", ");
}
