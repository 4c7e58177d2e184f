/** All branches of one conversation, one for each further destination: each call is passed on to all of them. */
import type { DamageReason, RequestHead } from "../http/request-sink.ts";
import { Branch } from "./branch.ts";
import type { RequestDrop } from "./counters.ts";
import type { FurtherDestination } from "./further-destination.ts";
import type { Request } from "./request.ts";

export class Branches {
  private readonly all: readonly Branch[];

  /** `changed`: called when the conversation is to be settled ({@link goOnAs}). */
  constructor(destinations: readonly FurtherDestination[], preface: Uint8Array | null, changed: () => void) {
    this.all = destinations.map((destination) => new Branch(destination, preface, changed));
  }

  set preface(preface: Uint8Array) {
    for (const branch of this.all) branch.preface = preface;
  }

  /** Whether a long request may be sent to some destination as it comes. */
  get mayStream(): boolean {
    return this.all.some((branch) => branch.mayStream);
  }

  /** Whether the connections of another protocol are over at all destinations. */
  get areGone(): boolean {
    return this.all.every((branch) => branch.isGone);
  }

  begin(original: Request, must: boolean, hasNext: boolean): void {
    for (const branch of this.all) branch.begin(original, must, hasNext);
  }

  bytes(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    for (const branch of this.all) branch.bytes(bytes, offset, length, timestampMs);
  }

  whole(head: RequestHead, original: Request | null, reason: RequestDrop | null): void {
    for (const branch of this.all) branch.whole(head, original, reason);
  }

  damaged(reason: DamageReason): void {
    for (const branch of this.all) branch.damaged(reason);
  }

  beginOffer(): void {
    for (const branch of this.all) branch.beginOffer();
  }

  declineOffer(goesOnInHttp2 = false): void {
    for (const branch of this.all) branch.declineOffer(goesOnInHttp2);
  }

  goBare(isOffered: boolean): void {
    for (const branch of this.all) branch.goBare(isOffered);
  }

  passOn(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    for (const branch of this.all) branch.passOn(bytes, offset, length, timestampMs);
  }

  abortBare(): void {
    for (const branch of this.all) branch.abortBare();
  }

  settle(): void {
    for (const branch of this.all) branch.settle();
  }

  finish(): void {
    for (const branch of this.all) branch.finish();
  }

  /** Whether no destination has work for the conversation. */
  get areIdle(): boolean {
    return this.all.every((branch) => branch.isIdle);
  }

  /** Another conversation of the client goes on with these branches. */
  goOnAs(changed: () => void): void {
    for (const branch of this.all) branch.changed = changed;
  }

  rest(): void {
    for (const branch of this.all) branch.rest();
  }
}
