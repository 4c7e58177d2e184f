/**
 * The offers of another protocol that a client makes on one connection (Upgrade, CONNECT), one after the other.
 * Production's and the endpoint's responses to an offer decide how the client's bytes behind it are taken.
 */
import { Cost } from "../memory/budget.ts";
import type { PipeHost } from "./pipe-host.ts";
import { type OfferSink, UpgradeOffer, Verdict } from "./upgrade-offer.ts";

/** How the client's bytes behind an offer are taken. */
export const Outcome = {
  /** As requests. */
  REQUESTS: 0,
  /** As requests; the endpoint had the offer. */
  DECLINED: 1,
  /** As frames of HTTP/2. */
  HTTP2: 2,
  /** As another protocol. */
  BARE: 3,
  /** As another protocol that policy leaves out. */
  LEFT_OUT: 4,
} as const;

/** The conversation that makes the offers. It gets the bytes held behind an offer when that is decided. */
export interface OffersOwner extends OfferSink {
  /** Makes room for `bytes` more, if needed. Returns whether there is room. */
  makeRoom(bytes: number): boolean;
  /** An offer is decided: the client's bytes are taken so ({@link Outcome}), first those that were held. */
  goOn(outcome: number): void;
  /** All held bytes were given. */
  heldIsOver(): void;
}

export class Offers {
  /** The offer that is not decided; null: there is none. */
  private open: UpgradeOffer | null = null;

  constructor(
    private readonly mode: PipeHost,
    private readonly owner: OffersOwner,
  ) {}

  /** Begins an offer. `isLeftOut`: the request is not forwarded, nor are bytes of another protocol behind it. */
  begin(isConnect: boolean, isLeftOut: boolean): void {
    const { destination, options } = this.mode;
    this.open = new UpgradeOffer(destination.memory, options.maxHeaderBytes, isConnect, isLeftOut);
  }

  /** Whether an offer is not decided. */
  get isOpen(): boolean {
    return this.open !== null;
  }

  /** Whether an offer is not decided, and was not forwarded. */
  get isLeftOut(): boolean {
    return this.open?.isLeftOut === true;
  }

  /** Whether bytes are held. */
  get holds(): boolean {
    return this.open?.holds === true;
  }

  // Bytes behind the open offer.

  hold(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const open = this.open!;
    if (this.owner.makeRoom(2 * length + Cost.ARRAY)) {
      open.add(bytes, offset, length, timestampMs);
    } else {
      open.addGap(length);
      this.mode.destination.counters.foreign.discarded_bytes += length;
    }
  }

  gap(length: number): void {
    this.open!.addGap(length);
  }

  end(): void {
    this.open!.end();
  }

  // The endpoint's response. Each returns whether the endpoint had an open offer.

  accepted(): boolean {
    if (this.open === null || this.open.isLeftOut) return false;
    this.open.isAccepted = true;
    return true;
  }

  declined(): boolean {
    if (this.open === null || this.open.isLeftOut) return false;
    this.open.isDeclined = true;
    this.decide();
    return true;
  }

  /** Goes on behind the offers that are decided now. */
  decide(): void {
    // The bytes held behind one offer may have another.
    for (let last = null; this.open !== null && this.open !== last;) {
      last = this.open;
      const outcome = this.outcomeOf(last);
      if (outcome === null) return;
      this.owner.goOn(outcome);
      this.open = null;
      last.release(this.owner);
      this.owner.heldIsOver();
    }
  }

  /** Releases the held bytes. False: later bytes cannot be understood. */
  giveWay(): boolean {
    const open = this.open!;
    this.mode.destination.counters.foreign.discarded_bytes += open.heldBytes;
    if (open.verdict < Verdict.ACCEPTED) {
      open.forget();
      return true;
    }
    // Behind released bytes of another protocol, later ones cannot be understood.
    open.clear();
    this.open = null;
    return false;
  }

  /** The outcome of an offer; null: it is not decided. */
  private outcomeOf(offer: UpgradeOffer): number | null {
    const { verdict } = offer;
    // Whether or not the endpoint accepts the offer: it gets HTTP/2 on a connection that begins with it.
    if (verdict === Verdict.HTTP2 && this.mode.options.http2 !== "pass") return Outcome.HTTP2;
    if (offer.isLeftOut) {
      if (verdict >= Verdict.ACCEPTED) return Outcome.LEFT_OUT;
      return verdict === Verdict.DECLINED || offer.isEnded ? Outcome.REQUESTS : null;
    }
    if (verdict === Verdict.DECLINED || offer.isDeclined) return Outcome.DECLINED;
    return offer.isAccepted && (verdict >= Verdict.ACCEPTED || offer.isEnded) ? Outcome.BARE : null;
  }
}
