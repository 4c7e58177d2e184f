/**
 * A small HTTP server that takes note of what each connection brings, byte for byte. As a program of
 * its own it says when it listens, and prints a line of JSON for each connection that has closed:
 *
 *     bun server.ts HOST PORT
 */
import { createHash } from "node:crypto";
import type { Socket } from "bun";

/** What one connection brought. */
export interface Received {
  client: string;
  bytes: number;
  sha256: string;
  /** Request lines, without the version. */
  requests: string[];
}

interface Connection {
  readonly client: string;
  bytes: number;
  readonly hash: ReturnType<typeof createHash>;
  readonly requests: string[];
  /** A header section that is not complete yet. */
  head: string;
  /** Of the current request's body, what is still to come. */
  bodyBytesLeft: number;
}

const HEAD_END = "\r\n\r\n";

export class Server {
  private readonly connections: Connection[] = [];
  private readonly listener;

  constructor(hostname: string, port: number, onClosed: (received: Received) => void = () => {}) {
    this.listener = Bun.listen<Connection>({
      hostname,
      port,
      socket: {
        open: (socket) => {
          socket.data = {
            client: nameOf(socket),
            bytes: 0,
            hash: createHash("sha256"),
            requests: [],
            head: "",
            bodyBytesLeft: 0,
          };
          this.connections.push(socket.data);
        },
        data: receive,
        close: ({ data }) => onClosed(receivedOn(data)),
        error: () => {},
      },
    });
  }

  get port(): number {
    return this.listener.port;
  }

  /** What each connection has brought so far. */
  get received(): Received[] {
    return this.connections.map(receivedOn);
  }

  /** Closes what is still open, and listens no more. */
  stop(): void {
    this.listener.stop(true);
  }
}

function receivedOn({ client, bytes, hash, requests }: Connection): Received {
  return { client, bytes, sha256: hash.copy().digest("hex"), requests };
}

/** Takes note of bytes, and answers each request that is whole with them. */
function receive(socket: Socket<Connection>, bytes: Buffer): void {
  const connection = socket.data;
  connection.bytes += bytes.length;
  connection.hash.update(bytes);
  let rest = bytes.toString("latin1");
  while (rest.length > 0) {
    if (connection.bodyBytesLeft === 0) {
      const head = connection.head + rest;
      const end = head.indexOf(HEAD_END);
      if (end < 0) {
        connection.head = head;
        return;
      }
      connection.head = "";
      rest = head.slice(end + HEAD_END.length);
      beginRequest(socket, head.slice(0, end));
    }
    const ofBody = Math.min(rest.length, connection.bodyBytesLeft);
    connection.bodyBytesLeft -= ofBody;
    rest = rest.slice(ofBody);
    if (connection.bodyBytesLeft === 0) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
  }
}

function beginRequest(socket: Socket<Connection>, head: string): void {
  socket.data.requests.push(head.slice(0, head.indexOf(" HTTP/")));
  socket.data.bodyBytesLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (/^expect: *100-continue/im.test(head)) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
}

function nameOf({ remoteAddress, remotePort }: Socket<Connection>): string {
  const address = remoteAddress.replace(/^::ffff:/, "");
  return address.includes(":") ? `[${address}]:${remotePort}` : `${address}:${remotePort}`;
}

if (import.meta.main) {
  const [hostname, port] = process.argv.slice(2) as [string, string];
  const server = new Server(hostname, Number(port), (received) => console.log(JSON.stringify(received)));
  console.log(`listening on port ${server.port}`);
}
