/** A whole shard between a world (world.ts) and its endpoint, and the conditions that its comparisons must meet. */
import { LinkType } from "../../src/decode/link.ts";
import type { ComparisonPage } from "../../src/compare/tally.ts";
import { pageOf } from "../../src/compare/tally.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { Counters } from "../../src/observe/counters.ts";
import type { ShardComparison, ShardOptions } from "../../src/shard/setup.ts";
import { Shard } from "../../src/shard/shard.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { Random } from "../support/random.ts";
import { USUAL } from "../support/usual.ts";
import { Http2Side } from "./http2-endpoint.ts";
import { PREFACE } from "../http/http2/client-frames.ts";
import { type Content, makeWorld, PLANTS, PORT, type Talk, VNI, type World, type WorldOptions } from "./world.ts";
import { UNTOLD } from "../support/untold.ts";

const BATCH_FRAMES_MAX = 40;
/** The last bytes may exceed the limit. */
const BATCH_BYTES_MAX = BATCH_FRAMES_MAX * 1500;
/** At the end: each request without a response takes the response timeout, one after the other on a connection. */
const SETTLING_STEPS_MAX = 20_000;
const SETTLING_STEP_MS = 5;
/** From then on, the endpoint's connections are ended; the control's may take their time. */
const TERMINATED_AT_STEP = 1500;
const CONTROL = "control";
/** The difference that is planted in the control as well. */
export const NOISE = "value";

export interface Outcome {
  readonly world: World;
  readonly page: ComparisonPage;
  readonly counters: Counters;
  readonly lines: string[];
}

export interface SimulationOptions extends WorldOptions {
  readonly comparison?: Partial<ShardComparison>;
  readonly maxBufferMib?: number;
  /** Bodies are too long to be kept: differences in them show in their digest. */
  readonly isLong?: boolean;
  /** The share of requests without a response of the endpoint. */
  readonly silent?: number;
  /** The share of responses in which the endpoint closes its connection. */
  readonly broken?: number;
  /** The most steps before the endpoint responds. */
  readonly slowSteps?: number;
  readonly shard?: Partial<ShardOptions>;
}

/** A world of any kind, for the fuzzer. Returns the number of its requests. */
export function simulateAny(seed: number): number {
  const random = new Random(seed);
  const share = (most: number): number => (random.chance(0.4) ? 0 : random.next() * most);
  const { world } = simulate(seed, {
    connections: random.int(1, 8),
    http2: random.pick([0, 0.5, 1]),
    talksMax: random.pick([5, 30]),
    pipelines: random.chance(0.7),
    segmentBytesMax: random.pick([200, 1400]),
    lost: share(0.1),
    late: share(0.3),
    twice: share(0.1),
    silent: share(0.2),
    maxBufferMib: random.pick([0.25, 64]),
    comparison: { hasControl: random.chance(0.3), share: random.pick([0.5, 1, 1]) },
  });
  return world.talks.length;
}

export function simulate(seed: number, options: SimulationOptions): Outcome {
  const random = new Random(seed);
  const world = makeWorld(random, options);
  const draws = new Random(seed);
  const endpoint = new Endpoint(world.talks, random, options);
  const also = options.comparison?.hasControl === true ? [{ host: CONTROL, port: 1 }] : [];
  const counters = new Counters(also.map(({ host }) => host));
  let nowMs = world.frames[0]?.timestampMs ?? 0;
  const shard = new Shard(
    {
      ...OPTIONS,
      ...options.shard,
      also,
      maxBufferMib: options.maxBufferMib ?? 64,
      comparison: { ...COMPARISON, ...options.comparison, random: () => draws.next() },
    },
    counters,
    UNTOLD,
    endpoint,
    () => nowMs,
  );
  const source = new MemorySource(LinkType.ETHERNET);
  const { budget } = shard.destination.memory;
  for (let at = 0; at < world.frames.length;) {
    const batch = world.frames.slice(at, (at += random.int(1, BATCH_FRAMES_MAX)));
    nowMs = Math.max(nowMs, batch.at(-1)!.timestampMs);
    source.fill(batch);
    while (shard.process(source, Infinity));
    source.scribble();
    endpoint.step();
    shard.advance(nowMs);
    const overBytes = budget.usedBytes - budget.limitBytes;
    if (overBytes > BATCH_BYTES_MAX) throw new Error(`seed ${seed}: ${overBytes} bytes are held over the limit`);
  }
  while (shard.finish());
  for (let i = 0; !shard.isSettled; i++) {
    if (i >= SETTLING_STEPS_MAX) throw new Error(`seed ${seed}: connections stay open`);
    endpoint.step();
    nowMs += SETTLING_STEP_MS;
    shard.tick();
    if (i === TERMINATED_AT_STEP) shard.destination.terminate();
  }
  check(seed, world, counters, shard, options);
  return { world, page: pageOf(shard.comparison!.tally), counters, lines: shard.comparison!.takeLines() };
}

/** The conditions that hold for any behaviour of the mirror. */
function check(seed: number, { talks }: World, { requests }: Counters, shard: Shard, options: SimulationOptions): void {
  const { isLong = false } = options;
  const hasControl = options.comparison?.hasControl === true;
  const page = pageOf(shard.comparison!.tally);
  const fail = (what: string): never => {
    throw new Error(`seed ${seed}: ${what}\n${JSON.stringify(page, null, 1).slice(0, 40_000)}`);
  };
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
  const { compared, same, different, not_comparable: reasons, sampled_out: sampledOut } = page;
  if (same + different !== compared) fail(`${same} + ${different} are not ${compared}`);
  if (compared + sum(reasons) + sampledOut !== requests.seen) fail(`not all of ${requests.seen} have a verdict`);
  const forwarded = compared + sum(reasons) + sampledOut - reasons.request_damaged - reasons.request_not_forwarded;
  if (sampledOut === 0 && forwarded !== requests.forwarded) fail(`${forwarded} are not ${requests.forwarded}`);
  for (const { path, differences, compared, different: routes } of page.routes) {
    const plant = path.split("/")[1] as keyof typeof PLANTS;
    const isInBody = plant !== "none" && plant !== "status" && plant !== "header" && plant !== "grpc";
    const planted: readonly string[] = isLong && isInBody ? PLANTS.bytes : PLANTS[plant];
    const count = talks.filter((talk) => talk.plant === plant).length;
    const missed = plant === "none" || hasControl ? 0 : compared - routes;
    if (missed !== 0) fail(`${missed} differences on ${path} were not found`);
    if (routes > count) fail(`${routes} responses differ on ${path}, and ${count} were planted`);
    for (const { kind, where } of differences)
      if (!planted.includes(`${kind} ${where}`)) fail(`nobody planted ${kind} ${where} on ${path}`);
  }
  const { memory } = shard.comparison!;
  if (memory.heldBytes !== 0) fail(`${memory.heldBytes} bytes are held`);
  const { budget } = shard.destination.memory;
  if (budget.usedBytes !== 0) fail(`${budget.usedBytes} bytes are charged`);
}

const COMPARISON: ShardComparison = {
  maxCompareBytes: 1 << 20,
  share: 1,
  wantsLines: false,
  hasControl: false,
  endpointIsFile: false,
  ignore: [],
  redact: [],
  noRedact: false,
};

const OPTIONS = {
  ...USUAL,
  mode: "http",
  vxlanPort: 4789,
  encapsulation: "vxlan",
  vnis: [VNI],
  ports: [PORT],
  address: { host: "endpoint", port: 1 },
  measuresDelay: false,
  maxPendingPackets: 64,
  gapTimeoutMs: 20,
  idleTimeoutMs: 300_000,
  maxFlows: 1000,
  maxRetries: 10,
  connectTimeoutMs: 1000,
  pipelineDepth: 1,
  maxWaitingRequests: 100_000,
  maxRequestBytes: 1 << 20,
  maxHeaderBytes: 1 << 16,
  responseTimeoutMs: 1000,
} satisfies Partial<ShardOptions>;

const HTTP1_REQUEST =
  /^\w+ \/\w+\/(\d+) HTTP\/1.1\r\nHost: a\r\n(?:(?:Connection|Upgrade|HTTP2-Settings): .*\r\n)*(?:Content-Length: (\d+)\r\n)?\r\n/;
const ACCEPTED = Buffer.from("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");

/** Responds to each request as its talk says, when it is stepped. */
class Endpoint implements Connector {
  private readonly sockets: Socket[] = [];
  private readonly callbacks: (() => void)[] = [];

  constructor(
    private readonly talks: Talk[],
    private readonly random: Random,
    private readonly manners: Pick<SimulationOptions, "silent" | "broken" | "slowSteps">,
  ) {}

  connect({ host }: { host: string }, events: SocketEvents): void {
    this.sockets.push(new Socket(events, host === CONTROL));
  }

  lookup(name: string, found: (addresses: readonly string[]) => void): void {
    found([name]);
  }

  afterEvents(callback: () => void): void {
    this.callbacks.push(callback);
  }

  step(): void {
    for (const socket of this.sockets.splice(0)) {
      socket.step((id) => this.talks[id]!, this.random, this.manners);
      if (!socket.isClosed) this.sockets.push(socket);
    }
    for (const callback of this.callbacks.splice(0)) callback();
  }
}

class Socket implements UpstreamSocket {
  isClosed = false;
  private isOpen = false;
  private isShut = false;
  private text = "";
  private waits = 0;
  private http2: Http2Side | null = null;

  constructor(
    private readonly events: SocketEvents,
    private readonly isControl: boolean,
  ) {}

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.http2 !== null) this.http2.take(bytes.slice(offset, offset + length));
    else this.text += Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
    return length;
  }

  shutdown(): void {
    this.isShut = true;
  }

  terminate(): void {
    this.isClosed = true;
  }

  step(
    talkOf: (id: number) => Talk,
    random: Random,
    { silent = 0, broken = 0, slowSteps = 0 }: Pick<SimulationOptions, "silent" | "broken" | "slowSteps">,
  ): void {
    if (this.isClosed) return;
    if (!this.isOpen) {
      this.isOpen = true;
      this.events.opened(this);
    }
    if (this.waits-- > 0) return;
    this.waits = slowSteps === 0 ? 0 : random.int(0, slowSteps);
    if (this.http2 === null && this.text.startsWith(PREFACE.toString())) this.beginHttp2(talkOf, random, silent);
    if (this.http2 !== null) this.respond(this.http2.say(), random);
    const [all, id, length] = HTTP1_REQUEST.exec(this.text) ?? [];
    const end = (all?.length ?? 0) + Number(length ?? 0);
    if (all !== undefined && this.text.length >= end) {
      this.text = this.text.slice(end);
      const talk = talkOf(Number(id));
      const isAsProduction = this.isAsProduction(talk);
      const production = talk.production;
      const endpoint = talk.isAccepted ? ACCEPTED : talk.endpoint;
      const bytes = isAsProduction ? production : endpoint;
      // If a response ends with its connection, nobody could see that it was cut.
      const isBroken = random.chance(broken) && !/^connection: close/im.test(bytes.toString());
      if (isBroken || !random.chance(silent)) {
        this.respond(isBroken ? bytes.subarray(0, random.int(0, bytes.length - 1)) : bytes, random);
      }
      this.isShut ||= isBroken;
      if (isAsProduction && /^connection: close/im.test(production.toString())) this.isShut = true;
    }
    if (!this.isShut || this.isClosed) return;
    this.isClosed = true;
    this.events.ended();
    this.events.closed(undefined);
  }

  /** The control responds as production did, except for values, which are noise. */
  private isAsProduction({ plant }: Talk): boolean {
    return this.isControl && plant !== NOISE;
  }

  private beginHttp2(talkOf: (id: number) => Talk, random: Random, silent: number): void {
    const contentOf = (id: number): Content | null => {
      const talk = talkOf(id);
      if (random.chance(silent)) return null;
      return this.isAsProduction(talk) ? talk.content : talk.planted;
    };
    this.http2 = new Http2Side(random, contentOf);
    this.http2.take(Buffer.from(this.text, "latin1"));
    this.text = "";
    this.respond(Http2Side.SETTINGS, random);
  }

  private respond(bytes: Uint8Array, random: Random): void {
    for (let at = 0; at < bytes.length && !this.isClosed;) {
      const end = Math.min(at + random.int(1, 4000), bytes.length);
      this.events.received(bytes.slice(at, end));
      at = end;
    }
  }
}
