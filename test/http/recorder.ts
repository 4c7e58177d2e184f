/** Takes the framers' events, checks that they come in the promised order, and writes them down. */
import { RequestFramer } from "../../src/http/request-framer.ts";
import type { DamageReason, ForeignProtocol, RequestHead, RequestSink } from "../../src/http/request-sink.ts";
import { ResponseFramer } from "../../src/http/response-framer.ts";
import type { ResponseSink } from "../../src/http/response-sink.ts";

/** A framer's input: bytes (latin1), or the length of a hole. */
export type Piece = string | number;

export interface FramedRequest {
  text: string;
  method: string;
  isIdempotent: boolean;
  minorVersion: number;
  wantsUpgrade: boolean;
  headLength: number;
  bodyLength: number;
  isIsolated: boolean;
  isOdd: boolean;
}

export class RequestRecorder implements RequestSink {
  /** "whole", "damaged REASON" and "foreign PROTOCOL", in their order. */
  readonly events: string[] = [];
  readonly requests: FramedRequest[] = [];
  /** The given bytes of the request under way, or of a foreign connection. */
  given = "";
  /** The buffer that is being pushed: bytes of other buffers were copied. */
  pushed: Uint8Array | null = null;
  copiedBytes = 0;
  calls = 0;
  /** Called in whole(). */
  onWhole: (request: FramedRequest) => void = () => {};
  /** The number of skipped bytes. */
  skippedBytes = 0;
  skippedLines = 0;
  /** All bytes that were given with `bytes`. */
  givenBytes = 0;
  proxyHeaders: { header: string; client: string | null }[] = [];
  private current: FramedRequest | null = null;
  private lastHead: RequestHead | null = null;
  private bytesInPush = 0;
  private isForeign = false;

  beginPush(bytes: Uint8Array): void {
    this.pushed = bytes;
    this.bytesInPush = 0;
  }

  bytes(bytes: Uint8Array, offset: number, length: number): void {
    this.calls++;
    if (length <= 0 || offset < 0 || offset + length > bytes.length)
      throw new Error(`bytes(${offset}, ${length}) of ${bytes.length}`);
    this.givenBytes += length;
    if (bytes !== this.pushed) this.copiedBytes += length;
    else if (++this.bytesInPush > 1 && !this.isForeign)
      throw new Error("a request's bytes came in two calls of one push");
    this.given += Buffer.from(bytes.subarray(offset, offset + length)).toString("latin1");
  }

  head(head: RequestHead): void {
    this.calls++;
    if (this.current !== null) throw new Error("two heads of one request");
    if (this.bytesInPush > 0) throw new Error("a head came after its push's bytes");
    this.current = { text: "", ...head };
    this.lastHead = head;
  }

  whole(): void {
    this.calls++;
    const request = this.current;
    if (request === null) throw new Error("whole without a head");
    request.text = this.given;
    if (request.isIsolated && !this.lastHead!.isIsolated) throw new Error("isolated, and then not");
    request.isIsolated = this.lastHead!.isIsolated;
    request.isOdd = this.lastHead!.isOdd;
    if (request.bodyLength >= 0 && request.text.length !== request.headLength + request.bodyLength) {
      throw new Error(`${request.text.length} bytes of ${request.headLength} + ${request.bodyLength}`);
    }
    this.requests.push(request);
    this.reset("whole");
    this.onWhole(request);
  }

  damaged(reason: DamageReason): void {
    this.calls++;
    this.reset(`damaged ${reason}`);
  }

  skipped(length: number): void {
    this.calls++;
    if (length <= 0) throw new Error(`${length} bytes skipped`);
    this.skippedBytes += length;
  }

  skippedRequestLines(count: number): void {
    this.calls++;
    this.skippedLines += count;
  }

  proxyHeader(header: Uint8Array, client: string | null): void {
    this.calls++;
    if (this.events.length > 0 || this.given !== "") throw new Error("a PROXY protocol header behind something");
    this.proxyHeaders.push({ header: Buffer.from(header).toString("latin1"), client });
  }

  foreign(protocol: ForeignProtocol): void {
    this.calls++;
    this.events.push(`foreign ${protocol}`);
    this.isForeign = true;
  }

  private reset(event: string): void {
    if (this.isForeign) throw new Error(`${event} after foreign`);
    this.events.push(event);
    this.current = null;
    this.given = "";
    this.bytesInPush = 0;
  }
}

export interface FrameOptions {
  /** Joined in the middle. */
  late?: boolean;
  maxHeaderBytes?: number;
  /** end() is not called. */
  open?: boolean;
  /** Nothing is framed after a request that asks for an upgrade, as the framer's caller does it. */
  stopAtUpgrade?: boolean;
}

/** The request framer's events for these pieces. */
export function frame(pieces: readonly Piece[], options: FrameOptions = {}): RequestRecorder {
  const recorder = new RequestRecorder();
  const framer = new RequestFramer(options.maxHeaderBytes ?? 65_536, recorder, !options.late);
  let stopped = false;
  recorder.onWhole = (request) => {
    if (!options.stopAtUpgrade || !request.wantsUpgrade) return;
    stopped = true;
    framer.passRest();
  };
  let pushedBytes = 0;
  for (const piece of pieces) {
    if (stopped) break;
    if (typeof piece === "number") {
      framer.gap(piece);
    } else {
      push(piece, recorder, framer);
      pushedBytes += piece.length;
    }
  }
  if (options.open || stopped) return recorder;
  framer.end();
  const told =
    recorder.givenBytes + recorder.skippedBytes + recorder.proxyHeaders.map(({ header }) => header).join("").length;
  if (told !== pushedBytes) throw new Error(`${pushedBytes} bytes pushed, ${told} told: ${JSON.stringify(pieces)}`);
  return recorder;
}

/** Pushes the text from the middle of a larger buffer, whose other bytes must have no effect. */
export function push(text: string, recorder: RequestRecorder, framer: RequestFramer): void {
  const buffer = Buffer.alloc(text.length + 9, "\x00");
  buffer.write(text, 5, "latin1");
  const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
  recorder.beginPush(bytes);
  framer.push(bytes, 5, text.length);
  bytes.fill(0xff);
}

/** The text in one piece, in two at every byte, in three around every byte, and byte by byte. */
export function* splits(text: string): Generator<string[]> {
  yield [text];
  for (let i = 1; i < text.length; i++) yield [text.slice(0, i), text.slice(i)];
  for (let i = 1; i + 1 < text.length; i++) yield [text.slice(0, i), text.slice(i, i + 1), text.slice(i + 1)];
  yield [...text];
}

/** The events: for a stream without holes, the same in any pieces. */
export function happened({ events, requests }: RequestRecorder): string[] {
  return [...events, ...requests.map((request) => JSON.stringify(request))];
}

export class ResponseRecorder implements ResponseSink {
  readonly events: string[] = [];

  status(code: number): void {
    this.events.push(String(code));
  }

  complete(persistent: boolean): void {
    this.events.push(persistent ? "complete" : "complete, closes");
  }

  upgraded(): void {
    this.events.push("upgraded");
  }

  unsolicited(code: number): void {
    this.events.push(`unsolicited ${code}`);
  }

  malformed(): void {
    this.events.push("malformed");
  }
}

/** The response framer's events for these pieces, after requests with these methods. */
export function frameResponses(pieces: readonly string[], methods: readonly string[], ends: boolean): string[] {
  const recorder = new ResponseRecorder();
  const framer = new ResponseFramer(recorder);
  for (const method of methods) framer.expect(method);
  for (const piece of pieces) {
    const bytes = Buffer.from(`#####${piece}####`, "latin1");
    framer.push(bytes, 5, piece.length);
  }
  if (ends) framer.end();
  return recorder.events;
}
