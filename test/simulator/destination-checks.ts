/** The rules for a destination of --mode tcp: it gets the streams as they come, and its counters agree. */
import type { Destination } from "../../src/forward/destination.ts";
import { equal, isSame, sum, within } from "./checks.ts";
import type { RecordedStream } from "./recorder.ts";
import type { SimulatedEndpoint, SimulatedSocket } from "./simulated-endpoint.ts";

/** The number of first bytes that distinguish a stream from all others. */
const HEAD_BYTES = 8;

/** The program's results of the frames so far. */
export interface Delivered {
  readonly flows: number;
  readonly bytes: number;
  /** The streams that policy leaves in; null: unknown, because flows are given up for lack of memory. */
  readonly streams: readonly RecordedStream[] | null;
}

export class DestinationChecks {
  private readonly matched = new Map<SimulatedSocket, { streams: RecordedStream[]; checked: number }>();

  constructor(
    private readonly name: string,
    private readonly destination: Destination,
    private readonly endpoint: SimulatedEndpoint,
    /** Connections to it are given up for lack of memory. */
    private readonly isShort: boolean,
  ) {}

  /** The rules for every moment. */
  check(delivered: Delivered): void {
    const { endpoint, destination } = this;
    const { upstream, streams, delay } = destination.counters;
    const isSettled = endpoint.sockets.every((socket) => !socket.isDead || socket.isClosed);
    if (isSettled)
      this.equal(
        "reassembly.delivered_bytes",
        delivered.bytes,
        upstream.bytes + upstream.lost_bytes + streams.dropped_bytes + destination.backlogBytes,
      );
    this.equal("upstream.bytes", upstream.bytes, sum(endpoint.sockets.map(({ received }) => received.length)));
    this.equal("upstream.would_block", upstream.would_block, sum(endpoint.sockets.map(({ blocked }) => blocked)));
    const { usedBytes, limitBytes } = destination.memory.budget;
    within(`${this.name}: the budget`, usedBytes, limitBytes);
    within(`${this.name}: delays`, delay.sum_ms, Infinity);
    if (delivered.streams !== null) this.checkPrefixes(delivered.streams);
  }

  /** The rules when everything has ended. */
  checkEnd(delivered: Delivered): void {
    const { counters, memory, openCount, backlogBytes, unsettledCount } = this.destination;
    const { upstream, streams } = counters;
    const wanted = this.wantedSockets;
    const unconnected = delivered.flows - sum(Object.values(streams.dropped)) - upstream.connects;
    this.equal("upstream.connects", upstream.connects, wanted.length);
    this.equal("connections that were not made", upstream.connect_errors, unconnected);
    this.equal("ended connections", upstream.closed + upstream.broken + upstream.given_up, wanted.length);
    this.equal("upstream.response_bytes", upstream.response_bytes, sum(wanted.map((each) => each.responseBytes)));
    const accounted = upstream.bytes + upstream.lost_bytes + streams.dropped_bytes;
    this.equal("reassembly.delivered_bytes", delivered.bytes, accounted);
    this.equal("bytes held", memory.budget.usedBytes, 0);
    this.equal("open connections, backlog, unsettled", openCount + backlogBytes + unsettledCount, 0);
    if (delivered.streams === null) return;
    if (!this.isShort) this.checkConnections(delivered.streams.length);
    this.checkArrived(delivered.streams);
  }

  /** Every stream has its own connection, with the right end. */
  private checkConnections(streams: number): void {
    const { upstream } = this.destination.counters;
    this.equal("streams", streams, upstream.connects + upstream.connect_errors);
    // An attempt without a result begins an outage, in which a refusal may be final.
    if (this.endpoint.unanswered === 0) this.equal("upstream.connect_errors", upstream.connect_errors, 0);
    for (const { index, isHealthy, isShutDown, isTerminated, harm } of this.wantedSockets) {
      if (isHealthy && !isShutDown) throw new Error(`${this.name}: connection ${index} was not half-closed`);
      if (harm === "none" && isTerminated)
        throw new Error(`${this.name}: connection ${index} was closed before its end`);
    }
  }

  /** Each connection got a different stream: all of it, except for the destination's own behaviour. */
  private checkArrived(streams: readonly RecordedStream[]): void {
    const left = new Set(streams);
    const mustBeWhole = ({ isHealthy }: SimulatedSocket) => isHealthy && !this.isShort;
    // Completely known connections choose first; then those that got more.
    const byCertainty = (a: SimulatedSocket, b: SimulatedSocket) =>
      Number(mustBeWhole(b)) - Number(mustBeWhole(a)) || b.received.length - a.received.length;
    for (const socket of this.wantedSockets.toSorted(byCertainty)) {
      const { received } = socket;
      const isIts = ({ delivered }: RecordedStream) =>
        (mustBeWhole(socket) ? delivered.length === received.length : delivered.length >= received.length) &&
        isSame(delivered.slice(0, received.length), received.slice());
      const stream = [...left].find(isIts);
      if (stream === undefined)
        throw new Error(
          `${this.name}: connection ${socket.index} (harm: ${socket.harm}) got ${received.length} bytes that are no stream's`,
        );
      left.delete(stream);
    }
  }

  /** The bytes of a socket are the beginning of some delivered stream. */
  private checkPrefixes(streams: readonly RecordedStream[]): void {
    for (const socket of this.endpoint.sockets) {
      const { received } = socket;
      if (received.length < HEAD_BYTES) continue;
      let match = this.matched.get(socket);
      if (match === undefined) {
        match = { streams: streamsWith(streams, received.slice(0, HEAD_BYTES)), checked: HEAD_BYTES };
        this.matched.set(socket, match);
      }
      if (match.checked === received.length && match.streams.length > 0) continue;
      const fresh = received.slice(match.checked);
      const { checked } = match;
      match.streams = match.streams.filter(({ delivered }) =>
        isSame(delivered.slice(checked, Math.min(delivered.length, received.length)), fresh),
      );
      match.checked = received.length;
      if (match.streams.length === 0)
        throw new Error(
          `${this.name}: connection ${socket.index} got ${received.length} bytes that are no stream's first`,
        );
    }
  }

  private get wantedSockets(): SimulatedSocket[] {
    return this.endpoint.sockets.filter(({ wasUnwanted }) => !wasUnwanted);
  }

  private equal(what: string, actual: number, expected: number): void {
    equal(`${this.name}: ${what}`, actual, expected);
  }
}

function streamsWith(streams: readonly RecordedStream[], head: Uint8Array): RecordedStream[] {
  return streams.filter(({ delivered }) => isSame(delivered.slice(0, Math.min(delivered.length, head.length)), head));
}
