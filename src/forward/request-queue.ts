/** The requests of one connection, in order: first those in flight, then those that wait. Pure data. */
import { Cost } from "../memory/budget.ts";
import type { Request } from "./request.ts";

/** How many places of removed requests there may be before the others move up. */
export const GONE_MAX = 256;

/** A queue of requests, in flight and waiting. */
export class RequestQueue {
  private readonly requests: Request[] = [];
  /** The place of the first request. */
  private first = 0;
  /** How many requests, from the first on, are in flight. */
  inFlight = 0;
  /** The bytes that waiting requests hold. */
  waitingBytes = 0;

  get length(): number {
    return this.requests.length - this.first;
  }

  /** How many requests wait for their turn. */
  get waiting(): number {
    return this.length - this.inFlight;
  }

  /** The request at a place; 0 is the first one in flight. */
  at(place: number): Request {
    return this.requests[this.first + place]!;
  }

  push(request: Request): void {
    this.requests.push(request);
    this.waitingBytes += weightOf(request);
  }

  /** The first waiting request is in flight from now on. To be called before its bytes change. */
  sent(): void {
    this.waitingBytes -= weightOf(this.at(this.inFlight));
    this.inFlight++;
  }

  /** Removes the first request; if it was in flight, {@link inFlight} falls by one. */
  shift(): Request {
    const request = this.requests[this.first]!;
    this.first++;
    if (this.inFlight > 0) this.inFlight--;
    else this.waitingBytes -= weightOf(request);
    if (this.first === this.requests.length) {
      this.requests.length = 0;
      this.first = 0;
    } else if (this.first === GONE_MAX) {
      this.requests.splice(0, this.first);
      this.first = 0;
    }
    return request;
  }

  /** Removes the last request, which waits. */
  takeLast(): Request {
    const request = this.requests.pop()!;
    this.waitingBytes -= weightOf(request);
    if (this.first === this.requests.length) {
      this.requests.length = 0;
      this.first = 0;
    }
    return request;
  }

  /** Removes all waiting requests, in order, in as many steps as there are. */
  takeWaiting(): Request[] {
    this.waitingBytes = 0;
    return this.requests.splice(this.first + this.inFlight);
  }

  /** Removes the requests in flight that are not to be sent again; the others wait again, in their order. */
  requeue(isGivenUp: (request: Request, place: number) => boolean): Request[] {
    const inFlight = this.requests.splice(0, this.first + this.inFlight).slice(this.first);
    const given: Request[] = [];
    const kept: Request[] = [];
    inFlight.forEach((request, place) => (isGivenUp(request, place) ? given : kept).push(request));
    this.requests.unshift(...kept);
    for (const request of kept) this.waitingBytes += weightOf(request);
    this.first = 0;
    this.inFlight = 0;
    return given;
  }
}

/** The bytes that a waiting request holds: they do not change while it waits. */
function weightOf(request: Request): number {
  return Cost.REQUEST + Cost.ARRAY + request.heldLength;
}
