/**
 * --mode tcp: one upstream connection per client connection, bytes as they come. A gap is skipped (it was counted); the
 * client's end half-closes once all bytes are written and the endpoint has been silent for a while. The endpoint's
 * responses are thrown away.
 */
import type { StreamConsumer, StreamEnd, StreamOpener, StreamOrigin } from "../flow/stream.ts";
import { DONE, MORE } from "../http/outcome.ts";
import { ProxyHeader } from "../http/proxy-protocol.ts";
import { Client } from "../policy/client.ts";
import type { Policy } from "../policy/policy.ts";
import type { ForwardCounters } from "./counters.ts";
import type { Destination } from "./destination.ts";
import { LINGER_MS, type Upstream } from "./upstream.ts";

/** The options of --mode tcp. */
export interface TcpOptions {
  /** How long a half-closed endpoint may be silent before the wait for its response ends. */
  readonly responseTimeoutMs: number;
  readonly finDelayMs: number;
  readonly proxyProtocol: "pass" | "strip";
  /** Null: every connection is forwarded. */
  readonly policy: Policy | null;
}

/** --mode tcp, for one shard. */
export class TcpMode implements StreamOpener {
  private readonly destinations: readonly Destination[];

  constructor(
    destination: Destination,
    private readonly options: TcpOptions,
    further: readonly Destination[] = [],
  ) {
    this.destinations = [destination, ...further];
  }

  open(origin: StreamOrigin): StreamConsumer {
    const drop = this.options.policy?.decideStream(new Client(origin.identity)) ?? null;
    if (drop !== null) {
      const all = this.destinations.map(({ counters }) => counters.streams);
      for (const streams of all) streams.dropped[drop]++;
      return new DroppedStream(all);
    }
    const streams = this.destinations.map((each) => new TcpStream(each.connect(null), this.options));
    const stream = streams.length === 1 ? streams[0]! : new SplitStream(streams);
    return this.options.proxyProtocol === "strip" && origin.hasSyn ? new StrippedStream(stream) : stream;
  }
}

/** One stream to several destinations. */
class SplitStream implements StreamConsumer {
  constructor(private readonly streams: readonly StreamConsumer[]) {}

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    for (const stream of this.streams) stream.data(bytes, offset, length, timestampMs);
  }

  gap(): void {}

  idle(): boolean {
    return true;
  }

  end(how: StreamEnd): void {
    for (const stream of this.streams) stream.end(how);
  }
}

/** A connection that is not to be forwarded. */
class DroppedStream implements StreamConsumer {
  constructor(private readonly counters: readonly ForwardCounters["streams"][]) {}

  data(_bytes: Uint8Array, _offset: number, length: number): void {
    for (const counters of this.counters) counters.dropped_bytes += length;
  }

  gap(): void {}

  idle(): boolean {
    return true;
  }

  end(): void {}
}

class TcpStream implements StreamConsumer {
  constructor(
    private readonly upstream: Upstream,
    private readonly options: TcpOptions,
  ) {}

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.upstream.write(bytes, offset, length, timestampMs);
  }

  gap(): void {}

  idle(): boolean {
    return true;
  }

  end(how: StreamEnd): void {
    // Closing at once would discard bytes that the endpoint has not read yet. So a reset half-closes too, but the
    // response is not waited for.
    const { responseTimeoutMs, finDelayMs } = this.options;
    if (how === "reset") this.upstream.finish(LINGER_MS, 0);
    else this.upstream.finish(responseTimeoutMs, finDelayMs);
  }
}

/** A stream, without the PROXY protocol header that it may begin with. */
class StrippedStream implements StreamConsumer {
  private header: ProxyHeader | null = new ProxyHeader();

  constructor(private readonly stream: StreamConsumer) {}

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    const { header } = this;
    let at = offset;
    if (header !== null) {
      at = header.feed(bytes, offset, offset + length);
      if (header.outcome === MORE) return;
      this.giveUpHeader(header, timestampMs);
    }
    if (at < offset + length) this.stream.data(bytes, at, offset + length - at, timestampMs);
  }

  gap(length: number): void {
    if (this.header !== null) this.giveUpHeader(this.header, 0);
    this.stream.gap(length);
  }

  idle(): boolean {
    return this.stream.idle();
  }

  end(how: StreamEnd): void {
    if (this.header !== null) this.giveUpHeader(this.header, 0);
    this.stream.end(how);
  }

  /** The bytes are no header, or no whole one: they are passed on. */
  private giveUpHeader(header: ProxyHeader, timestampMs: number): void {
    this.header = null;
    if (header.outcome !== DONE && header.bytes.length > 0)
      this.stream.data(header.bytes, 0, header.bytes.length, timestampMs);
  }
}
