/**
 * In a network namespace of its own: sends datagrams to itself, and reports how they were captured, in small batches.
 */
import { FrameWait } from "../../src/capture/frame-wait.ts";
import { LiveCapture } from "../../src/capture/live.ts";

/** Three of the largest records, as in live.ts. */
const BATCH_BYTES = 3 * (0xffff + 1024 + 16);
const DATAGRAMS = 60;
const HEADERS_LEN = 14 + 20 + 8;
/** BPF_RET | BPF_K, and more bytes than any frame has. */
const ACCEPT_ALL = new Uint8Array(Uint32Array.of(0x06, 0x4_0000).buffer);
const SLEEP_MS = 1000;

/** All sizes, also the largest possible ones. */
const lengthOf = (number: number) => 1 + ((number * 7919) % 60_000);

const capture = LiveCapture.open({
  interfaceName: "lo",
  captureBufferMib: 16,
  libpcapPath: undefined,
  batchBytes: BATCH_BYTES,
});
capture.accept(ACCEPT_ALL);
capture.sinceMs = 0;
const wait = await FrameWait.create(capture.fd);
const receiver = await Bun.udpSocket({ hostname: "127.0.0.1" });
const sender = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port: receiver.port } });
for (let number = 0; number < DATAGRAMS; number++)
  if (!sender.send(new Uint8Array(lengthOf(number)).fill(number))) throw new Error(`${number} was not sent`);

let [frames, whole, batches] = [0, 0, 0];
while (frames < DATAGRAMS) {
  wait.sleepUntilFrames(SLEEP_MS);
  capture.poll();
  for (batches++; capture.next(); frames++) {
    const { bytes, offset, length } = capture;
    const payload = bytes.subarray(offset + HEADERS_LEN, offset + length);
    if (payload.length === lengthOf(frames) && payload.every((byte) => byte === frames)) whole++;
  }
}
console.log(JSON.stringify({ frames, whole, hasSeveralBatches: batches > 1 }));
process.exit(0);
