// Two versions of a service in HTTP/2, and a client that asks for all pages on which they differ, and for others.
//
//     node versions.mjs serve PORT production|new
//     node versions.mjs ask PORT TIMES
import { connect, constants, createServer } from "node:http2";
import { brotliCompressSync, gzipSync } from "node:zlib";

const [what, port, word] = process.argv.slice(2);
const isNew = word === "new";
const JSON_TYPE = { "content-type": "application/json" };
const GRPC = { "content-type": "application/grpc" };
/** A gRPC message: its length, and the message. */
const message = (text) => Buffer.concat([Buffer.from([0, 0, 0, 0, text.length]), Buffer.from(text)]);

/** The response of each path: head, body, trailer section. */
const pages = {
  same: () => [{ ...JSON_TYPE, "x-version": "a" }, JSON.stringify({ items: [{ price: 1 }] })],
  coding: () => [
    { ...JSON_TYPE, "content-encoding": isNew ? "br" : "gzip" },
    (isNew ? brotliCompressSync : gzipSync)(JSON.stringify({ items: "x".repeat(3000) })),
  ],
  long: () => [{ "content-type": "text/plain" }, "long ".repeat(40_000)],
  status: () => [{ ":status": isNew ? 500 : 200 }, "status"],
  header: () => [{ "x-version": isNew ? "b" : "a" }, "header"],
  value: () => [JSON_TYPE, JSON.stringify({ items: [{ price: isNew ? 2 : 1 }] })],
  bytes: () => [{ "content-type": "image/png" }, Buffer.from([1, 2, 3, isNew ? 5 : 4])],
  trailer: () => [{}, "trailer", { "x-sum": isNew ? "2" : "1" }],
  ok: () => [GRPC, message("ok"), { "grpc-status": "0" }],
  grpc: () => [GRPC, isNew ? "" : message("reply"), { "grpc-status": isNew ? "13" : "0" }],
  failed: () => [{ ...GRPC, "grpc-status": isNew ? "5" : "3" }, ""],
};

function respond(stream, headers) {
  stream.on("error", () => {});
  const [, path] = headers[":path"].split("/");
  const [head, body, trailer] = pages[path]();
  let length = 0;
  stream.on("data", (bytes) => (length += bytes.length));
  stream.on("end", () => {
    if (headers["x-early"] !== undefined) stream.additionalHeaders({ ":status": 103, link: "</a>" });
    stream.respond(
      { date: String(Math.random()), "x-request-id": String(Math.random()), "x-length": String(length), ...head },
      { waitForTrailers: trailer !== undefined, endStream: body === "" && trailer === undefined },
    );
    if (trailer !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(trailer));
    if (body !== "" || trailer !== undefined) stream.end(body);
  });
}

function serve() {
  const server = createServer();
  server.on("stream", respond);
  server.listen(Number(port), "127.0.0.1");
}

/** Asks for each page this many times, all at once within the server's limits. */
function ask(times) {
  const session = connect(`http://127.0.0.1:${port}`);
  let left = 0;
  for (let i = 0; i < times; i++) {
    for (const path of Object.keys(pages)) {
      const isPost = i % 3 === 0;
      const early = i % 5 === 0 ? { "x-early": "1" } : {};
      const request = session.request({ ":method": isPost ? "POST" : "GET", ":path": `/${path}/${i}`, ...early });
      left++;
      request.resume();
      request.on("close", () => --left === 0 && session.close());
      request.end(isPost ? "b".repeat(i * 10) : undefined);
    }
  }
  // A request that is cancelled.
  const cancelled = session.request({ ":path": "/long/0" });
  cancelled.on("response", () => cancelled.close(constants.NGHTTP2_CANCEL));
  cancelled.on("error", () => {});
}

if (what === "serve") serve();
else ask(Number(word));
