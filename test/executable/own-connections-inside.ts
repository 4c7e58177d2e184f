/**
 * Run in a network namespace of its own: production and the endpoint are one server, and its interface is captured
 * without a tunnel. Prints the number of requests that the server got, and the counters, as JSON.
 *
 *     bun own-connections-inside.ts http|tcp
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { start, TemporaryDirectory } from "./program.ts";

const REQUESTS = 200;
const [mode] = process.argv.slice(2) as [string];
using directory = new TemporaryDirectory();
const summary = join(directory.path, "summary.json");
const seen = new Map<string, number>();
const all = Promise.withResolvers<void>();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request) => {
    const { pathname } = new URL(request.url);
    seen.set(pathname, (seen.get(pathname) ?? 0) + 1);
    if (seen.size === REQUESTS && [...seen.values()].every((count) => count >= 2)) all.resolve();
    return new Response("served");
  },
});
const address = `127.0.0.1:${server.port}`;
const flags = ["--encapsulation", "none", "--threads", "2", "--mode", mode, "--summary", summary];
const running = start([...flags, "lo", "any", String(server.port), address]);
await running.says("Capturing on lo");
const port = server.port!;
// A connection for each half of the requests' hundreds: some in a row on one connection, some alone.
await Promise.all(
  Array.from({ length: REQUESTS / 4 }, async (_, i) => {
    const pieces = [0, 1, 2, 3].map(
      (n) => `GET /${4 * i + n} HTTP/1.1\r\nHost: a\r\nConnection: ${n === 3 ? "close" : "keep-alive"}\r\n\r\n`,
    );
    const closed = Promise.withResolvers<void>();
    await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => void socket.write(pieces.shift()!),
        data: (socket) => void (pieces.length > 0 && socket.write(pieces.shift()!)),
        close: () => closed.resolve(),
      },
    });
    await closed.promise;
  }),
);
await all.promise;
running.signal("SIGTERM");
const { status } = await running.outcome;
const counts = [...new Set(seen.values())];
console.log(
  JSON.stringify({ status, requests: seen.size, counts, counters: JSON.parse(readFileSync(summary, "utf8")) }),
);
process.exit(0);
