/**
 * The soak's clients, for one round: they send requests to production until the time is over, and then close. Prints
 * the number of requests without an end, if there are any: then the client waited for a response that never came.
 *
 *     bun client.ts HOST PORT SECONDS CLIENTS ROUND
 */
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { bodyOf } from "./requests.ts";

const [host, ...numbers] = process.argv.slice(2) as [string, ...string[]];
const [port, seconds, clients, round] = numbers.map(Number) as [number, number, number, number];
const endsMs = performance.now() + seconds * 1000;

const PAUSE_MS = 100;
const UPLOAD_CLIENTS = 2;
const UPLOAD_PAUSE_MS = 500;
/** A slow client's pause after each byte. */
const BYTE_PAUSE_MS = 20;
/** The time that a client may wait for its last response after the end. */
const LAST_RESPONSE_MS = 10_000;

let requests = 0;
const newPath = (kind: "get" | "post" | "upload") => `/${kind}/${round}-${requests++}`;
/** A pause of half to one and a half of `ms`. */
const pause = (ms: number) => Bun.sleep(ms * (0.5 + Math.random()));

/** Sends a request, and reads its response to the end. */
function send(path: string, agent: Agent | false): Promise<void> {
  const body = bodyOf(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sent = request({ host, port, path, agent, method: body === "" ? "GET" : "POST" }, (response) => {
    response.on("end", resolve).on("error", reject).resume();
  });
  sent.on("error", reject);
  // In two pieces and without a length, the body is chunked.
  if (body !== "" && requests % 3 === 0) sent.write(body.slice(0, 100));
  sent.end(body === "" ? undefined : requests % 3 === 0 ? body.slice(100) : body);
  return promise;
}

async function keeping(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (performance.now() < endsMs) {
    await send(newPath(Math.random() < 0.7 ? "get" : "post"), agent);
    await pause(PAUSE_MS);
  }
  agent.destroy();
}

async function closing(): Promise<void> {
  while (performance.now() < endsMs) {
    await send(newPath("get"), false);
    await pause(PAUSE_MS);
  }
}

async function uploading(): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (performance.now() < endsMs) {
    await send(newPath("upload"), agent);
    await pause(UPLOAD_PAUSE_MS);
  }
  agent.destroy();
}

async function opened(): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

const head = (line: string, more = "") => `${line} HTTP/1.1\r\nHost: soak.example\r\n${more}\r\n`;
const responded = (socket: Socket) => new Promise((resolve) => socket.once("data", resolve));

/** One byte at a time. */
async function crawling(): Promise<void> {
  while (performance.now() < endsMs) {
    const socket = await opened();
    const response = responded(socket);
    for (const byte of head(`GET ${newPath("get")}`)) {
      socket.write(byte);
      await pause(BYTE_PAUSE_MS);
    }
    await response;
    socket.end();
  }
}

/** A request, and half of another; then a reset. */
async function resetting(): Promise<void> {
  while (performance.now() < endsMs) {
    const socket = await opened();
    const response = responded(socket);
    socket.write(head(`GET ${newPath("get")}`));
    await response;
    socket.write(`${head(`POST ${newPath("post")}`, "Content-Length: 1000\r\n")}the half of it`);
    await pause(PAUSE_MS);
    socket.resetAndDestroy();
    await pause(PAUSE_MS);
  }
}

const running = [
  ...[keeping, closing, crawling, resetting].flatMap((kind) => Array.from({ length: clients }, kind)),
  ...Array.from({ length: UPLOAD_CLIENTS }, uploading),
];
let ended = 0;
for (const client of running) void client.then(() => ended++);
await Promise.race([Promise.all(running), Bun.sleep(seconds * 1000 + LAST_RESPONSE_MS)]);
if (ended < running.length) console.log(`${running.length - ended} clients hang`);
process.exit(0);
