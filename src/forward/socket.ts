/**
 * The only place that opens client sockets. What it hides of Bun.connect: connecting reports a
 * failure twice, sometimes before it has returned, and then with a reason that is not so; it has no
 * time limit of its own; `write` never buffers and returns what the kernel
 * took, -1 once closed; `end` can lose bytes while the peer talks, so that whoever wants none lost
 * calls `shutdown` and waits for the peer's end.
 */
import { lookup } from "node:dns";
import { closeSync, openSync } from "node:fs";
import type { Socket } from "bun";
import type { ForwardAddress } from "../address.ts";

export interface UpstreamSocket {
  /** Offers bytes to the kernel. Returns how many it took: 0 when full, -1 when closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Sends FIN behind the written bytes; goes on reading. */
  shutdown(): void;
  /** Closes both ways at once; unsent bytes are lost and the peer sees a reset. */
  terminate(): void;
}

/** What happens to a connection, in this order: opened or failed; then the others; closed last. */
export interface SocketEvents {
  opened(socket: UpstreamSocket): void;
  failed(error: Error): void;
  writable(): void;
  received(bytes: Uint8Array): void;
  /** The peer's FIN: it sends no more, but may still read. */
  ended(): void;
  /** `error`: it was reset. */
  closed(error: Error | undefined): void;
}

export interface Connector {
  /** Connects to an IP address. Nothing happens on the connection before this has returned. */
  connect(address: ForwardAddress, events: SocketEvents): void;
  /** Calls back with the addresses that the system has for a name now, the preferred one first; with none, and why. */
  lookup(name: string, found: (addresses: readonly string[], error?: Error) => void): void;
  /** Calls back when the events that have come by now have all been told, of all connections. */
  afterEvents(callback: () => void): void;
}

/** Bun.connect has been called, and has not returned. */
let isConnecting = false;

const handlers = {
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
  error(_socket: Socket<SocketEvents>, error: NodeJS.ErrnoException): void {
    // The system's errors arrive at `close` as well. Bun puts here, too, what a handler has thrown:
    // that is a bug in this program, and must not be swallowed.
    if (error.code === undefined) queueMicrotask(() => reportBug(error));
  },
  connectError(socket: Socket<SocketEvents>, error: NodeJS.ErrnoException): void {
    if (!isConnecting) {
      socket.data.failed(error);
      return;
    }
    const cause = error.code === "ECONNREFUSED" ? failureAtOnce() : error;
    queueMicrotask(() => socket.data.failed(cause));
  },
};

/**
 * No endpoint refuses before it was asked: it was this host that had no socket, or nowhere to send to. Bun does not
 * tell which.
 */
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

export const bunConnector: Connector = {
  connect(address, events) {
    const options = { hostname: address.host, port: address.port, allowHalfOpen: true, data: events, socket: handlers };
    isConnecting = true;
    try {
      // The rejection says what connectError said.
      Bun.connect(options).catch(() => {});
    } catch (error) {
      queueMicrotask(() => events.failed(error as Error));
    }
    isConnecting = false;
  },
  lookup(name, found) {
    // Bun.connect would go by a cache of the runtime's, which keeps what it has for 30 s.
    lookup(name, { all: true, order: "verbatim" }, (error, addresses) => {
      if (error === null) found(addresses.map(({ address }) => address));
      else found([], error);
    });
  },
  afterEvents(callback) {
    setImmediate(callback);
  },
};
