/**
 * One connection to the admin port: takes a head, sends one response, and ends. Its cost has limits: HEAD_BYTES_MAX for
 * bytes, a time limit for the head and one for the response, also if bytes come and go steadily.
 */
import type { Socket } from "bun";
import type { AdminReject } from "./counters.ts";
import { endOfHead, parseHead, type RequestHead } from "./request-head.ts";

/** The longest request line and fields. */
export const HEAD_BYTES_MAX = 8192;
/** The longest time from the connection's beginning to the end of its head. */
export const HEAD_MS_MAX = 5000;
/** The longest time from there to the connection's end. */
export const RESPONSE_MS_MAX = 10_000;
/** The length of the head's end, which may have begun in earlier bytes. */
const END_LEN = 4;

const State = { HEAD: 0, RESPONSE: 1, ENDED: 2 } as const;

/** The server, as seen by its connections. */
export interface ClientHost {
  /** The response to a request. */
  respond(head: RequestHead): Uint8Array;
  /** The response to bytes that are no request that can be served; counts them. */
  reject(reason: AdminReject): Uint8Array;
  /** A connection is closed. */
  forget(client: Client): void;
}

/** One connection to the admin port, from its acceptance to its close. */
export class Client {
  private state: number = State.HEAD;
  private head = "";
  private response: Uint8Array | null = null;
  private sent = 0;
  private dueMs: number;

  constructor(
    private readonly host: ClientHost,
    private readonly socket: Socket<Client>,
    nowMs: number,
  ) {
    this.dueMs = nowMs + HEAD_MS_MAX;
  }

  /** Whether it has not sent a whole head yet. */
  get isAsking(): boolean {
    return this.state === State.HEAD;
  }

  received(bytes: Uint8Array, nowMs: number): void {
    // Bytes behind a request are not looked at.
    if (this.state !== State.HEAD) return;
    const from = Math.max(this.head.length - END_LEN, 0);
    this.head += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1", 0, HEAD_BYTES_MAX + 1);
    const end = endOfHead(this.head, from);
    if ((end < 0 ? this.head.length : end) > HEAD_BYTES_MAX) return this.send(this.host.reject("header_limit"), nowMs);
    if (end < 0) return;
    const head = parseHead(this.head.slice(0, end));
    this.send(head === undefined ? this.host.reject("malformed") : this.host.respond(head), nowMs);
  }

  /** The socket takes more. */
  writable(): void {
    const { response } = this;
    if (response === null) return;
    const taken = this.socket.write(response, this.sent, response.length - this.sent);
    if (taken > 0) this.sent += taken;
    if (this.sent < response.length) return;
    this.response = null;
    // The client ends the connection; to end it here at once could lose some of the response.
    this.socket.shutdown();
  }

  /** The client sends no more. */
  ended(): void {
    if (this.state === State.HEAD) this.end("closed");
    else if (this.response === null) this.end();
  }

  closed(): void {
    if (this.state === State.HEAD) this.end("closed");
    else this.end();
  }

  /** Time passes. */
  tick(nowMs: number): void {
    if (nowMs < this.dueMs) return;
    if (this.state === State.HEAD) this.send(this.host.reject("time_limit"), nowMs);
    else this.end(this.response === null ? undefined : "time_limit");
  }

  /** Closes the connection; `reason`: why its request, if there was one, got no whole response. */
  end(reason?: AdminReject): void {
    if (this.state === State.ENDED) return;
    this.state = State.ENDED;
    this.response = null;
    if (reason !== undefined) this.host.reject(reason);
    this.host.forget(this);
    this.socket.terminate();
  }

  private send(response: Uint8Array, nowMs: number): void {
    this.state = State.RESPONSE;
    this.head = "";
    this.response = response;
    this.dueMs = nowMs + RESPONSE_MS_MAX;
    this.writable();
  }
}
