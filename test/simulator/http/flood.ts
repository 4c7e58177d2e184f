/**
 * A flood with little memory: clients that send all at once, without losses on the way, and destinations that are slow
 * or break off, with a budget of a few KiB. Whatever gives way: each request is counted at most once, the counters add
 * up for each destination, and each gets a connection's requests in their order.
 */
import { LinkType } from "../../../src/decode/link.ts";
import type { Connector, SocketEvents } from "../../../src/forward/socket.ts";
import { Counters } from "../../../src/observe/counters.ts";
import { Shard } from "../../../src/shard/shard.ts";
import { mirroredSegment, type Tcp } from "../../support/frames.ts";
import { Random } from "../../support/random.ts";
import { USUAL } from "../../support/usual.ts";
import { equal, sum, within } from "../checks.ts";
import { furtherAddresses } from "../destinations.ts";
import { MemorySource } from "../memory-source.ts";
import { UNTOLD } from "../../support/untold.ts";

const EPOCH_MS = 1_750_000_000_000;
const VNI = 7;
const PORT = 80;
const FIRST_CLIENT_PORT = 1024;
const ADDRESSES = { source: "10.0.0.1", destination: "10.0.0.2" };
const ISN = 1000;
const KIB = 1 / 1024;
const BUDGET_KIB_MAX = 100;
const CLIENTS_MAX = 12;
const REQUESTS_MAX = 8;
const BODY_BYTES_MAX = 4000;
const SEGMENT_BYTES_MAX = 1460;
const DRAIN_MS_MAX = 600_000;
const STEP_MS = 10;
const OK = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

interface Client {
  readonly port: number;
  readonly stream: Uint8Array;
  /** The ends of the requests in the stream. */
  readonly ends: readonly number[];
  /** The place up to which it was sent. */
  at: number;
  isOpen: boolean;
  isOver: boolean;
}

/** The requests that a destination has got, by path: the client's number and the request's. */
class FloodEndpoint {
  readonly came: string[] = [];
  private readonly due: { readonly atMs: number; readonly run: () => void }[] = [];

  constructor(
    private readonly random: Random,
    private readonly world: { readonly nowMs: number },
    private readonly delayMsMax: number,
    private readonly breaking: number,
    private readonly silence: number,
  ) {}

  get isIdle(): boolean {
    return this.due.length === 0;
  }

  connect(events: SocketEvents): void {
    let text = "";
    let isOver = false;
    const close = () => {
      if (isOver) return;
      isOver = true;
      events.closed(undefined);
    };
    const read = () => {
      for (;;) {
        const head = /^(?:GET|POST) \/(\S+) HTTP\/1.1\r\n(?:Content-Length: (\d+)\r\n)?\r\n/.exec(text);
        const length = head === null ? Infinity : head[0].length + Number(head[2] ?? 0);
        if (text.length < length) return;
        this.came.push(head![1]!);
        text = text.slice(length);
        if (this.random.chance(this.silence)) continue;
        if (this.random.chance(this.breaking)) this.after(close);
        else this.after(() => !isOver && events.received(OK));
      }
    };
    const socket = {
      write: (bytes: Uint8Array, offset: number, length: number) => {
        if (isOver) return -1;
        const taken = this.random.chance(0.2) ? this.random.int(0, length) : length;
        text += Buffer.from(bytes.subarray(offset, offset + taken)).toString("latin1");
        read();
        if (taken < length) this.after(() => !isOver && events.writable());
        return taken;
      },
      shutdown: () => this.after(close),
      terminate: () => this.after(close),
    };
    this.after(() => events.opened(socket));
  }

  step(): void {
    for (let i = 0; i < this.due.length;) {
      if (this.due[i]!.atMs > this.world.nowMs) i++;
      else this.due.splice(i, 1)[0]!.run();
    }
  }

  private after(run: () => void): void {
    this.due.push({ atMs: this.world.nowMs + this.random.int(0, this.delayMsMax), run });
  }
}

export interface FloodOutcome {
  readonly requests: number;
  readonly evicted: number;
  readonly answered: number;
}

/** Runs the flood of one seed. */
export function simulateFlood(seed: number): FloodOutcome {
  try {
    return new Flood(new Random(seed)).run();
  } catch (error) {
    const again = `FLOOD_SEED=${seed} bun test test/simulator/http/flood`;
    throw new Error(`seed ${seed} (${again}): ${(error as Error).message}`, { cause: error });
  }
}

class Flood {
  nowMs = EPOCH_MS;
  private readonly clients: Client[];
  private readonly endpoints: FloodEndpoint[];
  private readonly counters: Counters;
  private readonly shard: Shard;
  private readonly source = new MemorySource(LinkType.ETHERNET);
  private callbacks: (() => void)[] = [];
  private readonly isLive: boolean;

  constructor(private readonly random: Random) {
    const bodies = random.pick([0, 100, BODY_BYTES_MAX]);
    const count = random.int(1, CLIENTS_MAX);
    this.clients = Array.from({ length: count }, (_, i) => newClient(random, i, bodies));
    const further = random.pick([0, 0, 1, 2]);
    const delay = () => random.pick([0, 20, 500, 3000]);
    this.endpoints = Array.from(
      { length: 1 + further },
      () => new FloodEndpoint(random, this, delay(), random.pick([0, 0, 0.2]), random.pick([0, 0, 0.1])),
    );
    this.isLive = random.chance(0.6);
    const also = furtherAddresses(further);
    this.counters = new Counters(also.map(({ host }) => host));
    const connector: Connector = {
      connect: ({ host }, events) => {
        const at = also.findIndex((address) => address.host === host);
        this.endpoints[at + 1]!.connect(events);
      },
      lookup: (name, found) => found([name]),
      afterEvents: (callback) => void this.callbacks.push(callback),
    };
    const options = {
      ...USUAL,
      mode: "http" as const,
      vxlanPort: 4789,
      vnis: [VNI],
      ports: [PORT],
      address: { host: "endpoint", port: 1 },
      also,
      pipelineDepth: random.pick([1, 1, 3]),
      maxWaitingRequests: 128,
      maxRequestBytes: random.pick([500, 1 << 20]),
      maxHeaderBytes: 65_536,
      responseTimeoutMs: 1000,
      maxPendingPackets: 32,
      gapTimeoutMs: this.isLive ? 100 : Infinity,
      idleTimeoutMs: 300_000,
      maxFlows: 65_536,
      sourceWaits: !this.isLive,
      maxBufferMib: random.int(1, BUDGET_KIB_MAX) * KIB,
      maxRetries: 10,
      connectTimeoutMs: 1000,
      measuresDelay: false,
    };
    this.shard = new Shard(options, this.counters, UNTOLD, connector, () => this.nowMs);
  }

  run(): FloodOutcome {
    while (this.clients.some(({ isOver }) => !isOver)) this.batch();
    this.shard.finish();
    for (const startMs = this.nowMs; !this.shard.isSettled || this.endpoints.some(({ isIdle }) => !isIdle);) {
      this.pass(STEP_MS);
      if (this.nowMs - startMs > DRAIN_MS_MAX) throw new Error("connections do not end");
    }
    this.check();
    const { requests, flows } = this.counters;
    return { requests: requests.seen, evicted: flows.evicted, answered: requests.answered };
  }

  private batch(): void {
    const { random } = this;
    const frames = Array.from({ length: random.int(1, 20) }, () => this.nextFrame()).filter((frame) => frame !== null);
    this.source.fill(frames.map((bytes) => ({ bytes, timestampMs: this.nowMs })));
    for (let more = true; more;) {
      more = this.shard.process(this.source, random.int(1, 20));
      this.source.scribble();
      while (this.shard.isBehind) this.pass(STEP_MS);
    }
    this.checkCounts();
    this.pass(random.pick([0, 0, 1, 10, 1500]));
  }

  /** The next bytes of one of the clients; null: all were sent. */
  private nextFrame(): Uint8Array | null {
    const { random } = this;
    const open = this.clients.filter(({ isOver }) => !isOver);
    if (open.length === 0) return null;
    const client = random.pick(open);
    const segment = (at: number, flags: string, payload: Uint8Array = new Uint8Array(0)) => {
      const sequence = ISN + at;
      const tcp: Tcp = { ...ADDRESSES, sourcePort: client.port, destinationPort: PORT, sequence, flags, payload };
      return mirroredSegment(tcp, VNI);
    };
    if (!client.isOpen) {
      client.isOpen = true;
      return segment(0, "S");
    }
    const { at, stream, ends } = client;
    if (at === stream.length) {
      client.isOver = true;
      return segment(1 + at, "AF");
    }
    const next = ends.find((end) => end > at)!;
    const to = Math.min(at + random.int(1, SEGMENT_BYTES_MAX), random.chance(0.7) ? next : stream.length);
    client.at = to;
    return segment(1 + at, "A", stream.subarray(at, to));
  }

  private pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; ;) {
      for (const endpoint of this.endpoints) endpoint.step();
      while (this.callbacks.length > 0) for (const callback of this.callbacks.splice(0)) callback();
      if (this.isLive) this.shard.advance(this.nowMs);
      else this.shard.tick();
      this.checkCounts();
      if (this.nowMs >= untilMs) return;
      this.nowMs = Math.min(untilMs, this.nowMs + STEP_MS);
    }
  }

  private get requestCounters() {
    return [this.counters.requests, ...this.counters.destinations.map(({ requests }) => requests)];
  }

  /** The rule for every moment: not more requests are counted than have begun. */
  private checkCounts(): void {
    const begun = sum(this.clients.map(({ at, ends }) => ends.filter((_, i) => (ends[i - 1] ?? 0) < at).length));
    for (const requests of this.requestCounters) {
      within("requests.seen", requests.seen, begun);
      within("their ends", requests.forwarded + requests.damaged + sum(Object.values(requests.dropped)), requests.seen);
    }
  }

  private check(): void {
    this.requestCounters.forEach((requests, i) => {
      const dropped = sum(Object.values(requests.dropped));
      equal(`${i}: requests.seen`, requests.seen, requests.forwarded + requests.damaged + dropped);
      equal(`${i}: seen beside the endpoint`, requests.seen, this.counters.requests.seen);
    });
    this.endpoints.forEach(({ came }, i) => {
      for (const [client, requests] of Map.groupBy(came, (path) => path.split(".")[0])) {
        const firsts = [...new Set(requests.map((path) => Number(path.split(".")[1])))];
        if (firsts.some((request, j) => j > 0 && request < firsts[j - 1]!))
          throw new Error(`destination ${i} got requests of client ${client} as ${requests.join(", ")}`);
      }
    });
    equal("bytes held", this.shard.destination.memory.budget.usedBytes, 0);
    for (const { memory } of this.shard.further) equal("bytes held", memory.budget.usedBytes, 0);
  }
}

function newClient(random: Random, number: number, bodies: number): Client {
  const ends: number[] = [];
  let text = "";
  for (let i = 0; i < random.int(1, REQUESTS_MAX); i++) {
    const length = random.int(0, bodies);
    text +=
      length === 0
        ? `GET /${number}.${i} HTTP/1.1\r\n\r\n`
        : `POST /${number}.${i} HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n${"x".repeat(length)}`;
    ends.push(text.length);
  }
  const stream = new TextEncoder().encode(text);
  return { port: FIRST_CLIENT_PORT + number, stream, ends, at: 0, isOpen: false, isOver: false };
}
