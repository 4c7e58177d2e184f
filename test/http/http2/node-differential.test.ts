/**
 * The bytes of Node's HTTP/2 client (its own HPACK with Huffman code and a dynamic table, its own frames), as requests.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { FrameType } from "../../../src/http/http2/frames.ts";
import { frame, PREFACE, SETTINGS, SETTINGS_ACK, word } from "./client-frames.ts";
import { Recorder } from "./recorder.ts";

const node = Bun.which("node");
if (node === null) console.warn("skipped: HTTP/2 of Node's client (node is not installed)");
const REQUESTS = 90;
const WINDOW = frame(FrameType.WINDOW_UPDATE, 0, 0, word(1 << 28));
const SEEDS = [1, 3];

interface Sent {
  headers: Record<string, string>;
  body: string;
  trailer: string;
}

/** Runs the client to its last request. Returns its bytes, and the requests that it reports as sent. */
async function client(seed: number): Promise<{ bytes: Buffer[]; sent: Sent[] }> {
  const bytes: Buffer[] = [];
  const recorder = new Recorder();
  const done = Promise.withResolvers<void>();
  let passed = 0;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void socket.write(Buffer.concat([SETTINGS, SETTINGS_ACK, WINDOW])),
      data(_socket, chunk) {
        bytes.push(Buffer.from(chunk));
        const from = Math.min(chunk.length, PREFACE.length - Math.min(passed, PREFACE.length));
        passed += chunk.length;
        recorder.framer.push(chunk, from, chunk.length - from);
        if (recorder.requests.length === REQUESTS) done.resolve();
      },
    },
  });
  const args = [node!, join(import.meta.dir, "node-client.mjs"), String(listener.port), String(seed), String(REQUESTS)];
  const child = Bun.spawn(args, { stdout: "pipe" });
  await done.promise;
  listener.stop(true);
  const output = await new Response(child.stdout).text();
  return {
    bytes,
    sent: output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Sent),
  };
}

function expected({ headers, body, trailer }: Sent) {
  const { ":method": method, ":path": path, ...fields } = headers;
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return {
    line: `${method} ${path} HTTP/1.1`,
    fields: lines.sort(),
    body,
    trailer: trailer === "" ? "" : `x-trailer: ${trailer}\r\n`,
  };
}

describe.skipIf(node === null)("Node's client", () => {
  test.each(SEEDS)(
    "seed %d: each request is unchanged, for any pieces of the bytes",
    async (seed) => {
      const { bytes, sent } = await client(seed);
      const whole = Buffer.concat(bytes).subarray(PREFACE.length);
      const byByte = Array.from(whole, (_, i) => whole.subarray(i, i + 1));
      for (const pieces of [[whole], byByte]) {
        const recorder = new Recorder().feed(pieces);
        const inOrder = recorder.requests.sort((a, b) => a.stream - b.stream);
        const got = inOrder.map(({ text, body, trailer }) => {
          const [line, host, ...fields] = text.slice(0, -2).split(/(?<=\r\n)/);
          expect(host).toMatch(/^host: 127\.0\.0\.1:\d+\r\n$/);
          return { line: line!.trimEnd(), fields: fields.sort(), body, trailer };
        });
        expect(got).toEqual(sent.map(expected));
      }
    },
    20_000,
  );
});
