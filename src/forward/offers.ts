/**
 * The offers of another protocol that a client makes on one connection (Upgrade, CONNECT), one after the other. What
 * production and the endpoint made of an offer decides as what the client's bytes go on behind it.
 */
import { Cost } from "../memory/budget.ts";
import type { PipeHost } from "./pipe-host.ts";
import { type OfferSink, UpgradeOffer, Verdict } from "./upgrade-offer.ts";

/** As what the client's bytes go on behind an offer. */
export const Outcome = {
  /** As requests. */
  REQUESTS: 0,
  /** The same, and the endpoint had the offer. */
  DECLINED: 1,
  /** As frames of HTTP/2. */
  HTTP2: 2,
  /** As another protocol. */
  BARE: 3,
  /** As another protocol, which policy leaves out. */
  LEFT_OUT: 4,
} as const;

/** The conversation that makes the offers. What was held behind one is given to it when that is decided. */
export interface OffersOwner extends OfferSink {
  /** Makes room for so many bytes more, if need be and if that can be. */
  makeRoom(bytes: number): boolean;
  /** An offer is decided: the client's bytes go on so ({@link Outcome}), first with those that were held. */
  goOn(outcome: number): void;
  /** All that was held was given. */
  heldIsOver(): void;
}

export class Offers {
  /** The one that is not decided; null: none is. */
  private open: UpgradeOffer | null = null;

  constructor(
    private readonly mode: PipeHost,
    private readonly owner: OffersOwner,
  ) {}

  /** `isLeftOut`: the request is not forwarded, and so is nothing that is said in another protocol behind it. */
  begin(isConnect: boolean, isLeftOut: boolean): void {
    const { destination, options } = this.mode;
    this.open = new UpgradeOffer(destination.memory, options.maxHeaderBytes, isConnect, isLeftOut);
  }

  /** One is not decided. */
  get isOpen(): boolean {
    return this.open !== null;
  }

  /** One is not decided, and was not forwarded. */
  get isLeftOut(): boolean {
    return this.open?.isLeftOut === true;
  }

  /** Something is held. */
  get holds(): boolean {
    return this.open?.holds === true;
  }

  // What follows the offer that is open.

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

  // What the endpoint makes of it. Returns whether it had one that is open.

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

  /** Goes on behind those that are decided now. */
  decide(): void {
    // What was held behind one may have another.
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

  /** Lets go of what is held. False: nothing that comes can be understood any more. */
  giveWay(): boolean {
    const open = this.open!;
    this.mode.destination.counters.foreign.discarded_bytes += open.heldBytes;
    if (open.verdict < Verdict.ACCEPTED) {
      open.forget();
      return true;
    }
    // Of another protocol, nothing can be understood behind what was let go.
    open.clear();
    this.open = null;
    return false;
  }

  /** Null: it is not decided. */
  private outcomeOf(offer: UpgradeOffer): number | null {
    const { verdict } = offer;
    // Whatever the endpoint makes of the offer: it gets HTTP/2 on a connection that begins so.
    if (verdict === Verdict.HTTP2 && this.mode.options.http2 !== "pass") return Outcome.HTTP2;
    if (offer.isLeftOut) {
      if (verdict >= Verdict.ACCEPTED) return Outcome.LEFT_OUT;
      return verdict === Verdict.DECLINED || offer.isEnded ? Outcome.REQUESTS : null;
    }
    if (verdict === Verdict.DECLINED || offer.isDeclined) return Outcome.DECLINED;
    return offer.isAccepted && (verdict >= Verdict.ACCEPTED || offer.isEnded) ? Outcome.BARE : null;
  }
}
