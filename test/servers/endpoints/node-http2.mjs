// The server of node.mjs on node:http2, in clear text, or with TLS in the same way.
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { createSecureServer, createServer } from "node:http2";

const [port, log] = process.argv.slice(2);

const { TLS_CERT, TLS_KEY, TLS_CLIENT_CA } = process.env;
// Some servers allow no table of header fields. Clients must then say that they do not use it.
const settings = { headerTableSize: 0 };
const client = TLS_CLIENT_CA ? { ca: readFileSync(TLS_CLIENT_CA), requestCert: true, rejectUnauthorized: true } : {};
const server = TLS_CERT
  ? createSecureServer({ settings, cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY), ...client }, serve)
  : createServer({ settings }, serve);

function serve(request, response) {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (bytes) => {
    hash.update(bytes);
    length += bytes.length;
  });
  request.on("end", () => {
    const { method, url, headers, trailers } = request;
    const served = { method, target: url, id: headers["x-id"] ?? "", length, digest: hash.digest("hex") };
    const line = { ...served, trailer: trailers["x-trailer"] ?? "", port: request.socket.remotePort };
    appendFileSync(log, `${JSON.stringify(line)}\n`);
    response.end("served");
  });
}
server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
