/** An endpoint that keeps the received bytes, connection by connection, and reports events. */
import { createHash } from "node:crypto";
import type { Socket, TCPSocketListener } from "bun";
import { freePort } from "../support/free-port.ts";

export interface Recorded {
  readonly chunks: Uint8Array[];
  /** The program has half-closed it. */
  ended: boolean;
  closed: boolean;
}

export interface EndpointOptions {
  /** The address to listen on; 127.0.0.1 if not given. */
  hostname?: string;
  /** Goes on sending after the program's FIN, and never closes. */
  staysOpen?: boolean;
}

export class RecordingEndpoint implements Disposable {
  readonly connections: Recorded[] = [];
  private readonly listener: TCPSocketListener<Recorded>;
  private waiting: { isSo: () => boolean; resolve: () => void }[] = [];

  constructor(options: EndpointOptions = {}) {
    this.listener = Bun.listen<Recorded>({
      hostname: options.hostname ?? "127.0.0.1",
      port: 0,
      allowHalfOpen: true,
      socket: {
        open: (socket) => this.opened(socket),
        data: (socket, bytes) => {
          socket.data.chunks.push(Uint8Array.from(bytes));
          this.look();
        },
        end: (socket) => {
          socket.data.ended = true;
          if (options.staysOpen !== true) socket.end();
          this.look();
        },
        close: (socket) => {
          socket.data.closed = true;
          this.look();
        },
        error: () => {},
      },
    });
  }

  private opened(socket: Socket<Recorded>): void {
    socket.data = { chunks: [], ended: false, closed: false };
    this.connections.push(socket.data);
    this.look();
  }

  private look(): void {
    this.waiting = this.waiting.filter(({ isSo, resolve }) => !isSo() || resolve());
  }

  get port(): number {
    return this.listener.port;
  }

  /** As forward_addr. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Resolves when the condition holds; checks it at every event on a connection. */
  until(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ isSo, resolve }));
  }

  /** The bytes of each connection that brought any. */
  streams(): Uint8Array[] {
    return this.connections
      .map(({ chunks }) => new Uint8Array(Buffer.concat(chunks)))
      .filter(({ length }) => length > 0);
  }

  /** All bytes so far as text, one connection after the other. */
  text(): string {
    return this.streams()
      .map((stream) => new TextDecoder().decode(stream))
      .join("");
  }

  /** Ends all connections and listens no more. */
  stop(): void {
    this.listener.stop(true);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A local address where nothing listens. */
export function refusingAddress(): string {
  return `127.0.0.1:${freePort()}`;
}
