/** An endpoint's side of an HTTP/2 connection: reads the program's bytes, and sends the test's. */
import { expect } from "bun:test";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Flag, FrameType } from "../../src/http/http2/frames.ts";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { block, data, type Fields, frame, headers, PREFACE, word } from "../http/http2/client-frames.ts";
import { Clients } from "./clients.ts";
import type { Scripted, ScriptedSocket } from "./scripted.ts";

const HEADER_LEN = 9;

export interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The parts of one request that the endpoint has. */
export interface ReadRequest {
  readonly stream: number;
  fields: string[];
  body: string;
  trailer: string[];
  isEnded: boolean;
  isReset: boolean;
}

export const setting = (name: number, value: number) => Buffer.concat([Buffer.from([0, name]), word(value)]);

export class Http2Endpoint {
  /** All frames so far. */
  readonly frames: ReadFrame[] = [];
  readonly requests = new Map<number, ReadRequest>();
  private readonly decoder = new HpackDecoder();
  private readBytes = 0;
  private fragments: Buffer[] = [];

  constructor(
    private readonly world: Clients,
    readonly socket: ScriptedSocket,
    private readonly prefix = "",
  ) {}

  /** Sends frames, and lets the program go on. */
  say(...frames: Uint8Array[]): this {
    this.socket.events.received(Uint8Array.from(Buffer.concat(frames)));
    this.world.settle();
    return this.read();
  }

  settings(...settings: Buffer[]): this {
    return this.say(frame(FrameType.SETTINGS, 0, 0, Buffer.concat(settings)));
  }

  respond(stream: number, status = 200, body = "", trailer: Fields = []): this {
    const head = headers(stream, block([[":status", String(status)]]), { end: body === "" && trailer.length === 0 });
    const content = body === "" ? [] : [data(stream, body, trailer.length === 0)];
    const rest = trailer.length === 0 ? [] : [headers(stream, trailer, { end: true })];
    return this.say(head, ...content, ...rest);
  }

  goAway(lastStream: number, code = 0): this {
    return this.say(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(lastStream), word(code)])));
  }

  windowUpdate(stream: number, increment: number): this {
    return this.say(frame(FrameType.WINDOW_UPDATE, 0, stream, word(increment)));
  }

  /** Reads the program's bytes since the last call. */
  read(): this {
    const bytes = this.socket.bytesFrom(this.readBytes);
    let at = 0;
    if (this.readBytes === 0) {
      const start = Buffer.concat([Buffer.from(this.prefix), PREFACE]);
      if (bytes.length < start.length) return this;
      expect(bytes.subarray(0, start.length).equals(start)).toBe(true);
      at = start.length;
    }
    while (at + HEADER_LEN <= bytes.length) {
      const end = at + HEADER_LEN + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const payload = Buffer.from(bytes.subarray(at + HEADER_LEN, end));
      this.take({ type: bytes[at + 3]!, flags: bytes[at + 4]!, stream: bytes.readUInt32BE(at + 5), payload });
      at = end;
    }
    this.readBytes += at;
    return this;
  }

  /** The requests' paths, in the order of their streams. */
  get paths(): string[] {
    return [...this.requests.values()].map(({ fields }) => fields.find((field) => field.startsWith(":path"))!.slice(7));
  }

  of(type: number): ReadFrame[] {
    return this.frames.filter((each) => each.type === type);
  }

  private take(each: ReadFrame): void {
    this.frames.push(each);
    const { type, flags, stream, payload } = each;
    if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) {
      this.fragments.push(payload);
      if ((flags & Flag.END_HEADERS) !== 0) this.takeFields(stream);
      if (type === FrameType.HEADERS && (flags & Flag.END_STREAM) !== 0) this.end(stream);
    } else if (type === FrameType.DATA) {
      this.requests.get(stream)!.body += payload.toString("latin1");
      if ((flags & Flag.END_STREAM) !== 0) this.end(stream);
    } else if (type === FrameType.RST_STREAM) {
      this.requests.get(stream)!.isReset = true;
    }
  }

  private end(stream: number): void {
    const request = this.requests.get(stream);
    if (request === undefined) this.endsAtOnce = stream;
    else request.isEnded = true;
  }

  /** The END_STREAM flag of a HEADERS frame that CONTINUATION follows. */
  private endsAtOnce = 0;

  private takeFields(stream: number): void {
    const whole = Buffer.concat(this.fragments);
    this.fragments = [];
    const fields: string[] = [];
    const sink = { field: (name: string, value: string) => fields.push(`${name}: ${value}`), unknownField() {} };
    expect(this.decoder.decode(whole, whole.length, sink)).toBe(true);
    const request = this.requests.get(stream);
    if (request !== undefined) {
      request.trailer = fields;
      return;
    }
    const isEnded = this.endsAtOnce === stream;
    this.requests.set(stream, { stream, fields, body: "", trailer: [], isEnded, isReset: false });
  }
}

/** Mirrored HTTP/2 clients, and endpoints that speak it. Each request has one verdict, for any outcome. */
export class Http2Clients extends Clients {
  constructor(options: ConstructorParameters<typeof Clients>[0] = {}, compares = true) {
    super(options, compares);
  }

  /** Production does not respond: its responses are not awaited. */
  override settle(): void {
    super.settle();
    this.comparison?.finish();
  }

  /** A client that has sent its preface. */
  start(...frames: Uint8Array[]): StreamConsumer {
    const client = this.open();
    this.give(client, PREFACE, ...frames);
    return client;
  }

  give(client: StreamConsumer, ...frames: Uint8Array[]): void {
    const bytes = Uint8Array.from(Buffer.concat(frames));
    this.mode.advance();
    client.data(bytes, 0, bytes.length, this.nowMs);
    this.settle();
    bytes.fill(0x21);
  }

  /** Accepts the connection that is tried first, and lets the endpoint send its SETTINGS. */
  accept(...settings: Buffer[]): Http2Endpoint {
    return this.acceptSilently().settings(...settings);
  }

  acceptSilently(prefix = "", at: Scripted = this): Http2Endpoint {
    const endpoint = new Http2Endpoint(this, at.connector.accept(), prefix);
    this.settle();
    return endpoint.read();
  }

  /** Each request that has ended has one. */
  checkVerdicts(): void {
    const { requests, responses } = this.counters;
    const comparison = this.comparison!;
    const { not_comparable: reasons, compared } = comparison.tally;
    const verdicts = { compared, ...Object.fromEntries(Object.entries(reasons).filter(([, count]) => count > 0)) };
    const counts = {
      production_response_missing: requests.answered,
      unanswered: responses.unanswered + responses.cancelled,
      request_damaged: requests.damaged,
      request_not_forwarded: Object.values(requests.dropped).reduce((sum, count) => sum + count, 0),
    };
    const wanted = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
    expect(verdicts).toEqual({ compared: 0, ...wanted });
  }

  /** The counters of requests and their outcomes that are not zero. */
  get outcome(): Record<string, number> {
    this.checkVerdicts();
    return this.outcomeAt(this);
  }

  /** The same counters of one destination. */
  outcomeAt({ counters }: Scripted): Record<string, number> {
    const { requests, responses, grpc, http2 } = counters.snapshot();
    const { damage, dropped, damaged: _, skipped_bytes: __, ...plain } = requests;
    const { cancelled: response_cancelled, ...others } = responses;
    const all = {
      ...plain,
      ...damage,
      ...dropped,
      ...others,
      response_cancelled,
      ...prefixed("grpc_", grpc.status),
      ...prefixed("h2_", http2),
    };
    return Object.fromEntries(Object.entries(all).filter(([name, count]) => count !== 0 && name !== "h2_connections"));
  }
}

function prefixed(prefix: string, counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [prefix + name, count]));
}
