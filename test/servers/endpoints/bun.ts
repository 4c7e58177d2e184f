/** The server of node.mjs on Bun.serve. */
import { openSync, writeSync } from "node:fs";

const [port, log] = process.argv.slice(2) as [string, string];
const file = openSync(log, "a");

const { TLS_CERT, TLS_KEY } = process.env;

Bun.serve({
  ...(TLS_CERT === undefined ? {} : { tls: { cert: Bun.file(TLS_CERT), key: Bun.file(TLS_KEY!) } }),
  port: Number(port),
  hostname: "127.0.0.1",
  async fetch(request, server) {
    const body = await request.bytes();
    const line = {
      method: request.method,
      target: request.url,
      id: request.headers.get("x-id") ?? "",
      length: body.length,
      digest: Bun.SHA256.hash(body, "hex"),
      // It knows no client of a CONNECT.
      port: server.requestIP(request)?.port ?? 0,
    };
    writeSync(file, `${JSON.stringify(line)}\n`);
    return new Response("served");
  },
});
process.stdout.write("ready\n");
