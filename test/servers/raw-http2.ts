/** An HTTP/2 endpoint on real sockets. The test decides on each frame that it sends. */
import net from "node:net";
import { Flag, FrameType } from "../../src/http/http2/frames.ts";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { type Fields, frame, headers, PREFACE, SETTINGS_ACK } from "../http/http2/client-frames.ts";

const HEADER_LEN = 9;
const LENGTH_BYTES = 3;
const OK: Fields = [[":status", "200"]];

/** A request that has come to its end. */
export interface RawCall {
  readonly stream: number;
  readonly path: string;
  /** Of its body, without padding. */
  length: number;
}

/** One of the endpoint's connections. */
export interface RawHttp2Connection {
  /** Of this endpoint, counted from 0. */
  readonly number: number;
  /** Calls that are whole. */
  readonly whole: RawCall[];
  say(...frames: Buffer[]): void;
  /** Responds with status 200 and nothing else, or with the given frames. */
  respond(stream: number, head?: Buffer, rest?: readonly Buffer[]): void;
  /** Sends its FIN. */
  end(): void;
}

export interface RawHttp2Script {
  /** A connection is open; it begins with the endpoint's SETTINGS. */
  opened(connection: RawHttp2Connection): void;
  /** A call is whole. */
  called(connection: RawHttp2Connection, call: RawCall): void;
  /** Bytes of a body have come. */
  data?(connection: RawHttp2Connection, stream: number, length: number): void;
}

export class RawHttp2 implements Disposable {
  connections = 0;
  /** The calls that were responded to, in the order of their responses. */
  readonly served: RawCall[] = [];
  private readonly server: net.Server;

  private constructor(private readonly script: RawHttp2Script) {
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.opened(socket));
  }

  static async listen(script: RawHttp2Script): Promise<RawHttp2> {
    const endpoint = new RawHttp2(script);
    await new Promise<void>((resolve) => endpoint.server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  [Symbol.dispose](): void {
    this.server.close();
  }

  private opened(socket: net.Socket): void {
    const reader = new Reader(this.script, socket, this.connections++, this.served);
    socket.on("data", (bytes: Buffer) => reader.push(bytes));
    socket.on("end", () => socket.end());
    socket.on("error", () => socket.destroy());
    this.script.opened(reader);
  }
}

class Reader implements RawHttp2Connection {
  readonly whole: RawCall[] = [];
  private readonly calls = new Map<number, RawCall>();
  private readonly decoder = new HpackDecoder();
  private bytes = Buffer.alloc(0);
  private fragments: Buffer[] = [];
  private isPrefaced = false;

  constructor(
    private readonly script: RawHttp2Script,
    private readonly socket: net.Socket,
    readonly number: number,
    private readonly served: RawCall[],
  ) {}

  say(...frames: Buffer[]): void {
    if (!this.socket.writableEnded) this.socket.write(Buffer.concat(frames));
  }

  respond(stream: number, head = headers(stream, OK, { end: true }), rest: readonly Buffer[] = []): void {
    this.served.push(this.calls.get(stream)!);
    this.say(head, ...rest);
  }

  end(): void {
    this.socket.end();
  }

  push(bytes: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    if (!this.isPrefaced) {
      if (this.bytes.length < PREFACE.length) return;
      this.bytes = this.bytes.subarray(PREFACE.length);
      this.isPrefaced = true;
    }
    while (this.bytes.length >= HEADER_LEN) {
      const end = HEADER_LEN + this.bytes.readUIntBE(0, LENGTH_BYTES);
      if (this.bytes.length < end) return;
      const one = this.bytes.subarray(0, end);
      this.bytes = this.bytes.subarray(end);
      this.take(one[3]!, one[4]!, one.readUInt32BE(5), one.subarray(HEADER_LEN));
    }
  }

  private take(type: number, flags: number, stream: number, payload: Buffer): void {
    const isAcknowledgment = (flags & Flag.ACK) !== 0;
    if (type === FrameType.SETTINGS && !isAcknowledgment) this.say(SETTINGS_ACK);
    else if (type === FrameType.PING && !isAcknowledgment) this.say(frame(FrameType.PING, Flag.ACK, 0, payload));
    else if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) this.head(flags, stream, payload);
    else if (type === FrameType.DATA) {
      this.calls.get(stream)!.length += payload.length;
      this.script.data?.(this, stream, payload.length);
    } else if (type === FrameType.RST_STREAM) this.calls.delete(stream);
    const mayEnd = type === FrameType.HEADERS || type === FrameType.DATA;
    if (mayEnd && (flags & Flag.END_STREAM) !== 0) this.ending = stream;
    if (this.ending !== 0 && this.fragments.length === 0) this.called(this.ending);
  }

  /** The stream with END_STREAM; its header block may go on. */
  private ending = 0;

  private head(flags: number, stream: number, payload: Buffer): void {
    this.fragments.push(payload);
    if ((flags & Flag.END_HEADERS) === 0) return;
    const whole = Buffer.concat(this.fragments);
    this.fragments = [];
    const fields = new Map<string, string>();
    const sink = { field: (name: string, value: string) => void fields.set(name, value), unknownField() {} };
    if (!this.decoder.decode(whole, whole.length, sink)) throw new Error("a header block is unreadable");
    const path = fields.get(":path");
    // A trailer section has none.
    if (path !== undefined) this.calls.set(stream, { stream, path, length: 0 });
  }

  private called(stream: number): void {
    this.ending = 0;
    const call = this.calls.get(stream)!;
    this.whole.push(call);
    this.script.called(this, call);
  }
}
