/** An endpoint that the test controls. */
import { Budget, Cost } from "../../src/memory/budget.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Destination } from "../../src/forward/destination.ts";
import type { DestinationOptions, DestinationReport } from "../../src/forward/destination-options.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import type { ForwardAddress } from "../../src/address.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../../src/forward/socket.ts";
import { Counters } from "../../src/observe/counters.ts";
import { USUAL } from "../support/usual.ts";

export const EPOCH_MS = 1_750_000_000_000;
/** The interval at which the program checks its time limits. */
const TICK_MS = 10;

export interface Write {
  array: Uint8Array;
  offset: number;
  length: number;
  taken: number;
  /** From the test's beginning. */
  atMs: number;
}

export class ScriptedSocket implements UpstreamSocket {
  readonly writes: Write[] = [];
  shutdowns = 0;
  terminated = false;
  /** How much the next writes take; without an entry, a write takes all. */
  takes: number[] = [];
  private readonly taken: number[] = [];

  constructor(
    readonly events: SocketEvents,
    private readonly elapsedMs: () => number,
  ) {}

  write(array: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(this.takes.shift() ?? Infinity, length);
    this.writes.push({ array, offset, length, taken, atMs: this.elapsedMs() });
    for (let i = 0; i < taken; i++) this.taken.push(array[offset + i]!);
    return taken;
  }

  shutdown(): void {
    this.shutdowns++;
  }

  terminate(): void {
    this.terminated = true;
  }

  /** The bytes that the endpoint got. */
  get bytes(): Buffer {
    return this.bytesFrom(0);
  }

  /** The same bytes from a place on. */
  bytesFrom(at: number): Buffer {
    return Buffer.from(this.taken.slice(at));
  }

  /** The same bytes as text. */
  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.taken));
  }

  /** Takes nothing until {@link takes} is set again. */
  block(): void {
    this.takes = new Array<number>(1000).fill(0);
  }
}

export class ScriptedConnector implements Connector {
  /** Attempts that were neither accepted nor refused yet. */
  readonly attempts: SocketEvents[] = [];
  attemptsMade = 0;
  /** The accepted connections. */
  readonly sockets: ScriptedSocket[] = [];
  /** Their addresses. */
  readonly addresses: string[] = [];

  constructor(private readonly elapsedMs: () => number) {}

  connect({ host }: ForwardAddress, events: SocketEvents): void {
    this.attemptsMade++;
    this.addresses.push(host);
    this.attempts.push(events);
  }

  /** The addresses of a name. */
  find: (name: string) => readonly string[] = (name) => [name];

  lookup(name: string, found: (addresses: readonly string[], error?: Error) => void): void {
    const addresses = this.find(name);
    found(addresses, addresses.length === 0 ? new Error("no such host") : undefined);
  }

  afterEvents(callback: () => void): void {
    callback();
  }

  /** Accepts the oldest attempt. */
  accept(takes: number[] = []): ScriptedSocket {
    const events = this.attempts.shift()!;
    const socket = new ScriptedSocket(events, this.elapsedMs);
    socket.takes = takes;
    this.sockets.push(socket);
    events.opened(socket);
    return socket;
  }

  refuse(error = new Error("ECONNREFUSED")): void {
    this.attempts.shift()!.failed(error);
  }
}

export class Told implements DestinationReport {
  readonly lines: string[] = [];

  outageBegan(reason: string): void {
    this.lines.push(`outage: ${reason}`);
  }

  outageEnded(durationMs: number, lostConnections: number): void {
    this.lines.push(`outage over after ${durationMs} ms, ${lostConnections} lost`);
  }

  speaksNot(version: string): void {
    this.lines.push(`speaks no ${version}`);
  }

  speaks(version: string, durationMs: number): void {
    this.lines.push(`speaks ${version} after ${durationMs} ms`);
  }

  /** Why connections were given up. */
  readonly reasons: string[] = [];

  givenUp(why: string, lostBytes: number): void {
    this.reasons.push(why);
    this.lines.push(`given up with ${lostBytes} bytes`);
  }

  broken(how: "closed" | "reset", lostBytes: number): void {
    this.lines.push(`broken (${how}) with ${lostBytes} bytes`);
  }
}

export interface ScriptedOptions extends Partial<DestinationOptions> {
  bufferBytes?: number;
}

/** The program's side towards the endpoint, on a clock of the test. */
export class Scripted {
  readonly counters = new Counters();
  readonly told = new Told();
  readonly budget: Budget;
  readonly connector: ScriptedConnector;
  readonly destination: Destination;
  nowMs = EPOCH_MS;

  constructor({ bufferBytes = 1 << 24, ...options }: ScriptedOptions = {}) {
    this.budget = new Budget(bufferBytes);
    this.connector = new ScriptedConnector(() => this.nowMs - EPOCH_MS);
    const whole = {
      ...USUAL,
      address: { host: "endpoint", port: 80 },
      maxRetries: 10,
      connectTimeoutMs: 2000,
      measuresDelay: true,
      ...options,
    };
    this.destination = new Destination(
      whole,
      this.counters,
      new HeldMemory(this.budget, new ArrayPool()),
      this.told,
      this.connector,
      () => this.nowMs,
    );
  }

  /** Memory in addition to the connections themselves. */
  get heldBytes(): number {
    return this.budget.usedBytes - this.destination.openCount * Cost.UPSTREAM;
  }

  get upstream() {
    return this.counters.upstream;
  }

  /** Lets time pass as the program's loop does. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + TICK_MS);
      this.destination.tick();
    }
  }

  /** An open connection. */
  connect(takes: number[] = []) {
    const upstream = this.destination.connect(null);
    return { upstream, socket: this.connector.accept(takes) };
  }

  /** Writes text to a connection, and overwrites the buffer after the batch. */
  batch(
    ...pieces: [
      upstream: { write(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void },
      text: string,
    ][]
  ): Uint8Array {
    const buffer = new TextEncoder().encode(pieces.map(([, text]) => text).join(""));
    let offset = 0;
    for (const [upstream, text] of pieces) {
      upstream.write(buffer, offset, text.length, this.nowMs);
      offset += text.length;
    }
    this.destination.flush();
    const given = buffer.slice();
    buffer.fill(0x21);
    return given;
  }
}
