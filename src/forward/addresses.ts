/**
 * The addresses of a destination's name, best one first. A name is looked up when it is first needed, and anew when a
 * connection could not be made: it may have moved. Lookups never delay a connection if an address is known.
 */
import { isIP } from "node:net";
import type { Connector } from "./socket.ts";

/** The shortest time between two lookups of a name. */
export const LOOKUP_PAUSE_MS = 500;

/** Called with the addresses; if there are none, `error` has the reason. */
type Found = (addresses: readonly string[], error?: Error) => void;

/** The addresses of one destination's name. */
export class Addresses {
  private known: readonly string[];
  private readonly isName: boolean;
  private isStale = false;
  private lookedUpMs = -Infinity;
  /** The callbacks that wait for the lookup under way; null: no lookup is under way. */
  private waiting: Found[] | null = null;

  constructor(
    private readonly host: string,
    private readonly connector: Connector,
  ) {
    this.isName = isIP(host) === 0;
    this.known = this.isName ? [] : [host];
  }

  /** Calls back with all addresses; at once, if one is known. */
  get(nowMs: number, found: Found): void {
    if (this.known.length > 0) {
      if (this.isStale) this.refresh(nowMs, null);
      found(this.known);
    } else {
      this.refresh(nowMs, found);
    }
  }

  /**
   * Looks the name up anew, unless that was done just now. `found` is called, perhaps later, with the addresses known
   * then.
   */
  refresh(nowMs: number, found: Found | null): void {
    if (this.waiting !== null) {
      if (found !== null) this.waiting.push(found);
      return;
    }
    if (!this.isName || (this.known.length > 0 && nowMs - this.lookedUpMs < LOOKUP_PAUSE_MS)) {
      found?.(this.known);
      return;
    }
    this.lookedUpMs = nowMs;
    this.waiting = found === null ? [] : [found];
    this.connector.lookup(this.host, (addresses, error) => this.lookedUp(addresses, error));
  }

  /** A connection to this address was made: it is tried first from now on. */
  succeeded(address: string): void {
    if (this.known[0] === address) return;
    if (this.known.includes(address)) this.known = [address, ...this.known.filter((other) => other !== address)];
  }

  /** No connection to this address could be made. */
  failed(address: string): void {
    this.isStale = this.isName;
    if (this.known[0] !== address || this.known.length === 1) return;
    this.known = [...this.known.slice(1), address];
  }

  private lookedUp(addresses: readonly string[], error: Error | undefined): void {
    const waiting = this.waiting ?? [];
    this.waiting = null;
    if (addresses.length > 0) {
      this.isStale = false;
      // Known addresses keep their order, because the first ones are those that work.
      const kept = this.known.filter((address) => addresses.includes(address));
      this.known = [...kept, ...addresses.filter((address) => !kept.includes(address))];
    }
    for (const found of waiting) found(this.known, error);
  }
}
