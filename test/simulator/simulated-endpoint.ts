/**
 * An endpoint as difficult as real ones: connections take time, are refused, or never get a result; sockets take a part
 * of the offered bytes, none for a while, or none any more; the other side sends, is slow, closes early and resets.
 */
import type { ForwardAddress } from "../../src/address.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import type { Random } from "../support/random.ts";
import { GrowingBytes } from "./recorder.ts";
import type { Scenario } from "./scenario.ts";

export class Clock {
  constructor(public nowMs: number) {}
}

/** The behaviour of a connection. Healthy ones take every byte in the end, and close after the FIN. */
export type Harm = "none" | "unanswered" | "stuck" | "reset" | "closed early" | "never closed";

/** Less than the waits of --max-retries with its doubling delays. */
const STALL_MS_MAX = 1500;

interface Due {
  readonly atMs: number;
  readonly act: () => void;
}

export class SimulatedEndpoint implements Connector {
  readonly sockets: SimulatedSocket[] = [];
  attempts = 0;
  refusals = 0;
  unanswered = 0;
  private due: Due[] = [];
  private outageUntilMs = 0;

  constructor(
    readonly random: Random,
    readonly scenario: Scenario,
    readonly clock: Clock,
    readonly connectTimeoutMs: number,
  ) {}

  connect(_address: ForwardAddress, events: SocketEvents): void {
    const { random, scenario, clock } = this;
    this.attempts++;
    // Outages are shorter than the time limit for connecting, and far apart, so that the program survives each one.
    if (random.chance(scenario.outage) && clock.nowMs >= this.outageUntilMs + 2 * this.connectTimeoutMs) {
      this.outageUntilMs = clock.nowMs + random.int(0, this.connectTimeoutMs / 2);
    }
    const harm = this.harm();
    if (harm === "unanswered") {
      this.unanswered++;
      // The kernel's own time limit, long after ours; or a result that the program does not wait for any more.
      const late = random.chance(0.5)
        ? () => events.failed(new Error("ETIMEDOUT"))
        : () => this.open(events, "never closed");
      this.at(this.connectTimeoutMs * 2, late);
      return;
    }
    this.at(random.int(0, 20), () => {
      if (clock.nowMs < this.outageUntilMs) {
        this.refusals++;
        events.failed(new Error("ECONNREFUSED"));
      } else {
        this.open(events, harm);
      }
    });
  }

  lookup(name: string, found: (addresses: readonly string[]) => void): void {
    found([name]);
  }

  afterEvents(callback: () => void): void {
    this.at(0, callback);
  }

  /** Delivers the events that are due, and their immediate consequences. */
  step(): void {
    for (;;) {
      const now = this.due.filter(({ atMs }) => atMs <= this.clock.nowMs);
      if (now.length === 0) return;
      this.due = this.due.filter(({ atMs }) => atMs > this.clock.nowMs);
      for (const { act } of now) act();
    }
  }

  get isIdle(): boolean {
    return this.due.length === 0;
  }

  at(delayMs: number, act: () => void): void {
    this.due.push({ atMs: this.clock.nowMs + delayMs, act });
  }

  protected harm(): Harm {
    const { random, scenario } = this;
    if (!random.chance(scenario.harm)) return "none";
    return random.pick(["unanswered", "stuck", "reset", "closed early", "never closed"] as const);
  }

  protected socketFor(events: SocketEvents, harm: Harm): SimulatedSocket {
    return new SimulatedSocket(this, events, harm, this.sockets.length);
  }

  private open(events: SocketEvents, harm: Harm): void {
    const socket = this.socketFor(events, harm);
    this.sockets.push(socket);
    events.opened(socket);
    // Given up while it was being established: it must be closed at once, with nothing written.
    socket.wasUnwanted = socket.isTerminated && socket.writes === 0;
    socket.begin();
  }
}

export class SimulatedSocket implements UpstreamSocket {
  readonly received = new GrowingBytes();
  /** Writes since the counter was last cleared. */
  writes = 0;
  /** Offers of which no byte was taken. */
  blocked = 0;
  responseBytes = 0;
  isShutDown = false;
  /** The program has closed it. */
  isTerminated = false;
  /** It is closed, by either side, and the program knows it. */
  isClosed = false;
  /** Its result came when the program did not wait for it any more. */
  wasUnwanted = false;
  /** It is gone, and the program does not know it yet. */
  isDead = false;
  private readonly room: number;
  private readonly bytesPerMs: number;
  private readonly harmAt: number;
  private taken = 0;
  private drainedMs: number;
  private stalledUntilMs = 0;
  private wantsWritable = false;

  constructor(
    protected readonly endpoint: SimulatedEndpoint,
    protected readonly events: SocketEvents,
    readonly harm: Harm,
    readonly index: number,
  ) {
    const { random, scenario, clock } = endpoint;
    const isSlow = random.chance(scenario.slow);
    this.room = isSlow ? random.pick([64, 1000, 16_384]) : Infinity;
    this.bytesPerMs = isSlow ? random.pick([2, 50, 1000]) : Infinity;
    this.harmAt = random.int(0, 2000);
    this.drainedMs = clock.nowMs;
  }

  /** Whether every byte must arrive. */
  get isHealthy(): boolean {
    return this.harm === "none" || this.harm === "never closed";
  }

  begin(): void {
    const { random } = this.endpoint;
    if (this.mayDieSoon && random.chance(0.5)) this.endpoint.at(random.int(0, 300), () => this.harmNow());
    if (random.chance(0.3)) this.endpoint.at(random.int(0, 100), () => this.respond());
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    this.mustBeOpen("write");
    if (this.isShutDown) throw new Error("a write after the shutdown");
    if (length <= 0 || offset < 0 || offset + length > bytes.length)
      throw new Error(`write(${offset}, ${length}) of ${bytes.length} bytes`);
    this.writes++;
    if (this.isDead) return -1;
    const { random, scenario } = this.endpoint;
    this.drain();
    const isStuck = this.harm === "stuck" && this.received.length >= this.harmAt;
    let taken = isStuck || this.isStalled ? 0 : Math.min(length, Math.floor(this.room - this.taken));
    if (taken > 1 && random.chance(scenario.slow * 0.3)) taken = random.int(1, taken);
    this.received.push(bytes.subarray(offset, offset + taken));
    if (this.room !== Infinity) this.taken += taken;
    if (taken === 0) this.blocked++;
    if (taken < length) this.block();
    if (this.mayDieSoon && this.received.length > this.harmAt) this.die();
    return taken;
  }

  shutdown(): void {
    this.mustBeOpen("shutdown");
    if (this.isShutDown) throw new Error("a second shutdown");
    this.isShutDown = true;
    const { random } = this.endpoint;
    if (this.harm === "never closed") return;
    this.endpoint.at(random.int(0, 100), () => {
      if (random.chance(0.5)) this.respond();
      if (random.chance(0.5) && !this.isOver) this.events.ended();
      this.endpoint.at(0, () => this.close(undefined));
    });
  }

  terminate(): void {
    this.mustBeOpen("terminate");
    this.isTerminated = true;
    // Bun reports it at once, or in the next turn.
    const tell = () => {
      if (this.isClosed) return;
      this.isClosed = true;
      this.events.closed(undefined);
    };
    if (this.endpoint.random.chance(0.5)) tell();
    else this.endpoint.at(0, tell);
  }

  protected get mayDieSoon(): boolean {
    return this.harm === "reset" || this.harm === "closed early";
  }

  protected get isOver(): boolean {
    return this.isTerminated || this.isClosed || this.isDead;
  }

  private get isStalled(): boolean {
    return this.endpoint.clock.nowMs < this.stalledUntilMs;
  }

  protected mustBeOpen(what: string): void {
    if (this.isTerminated) throw new Error(`${what} after terminate`);
    if (this.isClosed) throw new Error(`${what} after closed`);
  }

  private respond(): void {
    if (this.isOver) return;
    const { random } = this.endpoint;
    const bytes = random.bytes(random.int(1, 50));
    this.responseBytes += bytes.length;
    this.events.received(bytes);
    if (random.chance(0.6)) this.endpoint.at(random.int(0, 50), () => this.respond());
  }

  /** The peer reads. */
  private drain(): void {
    const { nowMs } = this.endpoint.clock;
    this.taken =
      this.bytesPerMs === Infinity ? 0 : Math.max(0, this.taken - (nowMs - this.drainedMs) * this.bytesPerMs);
    this.drainedMs = nowMs;
  }

  private block(): void {
    if (this.wantsWritable) return;
    const { random, scenario, clock } = this.endpoint;
    this.wantsWritable = true;
    if (!this.isStalled && random.chance(scenario.slow * 0.05))
      this.stalledUntilMs = clock.nowMs + random.int(1, STALL_MS_MAX);
    const waitMs = Math.max(1, this.stalledUntilMs - clock.nowMs, Math.min(this.room, 16_384) / this.bytesPerMs / 2);
    this.endpoint.at(waitMs, () => {
      this.wantsWritable = false;
      if (this.isOver) return;
      if (this.harm === "stuck" && this.received.length >= this.harmAt) return;
      // Sometimes only the program's own tries find it.
      if (random.chance(0.8)) this.events.writable();
    });
  }

  protected harmNow(): void {
    if (!this.isOver) this.die();
  }

  /** From now on writes return -1; the program gets the event a little later. */
  protected die(isReset = this.harm === "reset"): void {
    if (this.isDead) return;
    this.isDead = true;
    const error = isReset ? new Error("ECONNRESET") : undefined;
    this.endpoint.at(this.endpoint.random.int(0, 2), () => this.close(error));
  }

  protected close(error: Error | undefined): void {
    if (this.isTerminated || this.isClosed) return;
    this.isClosed = true;
    this.events.closed(error);
  }
}
