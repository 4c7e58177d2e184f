/**
 * HTTP/2 to a file: each call of a connection is written when it is whole, and responded to when it is in the file. The
 * client is our own (forward/http2-connection.ts), and needs no more of HTTP/2 than stands here.
 */
import {
  Flag,
  FRAME_HEADER_LEN,
  FrameType,
  Setting,
  SETTING_LEN,
  WINDOW_MAX,
  WINDOW_UPDATE_LEN,
  writeFrameHeader,
  writeWord,
} from "../http/http2/frames.ts";
import { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import { Http2RequestFramer, type Http2RequestSink } from "../http/http2/request-framer.ts";
import type { Http2Head } from "../http/http2/request-head.ts";
import type { Redactor } from "../redact/redactor.ts";
import type { FileCounters } from "./counters.ts";
import { type FiledRequest, filedRequest } from "./filed-request.ts";
import type { RequestFile, Responding } from "./request-file.ts";
import type { Slices } from "./slices.ts";

/**
 * The most calls of a connection that wait for the disk, or are not whole. (More calls wait in forward, where they cost
 * less.)
 */
export const CALLS_MAX = 32;
/** The version, as HAR, Node and mitmproxy write it. */
const VERSION = "HTTP/2.0";
const SETTINGS: readonly (readonly [name: number, value: number])[] = [
  [Setting.MAX_CONCURRENT_STREAMS, CALLS_MAX],
  [Setting.INITIAL_WINDOW_SIZE, WINDOW_MAX],
  [Setting.ENABLE_CONNECT_PROTOCOL, 1],
];

const WRITTEN = block("204");
const TOO_LARGE = block("413");
const NOT_WRITTEN = block("507");

/** The part that the connections to one file share. */
export interface Filing {
  readonly file: RequestFile;
  readonly limits: { readonly maxHeaderBytes: number; readonly maxRequestBytes: number };
  readonly redactor: Redactor;
  readonly counters: FileCounters;
  readonly slices: Slices;
}

/** The connection that has found its client to speak HTTP/2. */
export interface Http2FilingHost {
  /** When the first of the bytes that are written now was captured; -1: not known. */
  readonly capturedMs: number;
  /** Calls back with production's response to the request that is written now; null: it is not wanted. */
  readonly responding: Responding | null;
  /** Sends bytes, later: the writer must not hear of them before its write has returned. */
  say(bytes: Uint8Array): void;
  /** Bytes will still be sent. */
  owe(): void;
}

/** A call that is not whole. */
interface Call {
  readonly stream: number;
  readonly timeMs: number;
  readonly responding: Responding | null;
  readonly headLength: number;
  length: number;
  parts: Buffer[];
}

export class Http2Filing implements Http2RequestSink<Call> {
  private readonly framer: Http2RequestFramer<Call>;
  private timeMs = -1;
  /** Bytes of content that were not given back to the client's window. */
  private takenBytes = 0;

  constructor(
    private readonly filing: Filing,
    private readonly host: Http2FilingHost,
    private readonly connection: number,
  ) {
    this.framer = new Http2RequestFramer(this, filing.limits.maxHeaderBytes, false);
    host.owe();
    host.say(settings());
  }

  push(bytes: Uint8Array, offset: number, length: number): void {
    // The next write of the same bytes does not tell.
    if (this.host.capturedMs >= 0) this.timeMs = this.host.capturedMs;
    this.framer.push(bytes, offset, length);
    if (this.takenBytes === 0) return;
    this.host.owe();
    this.host.say(windowUpdate(this.takenBytes));
    this.takenBytes = 0;
  }

  head(stream: number, { text }: Http2Head): Call {
    const parts = [Buffer.from(text, "latin1")];
    const { timeMs, host } = this;
    return { stream, timeMs, responding: host.responding, headLength: text.length, length: text.length, parts };
  }

  bytes(call: Call, bytes: Uint8Array, offset: number, length: number): void {
    this.takenBytes += length;
    call.length += length;
    if (this.isTooLarge(call)) call.parts = [];
    else call.parts.push(Buffer.from(bytes.subarray(offset, offset + length)));
  }

  whole(call: Call): void {
    this.host.owe();
    if (this.isTooLarge(call)) {
      this.filing.counters.dropped_requests++;
      this.respond(call, TOO_LARGE);
      return;
    }
    const filed = (isWritten: boolean) => this.respond(call, isWritten ? WRITTEN : NOT_WRITTEN);
    this.filing.slices.add(call.length, () => {
      if (!this.filing.file.add(this.filed(call), filed, call.responding)) filed(false);
    });
  }

  // A call that does not become whole has its bytes removed with it.

  damaged(): void {}
  cancelled(): void {}
  refused(): void {}

  hasRoom(): boolean {
    return true;
  }

  skipped(length: number): void {
    this.takenBytes += length;
  }

  private filed({ timeMs, headLength, parts }: Call): FiledRequest {
    const frame = { timeMs, connection: this.connection, headLength, isChunked: false, version: VERSION };
    return filedRequest(Buffer.concat(parts), frame, this.filing.redactor);
  }

  private isTooLarge({ length }: Call): boolean {
    return length > this.filing.limits.maxRequestBytes + this.filing.limits.maxHeaderBytes;
  }

  private respond({ stream }: Call, fields: Uint8Array): void {
    const frame = new Uint8Array(FRAME_HEADER_LEN + fields.length);
    writeFrameHeader(frame, 0, fields.length, FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream);
    frame.set(fields, FRAME_HEADER_LEN);
    this.host.say(frame);
  }
}

/** A response's header section. */
function block(status: string): Uint8Array {
  const encoder = new HpackEncoder();
  encoder.begin();
  encoder.add(":status", status);
  return encoder.block.subarray(0, encoder.length);
}

/** The first frames: they limit the number of streams, and neither their windows nor the connection's. */
function settings(): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_LEN + SETTINGS.length * SETTING_LEN);
  writeFrameHeader(frame, 0, SETTINGS.length * SETTING_LEN, FrameType.SETTINGS, 0, 0);
  SETTINGS.forEach(([name, value], place) => {
    const at = FRAME_HEADER_LEN + place * SETTING_LEN;
    frame[at + 1] = name;
    writeWord(frame, at + 2, value);
  });
  return frame;
}

function windowUpdate(increment: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_LEN + WINDOW_UPDATE_LEN);
  writeFrameHeader(frame, 0, WINDOW_UPDATE_LEN, FrameType.WINDOW_UPDATE, 0, 0);
  writeWord(frame, FRAME_HEADER_LEN, increment);
  return frame;
}
