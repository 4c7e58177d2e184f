/**
 * A file as a destination: its connections are no sockets, but take requests as an endpoint does, and respond to each
 * when it is in the file. So the rules of destinations hold for files, and a slow disk counts as a slow endpoint.
 */
import type { FileCounters } from "./counters.ts";
import { filedRequest, type RequestFrame } from "./filed-request.ts";
import { filedResponse } from "./filed-response.ts";
import { Http2Filing, type Http2FilingHost } from "./http2-filing.ts";
import type { RequestFile, Responding } from "./request-file.ts";
import type { Slices } from "./slices.ts";
import { RequestFramer } from "../http/request-framer.ts";
import type { ForeignProtocol, RequestHead, RequestSink } from "../http/request-sink.ts";
import type { Connector, SocketEvents, UpstreamSocket } from "../forward/socket.ts";
import type { Redactor } from "../redact/redactor.ts";

/** The limits of requests and responses that are written. */
export interface FilingLimits {
  /** As --max-header-bytes. */
  readonly maxHeaderBytes: number;
  /** The largest request that is written. */
  readonly maxRequestBytes: number;
  /** The longest body of a response that is written. */
  readonly maxCompareBytes: number;
}

/** The part that the connections to one file share. */
interface Filing {
  readonly file: RequestFile;
  readonly limits: FilingLimits;
  readonly redactor: Redactor;
  readonly counters: FileCounters;
  readonly slices: Slices;
}

const encoder = new TextEncoder();
const response = (status: string, fields = "") => encoder.encode(`HTTP/1.1 ${status}\r\n${fields}\r\n`);
const WRITTEN = response("204 No Content");
const NO_BODY = "Content-Length: 0\r\n";
const TOO_LARGE = response("413 Content Too Large", NO_BODY);
const NO_TUNNEL = response("405 Method Not Allowed", NO_BODY);
const NOT_WRITTEN = response("507 Insufficient Storage", NO_BODY);

/** Connects to one file, in place of an endpoint. */
export class FileConnector implements Connector {
  private connections = 0;

  constructor(private readonly filing: Filing) {}

  connect(_address: unknown, events: SocketEvents): void {
    const connection = new FileConnection(this.filing, events, ++this.connections);
    queueMicrotask(() => events.opened(connection));
  }

  lookup(name: string, found: (addresses: readonly string[]) => void): void {
    found([name]);
  }

  afterEvents(callback: () => void): void {
    setImmediate(callback);
  }
}

/** The part of a head that is kept, because the framer uses its own again. */
type KeptHead = Pick<RequestHead, "method" | "headLength" | "bodyLength" | "minorVersion" | "isLast">;

class FileConnection implements UpstreamSocket, RequestSink, Http2FilingHost {
  private readonly framer: RequestFramer;
  /** Takes HTTP/2; null: the connection speaks HTTP/1. */
  private http2: Http2Filing | null = null;
  private parts: Buffer[] = [];
  private length = 0;
  /** The head of the request under way; null: it is not whole. */
  private kept: KeptHead | null = null;
  /** When the request's first bytes were captured; -1: none have come. */
  private timeMs = -1;
  /** How many requests are not responded to yet. */
  private pending = 0;
  /** No more bytes come, or are read. */
  private isEnding = false;
  private isClosed = false;

  constructor(
    private readonly filing: Filing,
    private readonly events: SocketEvents,
    private readonly number: number,
  ) {
    this.framer = new RequestFramer(filing.limits.maxHeaderBytes, this, true);
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.isClosed) return -1;
    if (this.timeMs < 0) this.timeMs = this.events.capturedMs ?? this.timeMs;
    this.framer.push(bytes, offset, length);
    return length;
  }

  shutdown(): void {
    this.isEnding = true;
    queueMicrotask(() => this.closeIfDone());
  }

  terminate(): void {
    this.isClosed = true;
    this.begin();
  }

  bytes(bytes: Uint8Array, offset: number, length: number): void {
    if (this.http2 !== null) {
      this.http2.push(bytes, offset, length);
      return;
    }
    this.length += length;
    if (this.isTooLarge) this.parts.length = 0;
    else this.parts.push(Buffer.copyBytesFrom(bytes, offset, length));
  }

  head({ method, headLength, bodyLength, minorVersion, isLast }: RequestHead): void {
    this.kept = { method, headLength, bodyLength, minorVersion, isLast };
  }

  whole(): void {
    const { method, headLength, bodyLength, minorVersion, isLast } = this.kept!;
    this.pending++;
    if (this.isTooLarge) {
      this.filing.counters.dropped_requests++;
      this.respond(TOO_LARGE, isLast);
    } else {
      const frame = {
        timeMs: this.timeMs,
        connection: this.number,
        headLength,
        isChunked: bodyLength < 0,
        version: `HTTP/1.${minorVersion}`,
      };
      const bytes = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
      const written = method === "CONNECT" ? NO_TUNNEL : WRITTEN;
      const responding = this.responding;
      this.filing.slices.add(bytes.length, () => this.file(bytes, frame, responding, written, isLast));
    }
    this.begin();
  }

  private file(
    bytes: Buffer,
    frame: RequestFrame,
    responding: Responding | null,
    written: Uint8Array,
    isLast: boolean,
  ): void {
    const { file, redactor } = this.filing;
    const filed = (isWritten: boolean) => this.respond(isWritten ? written : NOT_WRITTEN, isLast);
    if (!file.add(filedRequest(bytes, frame, redactor), filed, responding)) this.respond(NOT_WRITTEN, isLast);
  }

  /** Calls back with production's response; null: it is not wanted. */
  get responding(): Responding | null {
    const { redactor, limits, slices } = this.filing;
    const witness = this.events.witness ?? null;
    if (witness === null) return null;
    return (tell) =>
      witness.whenKnown((response) => {
        if (response === null) tell(null);
        else slices.add(response.body.length, () => tell(filedResponse(response, redactor, limits.maxCompareBytes)));
      });
  }

  /** A damaged request is not written: it comes only from a client's connection that was cut off. */
  damaged(): void {
    this.begin();
  }

  /** A file can take no other protocol than HTTP/2. */
  foreign(protocol: ForeignProtocol): void {
    this.begin();
    if (protocol === "http2") {
      this.http2 = new Http2Filing(this.filing, this, this.number);
      return;
    }
    this.isEnding = true;
    queueMicrotask(() => this.closeIfDone());
  }

  skipped(): void {}
  skippedRequestLines(): void {}
  proxyHeader(): void {}

  private get isTooLarge(): boolean {
    return this.length > this.filing.limits.maxRequestBytes + this.filing.limits.maxHeaderBytes;
  }

  // For HTTP/2 (Http2FilingHost).

  get capturedMs(): number {
    return this.events.capturedMs ?? -1;
  }

  owe(): void {
    this.pending++;
  }

  say(bytes: Uint8Array): void {
    this.respond(bytes, false);
  }

  private begin(): void {
    this.parts = [];
    this.length = 0;
    this.kept = null;
    this.timeMs = -1;
  }

  /** Responds later: the writer must not hear of it before its write has returned. */
  private respond(bytes: Uint8Array, isLast: boolean): void {
    queueMicrotask(() => {
      this.pending--;
      this.isEnding ||= isLast;
      if (!this.isClosed) this.events.received(bytes);
      this.closeIfDone();
    });
  }

  private closeIfDone(): void {
    if (!this.isEnding || this.isClosed || this.pending > 0) return;
    this.events.ended();
    if (this.isClosed) return;
    this.isClosed = true;
    this.events.closed(undefined);
  }
}
