/**
 * An endpoint that responds to the good requests, and behaves badly towards the others: it may be silent, or respond
 * without end. Each connection has only one kind of client, and a good request comes in one piece.
 */
import type { Socket, TCPSocketListener } from "bun";
import { FrameType, Setting } from "../../src/http/http2/frames.ts";
import { block, data, frame, headers, PING } from "../http/http2/client-frames.ts";
import { GOOD_PATTERN } from "./frames.ts";
import { Http2Responder } from "./http2-responder.ts";

const RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GOOD_PREFIX = "GET /good/";
const HEAD_END = /\r\n\r\n/g;
/** A response without end is sent in such pieces, at this interval: 200 kB/s on each connection. */
const PIECE_BYTES = 4000;
const PIECE_MS = 20;

const repeated = (text: string) => text.repeat(Math.ceil(PIECE_BYTES / text.length));

/** The endpoint's behaviour towards clients that are not good: `begin` is sent once, `piece` again and again. */
export interface Behaviour {
  readonly begin: string;
  readonly piece: string;
  /** It speaks HTTP/2 to clients that do, and ends whole calls with a response. */
  readonly respondsInHttp2?: boolean;
}

/** In HTTP/2, an endpoint sends its SETTINGS first. */
const settings = (...each: Buffer[]) => frame(FrameType.SETTINGS, 0, 0, Buffer.concat(each)).toString("latin1");
const NO_WINDOW = Buffer.from([0, Setting.INITIAL_WINDOW_SIZE, 0, 0, 0, 0]);
const RESPONSE_HEAD = headers(1, [[":status", "200"]]).toString("latin1");

export const BEHAVIOURS = {
  /** Responds to every head. */
  responding: null,
  silent: { begin: "", piece: "" },
  "endless body": { begin: "HTTP/1.1 200 OK\r\n\r\n", piece: repeated("x") },
  "endless chunks": { begin: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", piece: repeated("1\r\nx\r\n") },
  "endless 1xx": { begin: "", piece: repeated("HTTP/1.1 100 Continue\r\n\r\n") },
  "endless field": { begin: "HTTP/1.1 200 OK\r\nX-Long: ", piece: repeated("x") },
  "endless fields": { begin: "HTTP/1.1 200 OK\r\n", piece: repeated("X-Many: 1\r\n") },
  "endless trailer": {
    begin: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    piece: repeated("X-Many: 1\r\n"),
  },
  http2: { begin: settings(), piece: "", respondsInHttp2: true },
  "http2 silent": { begin: settings(), piece: "" },
  "http2 windowless": { begin: settings(NO_WINDOW), piece: "", respondsInHttp2: true },
  "http2 pings": { begin: settings(), piece: repeated(PING.toString("latin1")) },
  "http2 settings": { begin: settings(), piece: repeated(settings(NO_WINDOW)) },
  "http2 fields": {
    begin: settings() + frame(FrameType.HEADERS, 0, 1, block([[":status", "200"]])).toString("latin1"),
    piece: repeated(frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(100, 0x61)).toString("latin1")),
  },
  "http2 data": { begin: settings() + RESPONSE_HEAD, piece: repeated(data(1, "xxxx").toString("latin1")) },
} as const satisfies Record<string, Behaviour | null>;
export type BehaviourName = keyof typeof BEHAVIOURS;

const Kind = { UNKNOWN: 0, GOOD: 1, OTHER: 2 } as const;

interface Connection {
  kind: number;
  /** Null: it does not respond in HTTP/2. */
  http2: Http2Responder | null;
}

export class HostileEndpoint implements Disposable {
  readonly port: number;
  /** The number of arrivals of each good request, by its number. */
  private readonly came = new Map<number, number>();
  /** When the last good request arrived for the first time. */
  lastMs = performance.now();
  private listener: TCPSocketListener<Connection> | undefined;
  private readonly behaviour: Behaviour | null;
  private readonly victims = new Set<Socket<Connection>>();
  private readonly ticker: Timer | undefined;

  constructor(name: BehaviourName) {
    this.behaviour = BEHAVIOURS[name];
    this.port = this.listen(0);
    if (this.behaviour !== null && this.behaviour.piece !== "") this.ticker = setInterval(() => this.goOn(), PIECE_MS);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Good requests that came, each counted once. */
  get arrived(): number {
    return this.came.size;
  }

  /** Good requests that came more than once. */
  get twice(): number {
    return [...this.came.values()].filter((times) => times > 1).length;
  }

  /** Refuses connections from now on, and resets the existing ones. */
  away(): void {
    this.listener?.stop(true);
    this.listener = undefined;
  }

  back(): void {
    this.listen(this.port);
  }

  private listen(port: number): number {
    this.listener = Bun.listen<Connection>({
      hostname: "127.0.0.1",
      port,
      allowHalfOpen: true,
      socket: {
        open: (socket) => void (socket.data = { kind: Kind.UNKNOWN, http2: null }),
        data: (socket, bytes) => this.received(socket, bytes),
        drain: (socket) => void socket.data.http2?.drain(),
        end: (socket) => void socket.end(),
        close: (socket) => void this.victims.delete(socket),
        error() {},
      },
    });
    return this.listener.port;
  }

  private received(socket: Socket<Connection>, bytes: Buffer): void {
    const connection = socket.data;
    const text = connection.kind === Kind.OTHER && this.behaviour !== null ? "" : bytes.toString("latin1");
    if (connection.kind === Kind.UNKNOWN) connection.kind = text.startsWith(GOOD_PREFIX) ? Kind.GOOD : Kind.OTHER;
    if (connection.kind === Kind.GOOD) {
      for (const [, number] of text.matchAll(GOOD_PATTERN)) this.note(Number(number));
    } else if (this.behaviour !== null) {
      if (connection.http2 !== null) return connection.http2.push(bytes);
      if (this.victims.has(socket)) return;
      this.victims.add(socket);
      if (this.behaviour.respondsInHttp2 === true) {
        connection.http2 = new Http2Responder((said) => socket.write(said));
      }
      if (this.behaviour.begin !== "") socket.write(Buffer.from(this.behaviour.begin, "latin1"));
      connection.http2?.push(bytes);
      return;
    }
    const heads = text.match(HEAD_END)?.length ?? 0;
    if (heads > 0) socket.write(RESPONSE.repeat(heads));
  }

  private note(number: number): void {
    const before = this.came.get(number) ?? 0;
    if (before === 0) this.lastMs = performance.now();
    this.came.set(number, before + 1);
  }

  /** Bytes that the kernel does not take are left out: none of them has a meaning. */
  private goOn(): void {
    const piece = Buffer.from(this.behaviour!.piece, "latin1");
    for (const socket of this.victims) socket.write(piece);
  }

  [Symbol.dispose](): void {
    clearInterval(this.ticker);
    this.away();
  }
}
