/**
 * The endpoint of bun.ts on Node's http; with a third argument "h2c" on Node's http2, without TLS.
 *
 *     node node.mjs PORT DELAY_MS [h2c]
 */
import { createHash } from "node:crypto";
import http from "node:http";
import http2 from "node:http2";

const [port, delayMs] = process.argv.slice(2, 4).map(Number);
const served = [];

function serve(request, response) {
  let hash = null;
  request.on("data", (chunk) => {
    hash ??= createHash("sha256");
    hash.update(chunk);
  });
  request.on("end", () => {
    served.push(`${request.method} ${request.url}${hash === null ? "" : ` ${hash.digest("hex")}`}`);
    if (delayMs > 0) setTimeout(() => response.end("served"), delayMs);
    else response.end("served");
  });
}

const server = process.argv[4] === "h2c" ? http2.createServer(serve) : http.createServer(serve);
server.on("clientError", (error, socket) => {
  if (error.code?.startsWith("HPE_")) process.stderr.write(`malformed: ${error.code}\n`);
  socket.destroy();
});
server.on("sessionError", (error) => process.stderr.write(`malformed: ${error.code ?? error.message}\n`));
server.listen(port, () => process.stdout.write("ready\n"));

process.on("SIGTERM", () => process.stdout.write(`${served.join("\n")}\n`, () => process.exit(0)));
