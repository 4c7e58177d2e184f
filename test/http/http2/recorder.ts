/** Frames an HTTP/2 client's bytes, and writes down the events. */
import { Http2RequestFramer, type Http2RequestSink } from "../../../src/http/http2/request-framer.ts";
import type { Http2Head } from "../../../src/http/http2/request-head.ts";
import type { DamageReason } from "../../../src/http/request-sink.ts";

/** Bytes, or a gap of this length. */
export type Piece = Uint8Array | number;

export interface Recorded {
  stream: number;
  text: string;
  body: string;
  trailer: string;
  isOdd: boolean;
}

export class Recorder implements Http2RequestSink<Recorded> {
  readonly framer: Http2RequestFramer<Recorded>;
  /** The events, in order; a whole request has its head's first line and body. */
  readonly events: string[] = [];
  readonly requests: Recorded[] = [];
  skippedBytes = 0;
  scheme = "";

  constructor({ late = false, maxHeaderBytes = 65_536 } = {}) {
    this.framer = new Http2RequestFramer(this, maxHeaderBytes, late);
  }

  feed(pieces: readonly Piece[]): this {
    for (const piece of pieces) {
      if (typeof piece === "number") this.framer.gap(piece);
      else this.framer.push(piece, 0, piece.length);
    }
    return this;
  }

  hasRoom(): boolean {
    return true;
  }

  head(stream: number, head: Http2Head): Recorded {
    this.scheme = head.scheme;
    return { stream, text: head.text, body: "", trailer: "", isOdd: head.isOdd };
  }

  bytes(request: Recorded, bytes: Uint8Array, offset: number, length: number): void {
    request.body += Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
  }

  whole(request: Recorded, trailer: string): void {
    request.trailer = trailer;
    this.requests.push(request);
    const body = request.body.length > 40 ? `${request.body.length} bytes` : request.body;
    this.events.push(`${request.stream} ${request.text.split(" ").slice(0, 2).join(" ")} ${body}${trailer}`.trim());
  }

  damaged(request: Recorded | null, reason: DamageReason): void {
    this.events.push(`${request === null ? "" : `${request.stream} `}damaged ${reason}`);
  }

  cancelled(request: Recorded | null, stream: number): void {
    this.events.push(`${stream} cancelled${request === null ? " when whole" : ""}`);
  }

  refused(): void {
    this.events.push("refused");
  }

  skipped(length: number): void {
    this.skippedBytes += length;
  }
}
