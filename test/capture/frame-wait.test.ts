/** The thread sleeps until a frame comes or the event loop has work. A pipe stands for the capture handle. */
import { expect, test } from "bun:test";
import { ptr } from "bun:ffi";
import { closeSync, readSync, writeSync } from "node:fs";
import { loadLibc } from "../../src/capture/ffi.ts";
import { FrameWait } from "../../src/capture/frame-wait.ts";
import { turn } from "../../src/shard/drain.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** Longer than any test may take: a thread that wakes only then fails by the runner's time limit. */
const FOR_EVER_MS = 600_000;

function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  if (loadLibc().socketpair(AF_UNIX, SOCK_STREAM, 0, ptr(pair)) !== 0) throw new Error("socketpair");
  return [pair[0]!, pair[1]!];
}

test("a frame, a response on a socket, and the time limit each end the sleep", async () => {
  const [handle, frames] = socketPair();
  const wait = await FrameWait.create(handle);
  expect(wait.seesLoop).toBe(true);
  // The work that its creation left for the loop.
  for (let i = 0; i < 3; i++) await turn();

  wait.sleep(1);

  writeSync(frames, "frame");
  wait.sleep(FOR_EVER_MS);
  expect(readSync(handle, Buffer.alloc(16))).toBe(5);

  let heard = "";
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_socket, bytes) => void (heard += bytes.toString()) },
  });
  const client = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } });
  for (let i = 0; i < 3; i++) await turn();
  client.write("answer");
  while (heard === "") {
    wait.sleep(FOR_EVER_MS);
    await turn();
  }
  expect(heard).toBe("answer");
  client.terminate();
  server.stop(true);
  closeSync(handle);
  closeSync(frames);
});

test("a loop without work does not end the sleep: an idle thread does not spin", async () => {
  const [handle, frames] = socketPair();
  const wait = await FrameWait.create(handle);
  let wokenEarly = 0;
  for (let i = 0; i < 20; i++) {
    const startMs = performance.now();
    wait.sleep(5);
    if (performance.now() - startMs < 4) wokenEarly++;
    await turn();
  }
  // The first turns have some work left.
  expect(wokenEarly).toBeLessThan(10);
  closeSync(handle);
  closeSync(frames);
});
