/**
 * A small HTTP server that records each request, byte for byte. As a program of its own it reports when it listens, and
 * prints a line of JSON for each whole request:
 *
 *     bun server.ts HOST PORT
 */
import { createHash } from "node:crypto";
import type { Socket } from "bun";

/** One request. */
export interface Received {
  client: string;
  /** Its request line, without the version. */
  line: string;
  bytes: number;
  sha256: string;
}

interface Connection {
  readonly client: string;
  line: string;
  bytes: number;
  hash: ReturnType<typeof createHash>;
  /** A header section that is not complete yet. */
  head: string;
  /** The missing bytes of the current request's body. */
  bodyBytesLeft: number;
}

const HEAD_END = "\r\n\r\n";

export class Server {
  /** The requests so far. */
  readonly received: Received[] = [];
  private readonly listener;

  constructor(hostname: string, port: number, onRequest: (received: Received) => void = () => {}) {
    const took = (received: Received) => {
      this.received.push(received);
      onRequest(received);
    };
    this.listener = Bun.listen<Connection>({
      hostname,
      port,
      socket: {
        open: (socket) => {
          socket.data = {
            client: nameOf(socket),
            line: "",
            bytes: 0,
            hash: createHash("sha256"),
            head: "",
            bodyBytesLeft: 0,
          };
        },
        data: (socket, bytes) => receive(socket, bytes, took),
        error: () => {},
      },
    });
  }

  get port(): number {
    return this.listener.port;
  }

  /** Closes the open connections, and stops listening. */
  stop(): void {
    this.listener.stop(true);
  }
}

/** Records bytes, and responds to each request that becomes whole. */
function receive(socket: Socket<Connection>, bytes: Buffer, took: (received: Received) => void): void {
  const connection = socket.data;
  const note = (part: string) => {
    connection.bytes += part.length;
    connection.hash.update(part, "latin1");
  };
  let rest = bytes.toString("latin1");
  while (rest.length > 0) {
    if (connection.bodyBytesLeft === 0) {
      const head = connection.head + rest;
      const end = head.indexOf(HEAD_END) + HEAD_END.length;
      if (end < HEAD_END.length) {
        connection.head = head;
        return;
      }
      connection.head = "";
      note(head.slice(0, end));
      rest = head.slice(end);
      beginRequest(socket, head.slice(0, end));
    }
    const ofBody = Math.min(rest.length, connection.bodyBytesLeft);
    note(rest.slice(0, ofBody));
    connection.bodyBytesLeft -= ofBody;
    rest = rest.slice(ofBody);
    if (connection.bodyBytesLeft === 0) endRequest(socket, took);
  }
}

function beginRequest(socket: Socket<Connection>, head: string): void {
  socket.data.line = head.slice(0, head.indexOf(" HTTP/"));
  socket.data.bodyBytesLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (/^expect: *100-continue/im.test(head)) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
}

function endRequest(socket: Socket<Connection>, took: (received: Received) => void): void {
  const { client, line, bytes, hash } = socket.data;
  took({ client, line, bytes, sha256: hash.digest("hex") });
  socket.data.bytes = 0;
  socket.data.hash = createHash("sha256");
  socket.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
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
