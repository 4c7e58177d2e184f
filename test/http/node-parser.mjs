// The reading of Node's own HTTP parser. Takes lines of base64, each with the bytes of one connection; writes a line of
// JSON for each: the complete requests, and the parser's error, if any.
import { createHash } from "node:crypto";
import http from "node:http";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";

let requests = [];
let error = null;

function record(request, isConnect) {
  const entry = {
    method: request.method,
    url: request.url,
    version: request.httpVersion,
    bodyLength: 0,
    sha256: "",
    complete: isConnect,
  };
  requests.push(entry);
  const hash = createHash("sha256");
  if (isConnect) {
    entry.sha256 = hash.digest("hex");
    return;
  }
  request.on("data", (bytes) => {
    entry.bodyLength += bytes.length;
    hash.update(bytes);
  });
  request.on("error", () => {});
  request.on("end", () => {
    entry.sha256 = hash.digest("hex");
    entry.complete = request.complete;
  });
}

const server = http.createServer({ requireHostHeader: false, maxHeaderSize: 65536 });
for (const event of ["request", "checkContinue", "checkExpectation"]) {
  server.on(event, (request, response) => {
    record(request, false);
    response.end();
  });
}
server.on("connect", (request) => record(request, true));
server.on("clientError", (problem) => (error = { code: problem.code, reason: problem.reason ?? problem.message }));

const ticks = async (count) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

for await (const line of createInterface({ input: process.stdin })) {
  requests = [];
  error = null;
  const socket = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done(), allowHalfOpen: true });
  socket.setTimeout = () => socket;
  socket.setNoDelay = () => socket;
  socket.on("error", () => {});
  server.emit("connection", socket);
  socket.push(Buffer.from(line, "base64"));
  await ticks(8);
  const complete = requests.filter((request) => request.complete);
  process.stdout.write(`${JSON.stringify({ requests: complete, error })}\n`);
  socket.destroy();
  await ticks(1);
}
process.exit(0);
