/**
 * --mode tcp: one upstream connection per flow, bytes as they come. A hole is skipped (it was
 * counted); the flow's end half-closes once everything is written. What the endpoint answers is
 * thrown away.
 */
import type { StreamConsumer, StreamEnd, StreamOpener } from "../flow/stream.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Upstream } from "./upstream.ts";

/** How long a reset flow's connection waits for the endpoint to read what was written. */
const RESET_LINGER_MS = 1000;

export class TcpMode implements StreamOpener {
  constructor(
    private readonly endpoint: Endpoint,
    /** Silence of a half-closed endpoint that ends the wait for its answer. */
    private readonly responseTimeoutMs: number,
  ) {}

  open(): StreamConsumer {
    return new TcpStream(this.endpoint.connect(null), this.responseTimeoutMs);
  }
}

class TcpStream implements StreamConsumer {
  constructor(
    private readonly upstream: Upstream,
    private readonly responseTimeoutMs: number,
  ) {}

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.upstream.write(bytes, offset, length, timestampMs);
  }

  gap(): void {}

  idle(): boolean {
    return true;
  }

  end(how: StreamEnd): void {
    // Closing at once would discard what the endpoint has not read yet: a reset half-closes too,
    // only that nobody waits for an answer any more.
    this.upstream.finish(how === "reset" ? RESET_LINGER_MS : this.responseTimeoutMs);
  }
}
