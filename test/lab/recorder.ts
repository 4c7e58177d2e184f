/**
 * An endpoint for live tests that records what each connection brought, and misbehaves on request.
 *
 *     bun recorder.ts HOST PORT [--respond http] [--rate BYTES] [--stop-after BYTES] [--reset-after BYTES]
 *
 * Standard output: `ready`, then one RecordedConnection as a JSON line whenever a connection has ended.
 * SIGUSR2 adds a RecorderProgress line; SIGTERM adds the connections that are still open, and ends it.
 * A peer that has half-closed is answered in kind, once it has all that it is owed.
 */
import { createHash, type Hash } from "node:crypto";
import { parseArgs } from "node:util";
import type { Socket } from "bun";

/** One connection, as received: bytes are counted and digested in the order in which they were read. */
export interface RecordedConnection {
  sha256: string;
  bytes: number;
  /** Requests answered (--respond http). */
  requests: number;
  /** fin: the peer half-closed; peer_reset; reset: --reset-after; open: neither, at SIGTERM. */
  end: "fin" | "peer_reset" | "reset" | "open";
}

/** All connections so far. */
export interface RecorderProgress {
  open: number;
  ended: number;
  bytes: number;
}

interface Connection {
  hash: Hash;
  bytes: number;
  requests: number;
  end: RecordedConnection["end"];
  /** --stop-after has been reached: nothing is read, or counted, any more. */
  isStopped: boolean;
  /** The peer has half-closed. */
  isEnded: boolean;
  /** The beginning of a header section whose end has not come yet. */
  head: Buffer;
  /** Bytes of the current request's body still to come, or IN_HEAD. */
  bodyBytes: number;
  /** Bytes of answers not yet taken by the kernel. */
  owedBytes: number;
}

const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/** Many in a row, for one write. */
const ANSWERS = Buffer.from(ANSWER.repeat(4096));
const IN_HEAD = -1;
const EMPTY = Buffer.alloc(0);

function record({ hash, bytes, requests, end }: Connection): string {
  const recorded: RecordedConnection = { sha256: hash.digest("hex"), bytes, requests, end };
  return `${JSON.stringify(recorded)}\n`;
}

/** Counts the requests that end in `chunk`. Knows Content-Length alone: a chunked body is not for this endpoint. */
function countRequests(connection: Connection, chunk: Buffer): number {
  let count = 0;
  let at = 0;
  for (;;) {
    if (connection.bodyBytes !== IN_HEAD) {
      const bytes = Math.min(connection.bodyBytes, chunk.length - at);
      connection.bodyBytes -= bytes;
      at += bytes;
      if (connection.bodyBytes > 0) return count;
      connection.bodyBytes = IN_HEAD;
      count += 1;
    }
    if (at === chunk.length) return count;

    const head = connection.head.length === 0 ? chunk.subarray(at) : Buffer.concat([connection.head, chunk.subarray(at)]);
    const headBytes = head.indexOf("\r\n\r\n") + 4;
    if (headBytes < 4) {
      connection.head = Buffer.from(head);
      return count;
    }
    const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head.latin1Slice(0, headBytes));
    connection.bodyBytes = length === null ? 0 : Number(length[1]);
    at += headBytes - connection.head.length;
    connection.head = EMPTY;
  }
}

/** Writes what is owed, as far as the kernel takes it; then closes if the peer has half-closed. */
function pay(socket: Socket<Connection>): void {
  const connection = socket.data;
  while (connection.owedBytes > 0) {
    // What is owed may begin in the middle of an answer.
    const from = (ANSWER.length - (connection.owedBytes % ANSWER.length)) % ANSWER.length;
    const taken = socket.write(ANSWERS.subarray(from, from + connection.owedBytes));
    if (taken <= 0) return;
    connection.owedBytes -= taken;
  }
  if (connection.isEnded) socket.end();
}

if (import.meta.main) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      respond: { type: "string", default: "none" },
      rate: { type: "string", default: "Infinity" },
      "stop-after": { type: "string", default: "Infinity" },
      "reset-after": { type: "string", default: "Infinity" },
    },
  });
  const answers = values.respond === "http";
  const bytesPerSecond = Number(values.rate);
  const stopAfter = Number(values["stop-after"]);
  const resetAfter = Number(values["reset-after"]);
  const open = new Set<Connection>();
  const progress: RecorderProgress = { open: 0, ended: 0, bytes: 0 };

  Bun.listen<Connection>({
    hostname: positionals[0]!,
    port: Number(positionals[1]),
    allowHalfOpen: true,
    socket: {
      open(socket) {
        socket.data = { hash: createHash("sha256"), bytes: 0, requests: 0, end: "open", isStopped: false, isEnded: false, head: EMPTY, bodyBytes: IN_HEAD, owedBytes: 0 };
        open.add(socket.data);
      },
      data(socket, chunk) {
        const connection = socket.data;
        // A paused socket still delivers what it has when the peer resets it.
        if (connection.isStopped) return;
        connection.hash.update(chunk);
        connection.bytes += chunk.length;
        progress.bytes += chunk.length;
        if (connection.bytes >= resetAfter) {
          connection.end = "reset";
          socket.terminate();
          return;
        }
        if (answers) {
          const requests = countRequests(connection, chunk);
          connection.requests += requests;
          connection.owedBytes += requests * ANSWER.length;
          pay(socket);
        }
        if (connection.bytes >= stopAfter) {
          connection.isStopped = true;
          socket.pause();
        } else if (bytesPerSecond !== Infinity) {
          socket.pause();
          setTimeout(() => socket.resume(), (chunk.length / bytesPerSecond) * 1000);
        }
      },
      drain: pay,
      end(socket) {
        socket.data.isEnded = true;
        pay(socket);
      },
      close({ data }, error) {
        // Else it was reported at SIGTERM.
        if (!open.delete(data)) return;
        if (data.end !== "reset") data.end = data.isEnded && error === undefined ? "fin" : "peer_reset";
        progress.ended += 1;
        process.stdout.write(record(data));
      },
      error() {},
    },
  });

  process.on("SIGUSR2", () => {
    progress.open = open.size;
    process.stdout.write(`${JSON.stringify(progress)}\n`);
  });
  process.on("SIGTERM", () => {
    const last = [...open].map(record).join("");
    open.clear();
    process.stdout.write(last, () => process.exit(0));
  });
  process.stdout.write("ready\n");
}
