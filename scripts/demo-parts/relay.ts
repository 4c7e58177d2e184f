/**
 * Passes connections on, so that a page in a network namespace can be seen from outside: a socket of the file system
 * exists in all of them.
 *
 *     bun relay.ts SOCKET PORT     from a socket to a port of this namespace
 */
import { connect, createServer, type ListenOptions, type NetConnectOpts } from "node:net";

/** Listens, and passes each connection on. Resolves with the port, if it is one. */
export function relay(from: ListenOptions, to: NetConnectOpts): Promise<number> {
  const server = createServer((socket) => {
    const other = connect(to);
    socket.on("error", () => other.destroy()).pipe(other);
    other.on("error", () => socket.destroy()).pipe(socket);
  });
  return new Promise((resolve) => {
    server.listen(from, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}

if (import.meta.main) {
  const [path, port] = process.argv.slice(2) as [string, string];
  await relay({ path }, { host: "127.0.0.1", port: Number(port) });
  console.log("listening");
}
