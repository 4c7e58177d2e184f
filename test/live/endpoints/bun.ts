/**
 * An HTTP and WebSocket endpoint on Bun.serve. Like all endpoints in this folder:
 *
 *     bun bun.ts PORT DELAY_MS
 *
 * Writes "ready", responds to each request DELAY_MS after it has read it, and at SIGTERM writes a line for each request
 * that it has read: method, path and, if there was a body, its SHA-256. Messages about malformed requests go to
 * standard error, if the server reports them.
 */
const [port, delayMs] = process.argv.slice(2).map(Number) as [number, number];
const served: string[] = [];
let isEnding = false;

Bun.serve<{ path: string }>({
  port,
  idleTimeout: 60,
  maxRequestBodySize: 200 << 20,
  async fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (server.upgrade(request, { data: { path } })) {
      served.push(`${request.method} ${path}`);
      return undefined;
    }
    const digest = request.body === null ? "" : await digestOf(request.body);
    // A request that is read after the list was written is in flight, and ends with the process.
    if (isEnding) return new Promise<never>(() => {});
    served.push(`${request.method} ${path}${digest}`);
    if (delayMs > 0) await Bun.sleep(delayMs);
    return new Response("served");
  },
  websocket: {
    message(socket, message) {
      served.push(
        `${typeof message === "string" ? "TEXT" : "BINARY"} ${socket.data.path} ${Bun.SHA256.hash(message, "hex")}`,
      );
      socket.send(message);
    },
    close(socket, code, reason) {
      served.push(`CLOSE ${socket.data.path} ${code} ${reason}`);
    },
  },
});

async function digestOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const hash = new Bun.SHA256();
  let length = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    length += chunk.length;
  }
  return length === 0 ? "" : ` ${hash.digest("hex")}`;
}

process.on("SIGTERM", () => {
  isEnding = true;
  process.stdout.write(`${served.join("\n")}\n`, () => process.exit(0));
});
process.stdout.write("ready\n");
