/**
 * A server on Node's http. All servers in this folder are started as `SERVER PORT LOG` and write "ready". Before they
 * respond, they append to the file LOG one JSON object a line for each request that they have read to its end: method,
 * target, X-Id, the length and SHA-256 of the body, and the port of the client's end.
 *
 * With TLS if the environment names files: TLS_CERT, TLS_KEY, TLS_CLIENT_CA (then it asks for a client certificate);
 * TLS_MAX_VERSION is the highest version.
 *
 *     node node.mjs PORT LOG
 */
import { createHash } from "node:crypto";
import { openSync, readFileSync, writeSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const [port, log] = process.argv.slice(2);
const file = openSync(log, "a");

const { TLS_CERT, TLS_KEY, TLS_CLIENT_CA, TLS_MAX_VERSION = "TLSv1.3" } = process.env;
const tls = TLS_CERT && {
  cert: readFileSync(TLS_CERT),
  key: readFileSync(TLS_KEY),
  maxVersion: TLS_MAX_VERSION,
  ...(TLS_CLIENT_CA && { ca: readFileSync(TLS_CLIENT_CA), requestCert: true }),
};
const server = tls ? https.createServer(tls, serve) : http.createServer(serve);

function serve(request, response) {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (chunk) => {
    hash.update(chunk);
    length += chunk.length;
  });
  request.on("end", () => {
    const { method, url: target } = request;
    const digest = hash.digest("hex");
    const id = request.headers["x-id"] ?? "";
    writeSync(file, `${JSON.stringify({ method, target, id, length, digest, port: request.socket.remotePort })}\n`);
    response.end("served");
  });
}

server.listen(Number(port), "127.0.0.1", () => process.stdout.write("ready\n"));
