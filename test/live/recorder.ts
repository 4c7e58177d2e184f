/**
 * An endpoint that records: when a connection has ended, it writes one JSON line on standard output, with the SHA-256
 * and the number of the received bytes. It never responds, and ends when the peer ends.
 *
 *     bun recorder.ts PORT
 */
import { createHash, type Hash } from "node:crypto";

interface Connection {
  hash: Hash;
  bytes: number;
}

export interface RecordedConnection {
  sha256: string;
  bytes: number;
  error: string | null;
}

if (import.meta.main) {
  Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: Number(process.argv[2]),
    allowHalfOpen: true,
    socket: {
      open(socket) {
        socket.data = { hash: createHash("sha256"), bytes: 0 };
      },
      data({ data }, bytes) {
        data.hash.update(bytes);
        data.bytes += bytes.length;
      },
      end(socket) {
        socket.end();
      },
      close({ data }, error) {
        const recorded: RecordedConnection = {
          sha256: data.hash.digest("hex"),
          bytes: data.bytes,
          error: error?.message ?? null,
        };
        process.stdout.write(`${JSON.stringify(recorded)}\n`);
      },
      error() {},
    },
  });
  process.stdout.write("ready\n");
}
