// An HTTP/2 client: sends random requests to a port of loopback, and prints the sent requests, one JSON object a line.
import { connect } from "node:http2";

const [port, seed, count] = process.argv.slice(2).map(Number);

let state = seed;
function int(max) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * max);
}
const pick = (values) => values[int(values.length)];
const text = (length) => Array.from({ length }, () => String.fromCharCode(33 + int(94))).join("");

const NAMES = ["user-agent", "accept", "x-request-id", "cookie", "authorization", "x-a", "x-b", "accept-encoding"];
const values = Array.from({ length: 20 }, (_, i) => text(1 + int(i < 18 ? 40 : 3000)));

const session = connect(`http://127.0.0.1:${port}`, { paddingStrategy: int(3) });
session.on("error", () => process.exit(0));
session.once("remoteSettings", () => {
  for (let i = 0; i < count; i++) send(i);
  session.ping(() => {});
});

function send(number) {
  const headers = { ":method": pick(["GET", "POST", "PUT", "DELETE"]), ":path": `/${number}?${text(int(30))}` };
  for (let i = int(6); i > 0; i--) headers[pick(NAMES)] = int(2) === 0 ? pick(values) : text(1 + int(60));
  const body = headers[":method"] === "POST" || headers[":method"] === "PUT" ? text(int(5000)) : "";
  const trailer = body !== "" && int(4) === 0 ? { "x-trailer": text(10) } : undefined;
  const stream = session.request(headers, { endStream: body === "", waitForTrailers: trailer !== undefined });
  stream.on("error", () => {});
  stream.on("wantTrailers", () => stream.sendTrailers(trailer));
  if (body !== "") {
    const cut = int(body.length);
    stream.write(body.slice(0, cut));
    setImmediate(() => stream.end(body.slice(cut)));
  }
  process.stdout.write(`${JSON.stringify({ headers, body, trailer: trailer?.["x-trailer"] ?? "" })}\n`);
}
