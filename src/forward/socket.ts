/**
 * The only place that opens client sockets. It hides these traits of Bun.connect: it reports a failure twice, sometimes
 * before it has returned, and then with a wrong reason; it has no time limit of its own; `write` never buffers and
 * returns what the kernel took, -1 once closed; `end` can lose bytes while the peer sends, so a caller that must lose
 * none calls `shutdown` and waits for the peer's end. All of this is so over TLS as well, where `shutdown` sends
 * close_notify.
 */
import { lookup } from "node:dns";
import { closeSync, openSync } from "node:fs";
import type { Socket } from "bun";
import type { ForwardAddress } from "../address.ts";
import type { Witness } from "./exchange.ts";
import { ENDED_EARLY, type Tls } from "./tls.ts";

/** A client socket. */
export interface UpstreamSocket {
  /** Offers bytes to the kernel. Returns how many it took: 0 when full, -1 when closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Sends a FIN behind the written bytes; reading goes on. */
  shutdown(): void;
  /** Closes both ways at once; unsent bytes are lost and the peer sees a reset. */
  terminate(): void;
}

/** The events of a connection, in this order: opened or failed; then the others; closed last. */
export interface SocketEvents {
  /** When the first of the bytes that are offered now was captured, if that is known. */
  readonly capturedMs?: number;
  /** The witness of the request that is offered now, if production's response is wanted; null: it is not. */
  readonly witness?: Witness | null;
  opened(socket: UpstreamSocket): void;
  failed(error: Error): void;
  writable(): void;
  received(bytes: Uint8Array): void;
  /** The peer's FIN: it sends no more, but may still read. */
  ended(): void;
  /** The connection is closed. `error`: it was reset. */
  closed(error: Error | undefined): void;
}

/** Opens client sockets. Tests and files have other ones. */
export interface Connector {
  /**
   * Connects to an IP address. No event comes before this has returned. With TLS, the connection is open when the
   * handshake is done and the certificate verified.
   */
  connect(address: ForwardAddress, events: SocketEvents, tls: Tls | null): void;
  /**
   * Calls back with the addresses that the system has for a name now, the preferred one first; or with none, and the
   * reason.
   */
  lookup(name: string, found: (addresses: readonly string[], error?: Error) => void): void;
  /** Calls back when all events that have come by now have been delivered, for all connections. */
  afterEvents(callback: () => void): void;
}

/** Bun.connect has been called, and has not returned. */
let isConnecting = false;

const handlers = {
  /** A Buffer of the received bytes would take more time. */
  binaryType: "uint8array" as const,
  open(socket: Socket<SocketEvents>): void {
    socket.data.opened(socket as unknown as UpstreamSocket);
  },
  data(socket: Socket<SocketEvents>, bytes: Uint8Array): void {
    socket.data.received(bytes);
  },
  drain(socket: Socket<SocketEvents>): void {
    socket.data.writable();
  },
  close(socket: Socket<SocketEvents>, error?: Error): void {
    socket.data.closed(error);
  },
  end(socket: Socket<SocketEvents>): void {
    socket.data.ended();
  },
  error(_socket: unknown, error: NodeJS.ErrnoException): void {
    // The system's errors arrive at `close` as well. Bun puts here, too, what a handler has thrown:
    // that is a bug in this program, and must not be swallowed.
    if (error.code === undefined) queueMicrotask(() => reportBug(error));
  },
  connectError(socket: Socket<SocketEvents>, error: NodeJS.ErrnoException): void {
    tellFailure(socket.data, error);
  },
};

function tellFailure(events: SocketEvents, error: NodeJS.ErrnoException): void {
  if (!isConnecting) {
    events.failed(error);
    return;
  }
  const cause = error.code === "ECONNREFUSED" ? failureAtOnce() : error;
  queueMicrotask(() => events.failed(cause));
}

/** A connection with TLS: its owner hears of it when the handshake is done, or has failed. */
class SecureConnection {
  isOpen = false;
  private isOver = false;
  private socket: Socket<SecureConnection> | null = null;
  private timer: Timer | undefined;

  constructor(
    readonly events: SocketEvents,
    readonly tls: Tls,
  ) {}

  connected(socket: Socket<SecureConnection>): void {
    this.socket = socket;
    const { session, material, handshakeTimedOut } = this.tls;
    if (session !== null) socket.setSession(session);
    this.timer = setTimeout(() => this.fail(handshakeTimedOut), material.handshakeTimeoutMs);
  }

  shaken(isDone: boolean, error: Error | null): void {
    // Bun reports the failure once more when the connection ends.
    if (this.isOpen || this.isOver) return;
    const refusal = this.tls.refusal(isDone, error, this.socket!.alpnProtocol);
    if (refusal !== undefined) {
      this.fail(refusal);
      return;
    }
    clearTimeout(this.timer);
    this.isOpen = true;
    this.events.opened(this.socket as unknown as UpstreamSocket);
  }

  fail(error: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.timer);
    // The fault may be in the session, or in the certificate that came with it.
    this.tls.session = null;
    this.socket?.terminate();
    tellFailure(this.events, error);
  }
}

const secureHandlers = {
  binaryType: "uint8array" as const,
  open(socket: Socket<SecureConnection>): void {
    socket.data.connected(socket);
  },
  handshake(socket: Socket<SecureConnection>, isDone: boolean, error: Error | null): void {
    socket.data.shaken(isDone, error);
  },
  /** The endpoint has handed out a session (RFC 8446, section 4.6.1). bun-types lacks this handler. */
  session({ data }: Socket<SecureConnection>, session: Uint8Array): void {
    if (data.isOpen) data.tls.session = session;
  },
  data({ data }: Socket<SecureConnection>, bytes: Uint8Array): void {
    if (data.isOpen) data.events.received(bytes);
  },
  drain({ data }: Socket<SecureConnection>): void {
    if (data.isOpen) data.events.writable();
  },
  close({ data }: Socket<SecureConnection>, error?: Error): void {
    if (data.isOpen) data.events.closed(error);
    else data.fail(error ?? new Error(ENDED_EARLY));
  },
  end({ data }: Socket<SecureConnection>): void {
    if (data.isOpen) data.events.ended();
    else data.fail(new Error(ENDED_EARLY));
  },
  error: handlers.error,
  connectError({ data }: Socket<SecureConnection>, error: NodeJS.ErrnoException): void {
    data.fail(error);
  },
};

/** An endpoint cannot refuse before it was asked: this host had no socket, or no route. Bun does not tell which. */
function failureAtOnce(): Error {
  try {
    closeSync(openSync("/dev/null", "r"));
  } catch (error) {
    return error as Error;
  }
  return new Error("this host has no route to it, or no port left");
}

function reportBug(error: Error): never {
  throw error;
}

/** The connector of Bun's sockets. */
export const bunConnector: Connector = {
  connect({ host, port }, events, tls) {
    const options = { hostname: host, port, allowHalfOpen: true };
    isConnecting = true;
    try {
      const connecting: Promise<unknown> =
        tls === null
          ? Bun.connect({ ...options, data: events, socket: handlers })
          : Bun.connect({
              ...options,
              data: new SecureConnection(events, tls),
              socket: secureHandlers,
              tls: tls.options,
            });
      // The rejection repeats connectError.
      connecting.catch(() => {});
    } catch (error) {
      queueMicrotask(() => events.failed(error as Error));
    }
    isConnecting = false;
  },
  lookup(name, found) {
    // Bun.connect would use a cache of the runtime, which keeps addresses for 30 s.
    lookup(name, { all: true, order: "verbatim" }, (error, addresses) => {
      if (error === null) found(addresses.map(({ address }) => address));
      else found([], error);
    });
  },
  afterEvents(callback) {
    setImmediate(callback);
  },
};
