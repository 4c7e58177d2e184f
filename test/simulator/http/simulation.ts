/**
 * The world of --mode http: every request whose packets arrived is served once and in its order, and every other
 * request is counted. Throws an error that begins with the seed if a rule does not hold.
 */
import type { ShardOptions } from "../../../src/shard/setup.ts";
import { USUAL } from "../../support/usual.ts";
import { Random } from "../../support/random.ts";
import { equal, sum, within } from "../checks.ts";
import { connect, type Connection } from "../client.ts";
import { furtherAddresses } from "../destinations.ts";
import type { RecordedStream } from "../recorder.ts";
import type { Clock } from "../simulated-endpoint.ts";
import { type FlowOptions, World } from "../world.ts";
import { type Attempt, HttpEndpoint, type HttpSocket } from "./endpoint.ts";
import { frame, type Framed } from "./framing.ts";
import { policyOfWorld, reasonAgainst } from "./policies.ts";
import { type HttpScenario, httpScenarioOf } from "./scenario.ts";
import { converse, type Item, type Session } from "./session.ts";

/** The highest number of times that a request may be sent again (src/http/README.md, "Why one request at a time"). */
const RESENDS_MAX = 3;
const ADDED_FIELD = ["X-Added", "1"] as const;

export interface HttpOutcome {
  readonly requests: number;
  readonly served: number;
}

/** Runs the world of one seed; `hasPolicy` false: without its policy. */
export function simulateHttp(seed: number, hasPolicy = true): HttpOutcome {
  try {
    const scenario = httpScenarioOf(seed, hasPolicy);
    return new HttpSimulation(scenario, sessionsOf(scenario)).run();
  } catch (error) {
    throw new Error(`seed ${seed} (SIMULATOR_SEED=${seed} bun test test/simulator/http): ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The world of one seed in words, without running it. */
export function traceHttpSeed(seed: number): string {
  const scenario = httpScenarioOf(seed);
  const sessions = sessionsOf(scenario);
  return [
    new HttpSimulation(scenario, sessions).trace(),
    ...sessions.map((session) => JSON.stringify(session.items)),
  ].join("\n");
}

export function sessionsOf({ seed, session, connections }: HttpScenario): Session[] {
  const random = new Random(seed ^ 0x5e55);
  return Array.from({ length: connections }, (_, connection) => converse(random, session, connection));
}

/** A connection as the program's flows delivered it. */
export interface Conversation {
  readonly connection: Connection;
  readonly session: Session;
  readonly streams: RecordedStream[];
  readonly framed: Framed[];
  /** A stream was evicted within a request, and goes on: the expected result behind it is not given here (flood.ts). */
  readonly isUnsure: boolean;
}

export class HttpSimulation extends World {
  protected readonly http: HttpEndpoint;

  constructor(
    protected readonly knobs: HttpScenario,
    private readonly sessions: readonly Session[],
    /** The knobs of further destinations; null: this world has none. */
    further: readonly HttpScenario[] | null = null,
  ) {
    const endpoint = (own: HttpScenario, salt: number) => (clock: Clock, options: ShardOptions) =>
      new HttpEndpoint(own, new Random(own.seed ^ salt), own, clock, options.connectTimeoutMs);
    super(
      knobs,
      (random) => connect(random, knobs, (id) => sessions[id]!),
      (_random, flowOptions) => ({ ...optionsOf(knobs, flowOptions), also: furtherAddresses(further?.length ?? 0) }),
      endpoint(knobs, 0xe4d),
      further === null ? null : (clock, options) => further.map((own, i) => endpoint(own, 0xa150 ^ i)(clock, options)),
    );
    this.http = this.endpoint as HttpEndpoint;
  }

  run(): HttpOutcome {
    this.play();
    this.drain();
    this.checkCounts();
    this.checkCounters();
    this.checkNothingHeld();
    const conversations = this.conversations();
    this.checkCame(this.http, conversations);
    // Otherwise the two runs of the program have given up different holes.
    if (this.scenario.regime !== "memory") this.checkRequests(conversations);
    return { requests: this.counters.requests.seen, served: this.counters.requests.answered };
  }

  /** Every pipe has taken back its counts in the mode. */
  protected override checkNothingHeld(): void {
    super.checkNothingHeld();
    const { load, idle, partial } = this.shard["http"]!;
    equal("busy pipes", load.busyPipes, 0);
    equal("waiting requests", load.waitingRequests, 0);
    equal("pipes that await a response", load.awaitingPipes, 0);
    equal("conversations", idle.size + partial.size, 0);
  }

  protected override whileDraining(elapsedMs: number): void {
    if (elapsedMs >= this.knobs.stopAfterMs) this.shard.terminate();
  }

  protected override check(): void {
    const { frames, flows, requests, responses, upstream } = this.counters;
    equal("frames.captured", frames.captured, frames.segments + sum(frames.dropped));
    equal("flows", flows.opened + flows.picked_up, flows.closed + flows.evicted + flows.active);
    within("answers of requests", requests.answered + responses.unanswered, requests.forwarded);
    equal("upstream.bytes", upstream.bytes, sum(this.http.sockets.map(({ received }) => received.length)));
    equal("upstream.would_block", upstream.would_block, sum(this.http.sockets.map(({ blocked }) => blocked)));
    within("the shard's budget", this.shard.destination.memory.budget.usedBytes, Infinity);
  }

  /** The equations of src/observe/counters.ts, after the drain. */
  private checkCounters(): void {
    const { requests, responses, upstream } = this.counters;
    const dropped = sum(Object.values(requests.dropped));
    equal("requests.seen", requests.seen, requests.forwarded + requests.damaged + dropped);
    equal("requests.damage", sum(Object.values(requests.damage)), requests.damaged);
    equal("requests.forwarded", requests.forwarded, requests.answered + responses.unanswered);
    const wanted = this.http.httpSockets.filter(({ wasUnwanted }) => !wasUnwanted);
    // Without memory for writing, a connection may be given up in the moment of its creation.
    if (this.scenario.regime !== "memory") equal("upstream.connects", upstream.connects, wanted.length);
    equal("ended connections", upstream.closed + upstream.broken + upstream.given_up, upstream.connects);
    equal("upstream.response_bytes", upstream.response_bytes, sum(wanted.map(({ responseBytes }) => responseBytes)));
    // If a request had a response before it was whole, and then did not come whole, it was not forwarded.
    const answered = this.http.requests.filter(({ isAnswered }) => isAnswered);
    within("answered requests that came whole", answered.filter(({ isWhole }) => isWhole).length, requests.answered);
    within("requests.answered", requests.answered, answered.length);
    if (this.knobs.stopAfterMs === Infinity) equal("requests.dropped.stopped", requests.dropped.stopped, 0);
  }

  /** A destination's requests were sent as they are, and in their order. */
  protected checkCame(http: HttpEndpoint, conversations: readonly Conversation[]): void {
    this.checkAttempts(http);
    for (const conversation of conversations) this.checkOrder(http, conversation);
  }

  protected conversations(): Conversation[] {
    const isUpgraded = (item: Item) =>
      this.http.requests.some(({ head, isUpgraded }) => isUpgraded && head!.id === item.id);
    return this.connections.map((connection) => {
      const session = this.sessions[connection.id]!;
      const streams = this.recorder.streams.filter(({ identity }) => identity === connection.identity);
      const framed: Framed[] = [];
      let isUnsure = false;
      for (const stream of streams) {
        const at = (stream.start - connection.isn - 1) >>> 0;
        // A stream that was evicted goes on at the same place.
        const { continued } = stream.origin;
        const before = continued?.missing === 0 ? streams.findIndex((other) => other === continued.consumer) : -1;
        const isInStep = stream.hasSyn || framed[before]?.isBetween === true;
        isUnsure ||= !isInStep && (continued ?? null) !== null;
        framed.push(frame(session, stream, at, isInStep, isUpgraded, (item) => this.reasonAgainst(item) !== null));
      }
      return { connection, session, streams, framed, isUnsure };
    });
  }

  /** The reason why policy leaves out a request; null: it does not, as far as is known. */
  private reasonAgainst(item: Item) {
    const id = Number(item.id.split(".")[0]);
    return reasonAgainst(this.knobs.policy, this.sessions[id]!, this.connections[id]!, item);
  }

  /** Requests that must not be forwarded were not, and no others were left out. */
  private checkPolicy(whole: readonly Item[]): void {
    const { dropped } = this.counters.requests;
    for (const { head } of this.http.requests) {
      const item =
        head === null
          ? undefined
          : allOf(this.sessions[Number(head.id.split(".")[0])]!).find(({ id }) => id === head.id);
      if (item?.kind === "request" && this.reasonAgainst(item) !== null)
        throw new Error(`request ${item.id} came, which ${this.knobs.policy.name} leaves out`);
    }
    for (const reason of ["filtered", "sampled_out"] as const)
      equal(
        `requests.dropped.${reason}`,
        dropped[reason],
        whole.filter((item) => this.reasonAgainst(item) === reason).length,
      );
    if (this.knobs.policy.rules.maxRate === undefined) equal("requests.dropped.rate_limit", dropped.rate_limit, 0);
  }

  /** The endpoint's requests were sent as they are, byte for byte, whole or not. */
  private checkAttempts(http: HttpEndpoint): void {
    for (const { head, bytes, isWhole } of http.requests) {
      if (head === null) {
        const isKnown = this.sessions.some((session) =>
          allOf(session).some((item) => startsWith(this.sent(session, item), bytes)),
        );
        if (!isKnown)
          throw new Error(`the endpoint got what nobody has sent: ${JSON.stringify(bytes.toString("latin1"))}`);
        continue;
      }
      const session = this.sessions[Number(head.id.split(".")[0])]!;
      const item = allOf(session).find(({ id }) => id === head.id)!;
      const sent = this.sent(session, item);
      if (!startsWith(sent, bytes))
        throw new Error(
          `request ${head.id} came otherwise than it was sent: ${JSON.stringify(bytes.toString("latin1"))}`,
        );
      if (isWhole && (item.kind !== "request" || bytes.length !== sent.length))
        throw new Error(`request ${head.id} is not whole, and came as if it were`);
    }
  }

  /** On each connection, requests come in their order at the first time; again only as allowed. */
  private checkOrder(http: HttpEndpoint, { session, streams }: Conversation): void {
    const items = allOf(session);
    const ids = items.map(({ id }) => id);
    const own = http.requests.filter(({ head }) => head !== null && ids.includes(head.id));
    const place = ({ head }: Attempt) => ids.indexOf(head!.id);
    for (const [socket, attempts] of Map.groupBy(own, ({ socket }) => socket)) {
      if (socket.attempts.some(({ head }) => head !== null && !ids.includes(head.id)))
        throw new Error(`connection ${socket.index} carries several clients' requests`);
      if (!isRising(attempts.map(place))) throw new Error(`connection ${socket.index} has requests out of order`);
    }
    // Late copies of a forgotten flow are a flow of their own. So are later bytes of an evicted flow (which the other
    // run of the program does not have, if it gave up other holes).
    if (streams.length > 1 || (this.scenario.regime === "memory" && this.counters.flows.evicted > 0)) return;
    const firsts = own.filter((attempt) => own.find((other) => place(other) === place(attempt)) === attempt);
    if (!isRising(firsts.map(place)))
      throw new Error(`requests out of order: ${firsts.map(({ head }) => head!.id).join(", ")}`);
    for (const [id, attempts] of Map.groupBy(own, ({ head }) => head!.id)) {
      const item = items[ids.indexOf(id)]!;
      if (attempts.length > 1 + (item.isIdempotent ? RESENDS_MAX : 0))
        throw new Error(`request ${id} came ${attempts.length} times`);
      if (attempts.slice(0, -1).some(({ isBegun }) => isBegun))
        throw new Error(`request ${id} came again when its answer had begun`);
    }
  }

  private checkRequests(conversations: readonly Conversation[]): void {
    const { requests, responses } = this.counters;
    const framed = conversations.flatMap(({ framed }) => framed);
    const whole = framed.flatMap((one) => one.whole);
    const damage = framed.flatMap((one) => one.damage);
    // A flow without its SYN may begin within a request, or between two.
    const isUnsure = this.recorder.streams.some(({ hasSyn }) => !hasSyn);
    // Behind an offer that was left out, the beginning of a request line may be a cut one.
    const mayBeCutOff = framed.some(({ leavesOutRest }) => leavesOutRest);
    if (!isUnsure) this.checkPolicy(whole);
    if (!isUnsure && !mayBeCutOff) {
      equal("requests.isolated", requests.isolated, whole.filter(({ isIsolated }) => isIsolated).length);
      equal("requests.odd", requests.odd, whole.filter(({ isOdd }) => isOdd).length);
      equal("requests.seen", requests.seen, whole.length + damage.length);
      equal("requests.damaged", requests.damaged, damage.length);
      const counted = Object.entries(requests.damage).filter(([, count]) => count > 0);
      equal("reasons of damage", counted.length, new Set(damage).size);
      for (const [reason, count] of counted)
        equal(`requests.damage.${reason}`, count, damage.filter((one) => one === reason).length);
    }
    const unsure = conversations.filter(({ isUnsure }) => isUnsure).flatMap(({ session }) => allOf(session));
    this.checkServed(whole, new Set(unsure.map(({ id }) => id)));
    const { filtered, sampled_out, rate_limit } = requests.dropped;
    const dropped = sum(Object.values(requests.dropped)) - filtered - sampled_out - rate_limit;
    const isHarmed = this.http.httpSockets.some(isHarmful) || this.http.unanswered > 0;
    // An endpoint without a fault, and limits that were not met.
    if (!isHarmed && this.knobs.isBenign) {
      equal("requests dropped", dropped, 0);
      // If a response ends its connection, another request in flight may be one that must not be sent again.
      if (this.knobs.pipelineDepth === 1) equal("requests unanswered", responses.unanswered, 0);
    }
    if (this.knobs.isBenign) this.checkPatience(new Set(whole.map(({ id }) => id)));
    for (const conversation of conversations) this.checkBare(conversation);
  }

  /** An endpoint without a fault, at any speed, is never given up with a request that is whole, or would have been. */
  private checkPatience(whole: ReadonlySet<string>): void {
    for (const { isTerminated, attempts, index } of this.http.httpSockets) {
      const given = attempts.find(({ isAnswered }) => !isAnswered);
      if (isTerminated && given !== undefined && whole.has(given.head?.id ?? ""))
        throw new Error(`connection ${index} was given up with request ${given.head!.id}`);
    }
  }

  /**
   * Only requests that had to be found whole came whole. Requests that may be repeated were sent until they had a
   * response, or as often as allowed.
   */
  private checkServed(whole: readonly Item[], unsure: ReadonlySet<string>): void {
    const { requests } = this.counters;
    const copies = Map.groupBy(whole, ({ id }) => id);
    const attempts = Map.groupBy(
      this.http.requests.filter(({ head }) => head !== null),
      ({ head }) => head!.id,
    );
    for (const [id, all] of attempts) {
      if (unsure.has(id)) continue;
      if (all.some(({ isWhole }) => isWhole) && !copies.has(id))
        throw new Error(`request ${id} came whole, which it was not`);
      if (
        all.filter(({ isAnswered }) => isAnswered).length > (copies.get(id)?.length ?? 0) &&
        !all.some(({ isEarly }) => isEarly)
      )
        throw new Error(`request ${id} was served twice`);
    }
    // Connections on which a request may have failed without a trace.
    const isHidden = ({ received, wasMissed, attempts }: HttpSocket) =>
      received.length === 0 || wasMissed || attempts.some(({ head }) => head === null);
    const hidden = this.http.httpSockets.filter(isHidden).length;
    const { upstream } = this.counters;
    const isSure =
      this.knobs.pipelineDepth === 1 &&
      sum(Object.values(requests.dropped)) === requests.dropped.filtered + requests.dropped.sampled_out &&
      upstream.given_up === 0 &&
      upstream.connect_errors === 0;
    if (!isSure) return;
    for (const item of whole) {
      const { id, isIdempotent, start, end } = item;
      const all = attempts.get(id) ?? [];
      if (
        unsure.has(id) ||
        this.reasonAgainst(item) !== null ||
        !isIdempotent ||
        end - start > this.knobs.maxRequestBytes ||
        all.some(({ isAnswered, isBegun }) => isAnswered || isBegun)
      )
        continue;
      if (all.length + hidden <= RESENDS_MAX) throw new Error(`request ${id} was given up after ${all.length} tries`);
    }
  }

  /** Other protocols pass through from their beginning to the first hole. */
  private checkBare({ connection, session, framed }: Conversation): void {
    const wanted = framed.flatMap(({ bare }) =>
      bare === null ? [] : [session.stream.subarray(bare.from, Math.min(bare.to, session.stream.length))],
    );
    const ids = allOf(session).map(({ id }) => id);
    for (const { bare, attempts } of this.http.httpSockets) {
      if (bare === null || bare.length === 0) continue;
      const isOwn = attempts.length > 0 ? ids.includes(attempts[0]!.head!.id) : false;
      if (isOwn && !wanted.some((stream) => startsWith(stream, bare.slice())))
        throw new Error(`connection ${connection.id}: ${bare.length} bytes of another protocol that were not sent so`);
    }
  }

  private sent({ stream }: Session, { start, end }: Item): Buffer {
    const bytes = Buffer.from(stream.subarray(start, end));
    if (!this.knobs.addsField) return bytes;
    const lineEnd = bytes.indexOf("\n") + 1;
    const added = `${ADDED_FIELD.join(": ")}${bytes[lineEnd - 2] === 0x0d ? "\r\n" : "\n"}`;
    return Buffer.concat([bytes.subarray(0, lineEnd), Buffer.from(added), bytes.subarray(lineEnd)]);
  }
}

function optionsOf(knobs: HttpScenario, flowOptions: FlowOptions): ShardOptions {
  // Copies of a forgotten flow's bytes are another flow, whose requests are served again: the world of streams tests
  // this.
  const hasCopies = knobs.retransmit + knobs.repeat + knobs.overlap > 0;
  return {
    ...USUAL,
    // HTTP/2 has its own world (../http2); here it is one of the protocols that pass through.
    http2: "pass",
    ...flowOptions,
    ...(hasCopies ? { idleTimeoutMs: 300_000, maxFlows: 1000 } : {}),
    sourceWaits: knobs.canWait,
    mode: "http",
    vxlanPort: knobs.vxlanPort,
    vnis: [knobs.vni],
    ports: [knobs.port],
    address: { host: "endpoint", port: 1 },
    maxRetries: 10,
    connectTimeoutMs: 2000,
    maxBufferMib: 256,
    measuresDelay: knobs.isLive,
    pipelineDepth: knobs.pipelineDepth,
    maxWaitingRequests: knobs.maxWaitingRequests,
    maxRequestBytes: knobs.maxRequestBytes,
    maxHeaderBytes: knobs.session.maxHeaderBytes,
    responseTimeoutMs: knobs.responseTimeoutMs,
    // test/forward tests silence within a head.
    headerTimeoutMs: Infinity,
    policy: policyOfWorld(knobs.policy, knobs.addsField ? ADDED_FIELD : null),
  };
}

/** Whether a connection has cost a request, or may have. */
function isHarmful({ attempts, wasMissed }: HttpSocket): boolean {
  return wasMissed || attempts.some(({ isAnswered }) => !isAnswered);
}

/** Every item that may be found, in its order. */
function allOf({ items, nested }: Session): Item[] {
  return [...items, ...nested].toSorted((a, b) => a.start - b.start);
}

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > numbers[i - 1]!);
}

function startsWith(whole: Uint8Array, start: Uint8Array): boolean {
  return start.length <= whole.length && Buffer.compare(start, whole.subarray(0, start.length)) === 0;
}
