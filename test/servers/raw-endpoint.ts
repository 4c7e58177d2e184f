/**
 * An endpoint that a test controls: it frames the requests of each connection, keeps them byte for byte, and responds
 * as told.
 */
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import type { Certificate } from "../support/authority.ts";

export interface RawConnection {
  readonly socket: net.Socket;
  /** The bytes before the first request line: a PROXY protocol header. */
  preamble: string;
  readonly requests: string[];
  /** The bytes that are no whole request. */
  rest: string;
  /** The executable has ended its side. */
  ended: boolean;
}

/** Called for each whole request. */
export type Respond = (connection: RawConnection, request: string, number: number) => void;

/** A response that every client understands. */
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserved";
const REQUEST_LINE = /[A-Z]+ \S+ HTTP\/1\.[01]\r\n/;

export interface RawOptions {
  respond?: Respond;
  /** Does not end a connection when the executable ends its side: `respond` does. */
  staysOpen?: boolean;
  /** The address to listen on; 127.0.0.1 and a free port if not given. */
  host?: string;
  port?: number;
  /** It speaks TLS with this certificate. */
  certificate?: Certificate;
}

export class RawEndpoint implements Disposable {
  readonly connections: RawConnection[] = [];
  private served = 0;
  private readonly server: net.Server;
  private waiting: { isSo: () => boolean; resolve: () => void }[] = [];
  private readonly respond: Respond;
  /** Bytes of connections whose framing is over: an upgrade was accepted. */
  private readonly passing = new Set<RawConnection>();

  private constructor({ respond = ({ socket }) => void socket.write(OK), staysOpen = false, certificate }: RawOptions) {
    this.respond = respond;
    const opened = (socket: net.Socket) => this.opened(socket, staysOpen);
    const options = { allowHalfOpen: true };
    this.server =
      certificate === undefined
        ? net.createServer(options, opened)
        : tls.createServer(
            { ...options, cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) },
            opened,
          );
  }

  static async listen(options: RawOptions = {}): Promise<RawEndpoint> {
    const endpoint = new RawEndpoint(options);
    const { host = "127.0.0.1", port = 0 } = options;
    await new Promise<void>((resolve, reject) => endpoint.server.on("error", reject).listen(port, host, resolve));
    return endpoint;
  }

  private opened(socket: net.Socket, staysOpen: boolean): void {
    const connection: RawConnection = { socket, preamble: "", requests: [], rest: "", ended: false };
    this.connections.push(connection);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      connection.rest += bytes.toString("latin1");
      if (!this.passing.has(connection)) this.frame(connection);
      this.look();
    });
    socket.on("end", () => {
      connection.ended = true;
      if (!staysOpen) socket.end();
      this.look();
    });
    this.look();
  }

  private frame(connection: RawConnection): void {
    if (connection.requests.length === 0) {
      const begin = connection.rest.search(REQUEST_LINE);
      if (begin < 0) return;
      connection.preamble += connection.rest.slice(0, begin);
      connection.rest = connection.rest.slice(begin);
    }
    for (let end = endOf(connection.rest); end > 0; end = endOf(connection.rest)) {
      const request = connection.rest.slice(0, end);
      connection.rest = connection.rest.slice(end);
      connection.requests.push(request);
      this.respond(connection, request, this.served++);
      if (this.passing.has(connection)) return;
    }
  }

  /** From now on, the bytes of this connection are kept in `rest`, unchanged. */
  pass(connection: RawConnection): void {
    this.passing.add(connection);
  }

  private look(): void {
    this.waiting = this.waiting.filter(({ isSo, resolve }) => !isSo() || resolve());
  }

  /** Resolves when the condition holds; checks it at every event on a connection. */
  until(isSo: () => boolean): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ isSo, resolve }));
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** As forward_addr. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** All requests, connection by connection. */
  requests(): string[] {
    return this.connections.flatMap(({ requests }) => requests);
  }

  /** Their request lines without the version. */
  lines(): string[] {
    return this.requests().map((request) => request.slice(0, request.indexOf(" HTTP/1.")));
  }

  /** Ends all connections and listens no more. */
  stop(): void {
    this.server.close();
    for (const { socket } of this.connections) socket.destroy();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** The end of the request at the beginning of these bytes; 0: the request is not whole. */
function endOf(bytes: string): number {
  const headEnd = bytes.indexOf("\r\n\r\n") + 4;
  if (headEnd < 4) return 0;
  const head = bytes.slice(0, headEnd);
  if (/\r\nTransfer-Encoding: *chunked\r\n/i.test(head)) {
    const last = bytes.indexOf("0\r\n\r\n", headEnd);
    return last < 0 ? 0 : last + 5;
  }
  const length = Number(/\r\nContent-Length: *(\d+)\r\n/i.exec(head)?.[1] ?? 0);
  return bytes.length >= headEnd + length ? headEnd + length : 0;
}

/** Accepts connections, and never reads or sends anything. */
export async function stalled(): Promise<{ address: string; close(): void }> {
  const server = net.createServer({ pauseOnConnect: true }, (socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return { address: `127.0.0.1:${port}`, close: () => server.close() };
}
