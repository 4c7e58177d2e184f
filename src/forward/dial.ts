/**
 * Makes one connection: tries a destination's addresses one after the other, the next when one fails or has not
 * responded for a moment (RFC 8305, section 5), and takes the first connection that opens.
 */
import { type Deadlines, Timer, type TimerOwner } from "../memory/deadlines.ts";
import type { Addresses } from "./addresses.ts";
import type { DestinationOptions } from "./destination-options.ts";
import type { Witness } from "./exchange.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "./socket.ts";
import { OtherProtocolError } from "./tls.ts";
import type { Upstream } from "./upstream.ts";

/** The time after which the next address is tried as well (RFC 8305, section 5). */
export const ATTEMPT_DELAY_MS = 250;

/** The destination, as seen by {@link Dial}. */
export interface DialHost {
  readonly options: DestinationOptions;
  readonly addresses: Addresses;
  readonly connector: Connector;
  readonly deadlines: Deadlines;
  readonly now: () => number;
  /** Attempts and lookups that are under way. */
  attempts: number;
  /** The destination is there. */
  endOutage(): void;
  connected(upstream: Upstream): void;
  refused(upstream: Upstream, error: Error): void;
}

/** The making of one connection. */
export class Dial implements TimerOwner {
  private readonly tried: string[] = [];
  private untried: string[] = [];
  /** Attempts that have neither opened nor failed. */
  private pending = 0;
  private isOver = false;
  private readonly timer = new Timer(this);

  constructor(
    private readonly destination: DialHost,
    private readonly upstream: Upstream,
  ) {}

  begin(): void {
    const { destination } = this;
    destination.attempts++;
    destination.addresses.get(destination.now(), (addresses, error) => {
      destination.attempts--;
      this.found(addresses);
      if (addresses.length === 0) this.fail(error ?? new Error("its name has no address"));
    });
  }

  /** The address that was tried last has not answered in time. */
  expire(nowMs: number): void {
    if (this.isOver || this.upstream.isClosed) return;
    if (this.untried.length > 0) this.tryNext();
    else this.destination.addresses.refresh(nowMs, (addresses) => this.found(addresses));
  }

  /** A connection to this address was made. Returns whether it is wanted: it may be too late. */
  takes(address: string): boolean {
    const { destination, upstream } = this;
    this.settled();
    destination.addresses.succeeded(address);
    destination.endOutage();
    if (this.isOver || upstream.isClosed) return false;
    this.over();
    destination.connected(upstream);
    return true;
  }

  failed(address: string, error: Error): void {
    this.settled();
    if (error instanceof OtherProtocolError) {
      this.declined(error);
      return;
    }
    this.destination.addresses.failed(address);
    if (this.isOver) return;
    if (this.untried.length > 0 && !this.upstream.isClosed) this.tryNext();
    else if (this.pending === 0) this.fail(error);
  }

  private found(addresses: readonly string[]): void {
    if (this.isOver || this.upstream.isClosed) return;
    this.untried = addresses.filter((address) => !this.tried.includes(address));
    if (this.untried.length > 0) this.tryNext();
  }

  private tryNext(): void {
    const { destination } = this;
    const address = this.untried.shift()!;
    this.tried.push(address);
    this.pending++;
    destination.attempts++;
    destination.deadlines.set(this.timer, destination.now() + ATTEMPT_DELAY_MS);
    destination.connector.connect(
      { host: address, port: destination.options.address.port },
      new Attempt(this, this.upstream, address),
      this.upstream.tls,
    );
  }

  /** The destination is there, and does not speak the protocol that is asked for. */
  private declined(error: OtherProtocolError): void {
    if (this.isOver || this.upstream.isClosed) return;
    this.over();
    this.destination.endOutage();
    this.upstream.giveUp(error.message, "other_protocol");
  }

  private settled(): void {
    this.pending--;
    this.destination.attempts--;
  }

  private fail(error: Error): void {
    this.over();
    this.destination.refused(this.upstream, error);
  }

  private over(): void {
    this.isOver = true;
    this.destination.deadlines.remove(this.timer);
  }
}

/**
 * One attempt at one address. If its connection is given up, the attempt lives on: the kernel still works on it, so it
 * still counts against the limit.
 */
class Attempt implements SocketEvents {
  private isTaken = false;

  constructor(
    /** Null: it has ended, and is not needed as long as the connection lives. */
    private dial: Dial | null,
    private readonly upstream: Upstream,
    private readonly address: string,
  ) {}

  get capturedMs(): number {
    return this.upstream.capturedMs;
  }

  get witness(): Witness | null {
    return this.upstream.witness;
  }

  opened(socket: UpstreamSocket): void {
    this.isTaken = this.dial!.takes(this.address);
    this.dial = null;
    // The upstream may close it at once.
    if (this.isTaken) this.upstream.opened(socket);
    else socket.terminate();
  }

  failed(error: Error): void {
    this.dial?.failed(this.address, error);
  }

  writable(): void {
    if (this.isTaken) this.upstream.writable();
  }

  received(bytes: Uint8Array): void {
    if (this.isTaken) this.upstream.received(bytes);
  }

  ended(): void {
    if (this.isTaken) this.upstream.ended();
  }

  closed(error: Error | undefined): void {
    if (this.isTaken) this.upstream.closed(error);
  }
}
