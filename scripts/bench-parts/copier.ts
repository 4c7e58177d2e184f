/**
 * The cost of Bun itself. This program opens the same capture as vxlan-to-http, with the same native calls, in the same
 * number of threads that wait in the same way. It writes each client's payload on one of a few connections that are
 * open from the start. It does nothing else: no decoding beyond fixed offsets, no connections, no HTTP, no counters. It
 * throws away the endpoint's responses.
 *
 *     bun copier.ts INTERFACE VNI PORT ENDPOINT_ADDRESS ENDPOINT_PORT THREADS
 *
 * Prints "Capturing on" at its start, and runs until it is ended. The mirror is VXLAN over IPv4, without tags.
 */
import type { Socket } from "bun";
import { createFanout, joinFanout } from "../../src/capture/fanout.ts";
import { FrameWait } from "../../src/capture/frame-wait.ts";
import { BATCH_BYTES, LiveCapture } from "../../src/capture/live.ts";
import { fanoutProgram } from "../../src/filter/fanout-program.ts";
import { mirrorFilter } from "../../src/filter/mirror-filter.ts";

declare const self: Worker;

/** The program's default. */
const CAPTURE_BUFFER_MIB = 64;
const SLEEP_MS = 10;
const CONNECTIONS = 64;
const MIRROR = { encapsulation: "vxlan", vxlanPort: 4789 } as const;
/** Outer Ethernet, IPv4, UDP and VXLAN; then the mirrored frame's Ethernet. */
const INNER_IP_OFFSET = 14 + 20 + 8 + 8 + 14;

/** A thread's share: the group that it joins; null: it makes one. */
interface Share {
  args: string[];
  fanoutId: number | null;
}

async function copy({ args, fanoutId }: Share): Promise<void> {
  const [interfaceName = "", vni, port, hostname = "", endpointPort, threads] = args;
  const captureBufferMib = CAPTURE_BUFFER_MIB / Number(threads);
  const capture = LiveCapture.open({
    interfaceName,
    captureBufferMib,
    libpcapPath: undefined,
    batchBytes: BATCH_BYTES,
  });
  const id = fanoutId ?? createFanout(capture.fd, fanoutProgram(MIRROR));
  if (id === undefined || (fanoutId !== null && !joinFanout(capture.fd, fanoutId))) throw new Error("PACKET_FANOUT");
  const sockets: Socket[] = [];
  for (let i = 0; i < CONNECTIONS; i++)
    sockets.push(await Bun.connect({ hostname, port: Number(endpointPort), socket: { data() {} } }));
  const wait = await FrameWait.create(capture.fd);
  const { linkType } = capture;
  capture.accept(mirrorFilter({ ...MIRROR, linkType, vnis: [Number(vni)], ports: [Number(port)] }));
  capture.sinceMs = 0;
  self.postMessage(id);

  const { bytes, view } = capture;
  for (let hasFrames = true; ; hasFrames = wait.sleepUntilFrames(SLEEP_MS)) {
    if (hasFrames && capture.poll() > 0) {
      while (capture.next()) {
        const ip = capture.offset + INNER_IP_OFFSET;
        const tcp = ip + (view.getUint8(ip) & 15) * 4;
        const payload = tcp + (view.getUint8(tcp + 12) >> 4) * 4;
        const length = ip + view.getUint16(ip + 2) - payload;
        if (length > 0) sockets[view.getUint16(tcp) % CONNECTIONS]!.write(bytes, payload, length);
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function main(args: string[]): Promise<void> {
  let fanoutId: number | null = null;
  for (let i = 0; i < Number(args[5]); i++) {
    const worker = new Worker(import.meta.url);
    worker.postMessage({ args, fanoutId } satisfies Share);
    fanoutId = await new Promise<number>((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  }
  console.log("Capturing on");
}

if (Bun.isMainThread) await main(process.argv.slice(2));
else self.onmessage = ({ data }: MessageEvent<Share>) => copy(data);
