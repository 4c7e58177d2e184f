/**
 * Run in a network namespace of its own: has the program capture on lo, sends the mirror's datagrams
 * there, and prints what became of it as JSON.
 *
 *     bun on-loopback.ts EXECUTABLE CHROOT-OR-EMPTY free|taken [FLAG…]
 *
 * "taken": something else has bound the mirror's UDP port.
 */
import { start } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { PORT, REQUEST, session, VNI } from "./sessions.ts";

/** Ethernet, IPv4 and UDP header of the frames: the kernel makes its own. */
const OUTER_HEADERS_LEN = 14 + 20 + 8;
const VXLAN_PORT = 4789;

export interface LoopbackOutcome {
  status: number | null;
  stderr: string;
  received: string;
  /** The kernel's refusals (ICMP port unreachable) before the program was started, and while it ran. */
  refusedBefore: number;
  refusedMeanwhile: number;
}

/** What sends the mirror, and learns whether it is refused. */
class Mirror {
  refused = 0;
  private onRefused = () => {};

  private constructor(private readonly socket: Bun.udp.ConnectedSocket<"buffer">) {}

  static async open(): Promise<Mirror> {
    const connect = { hostname: "127.0.0.1", port: VXLAN_PORT };
    const mirror: Mirror = new Mirror(
      await Bun.udpSocket({ hostname: "127.0.0.1", connect, socket: { error: () => mirror.note() } }),
    );
    return mirror;
  }

  private note(): void {
    this.refused++;
    this.onRefused();
  }

  /** Sends something, and waits for the refusal. */
  async sendRefused(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.onRefused = resolve;
    this.socket.send("nobody listens");
    await promise;
  }

  send(datagram: Uint8Array): void {
    this.socket.send(datagram);
  }

  close(): void {
    this.socket.close();
  }
}

const [executable, root, port, ...flags] = process.argv.slice(2) as [string, string, "free" | "taken", ...string[]];
const owner = port === "taken" ? await Bun.udpSocket({ hostname: "127.0.0.1", port: VXLAN_PORT }) : undefined;
const mirror = await Mirror.open();
if (port === "free") await mirror.sendRefused();
const refusedBefore = mirror.refused;

using endpoint = new RecordingEndpoint();
const running = start(
  [...flags, "--mode", "tcp", "--log-level", "debug", "lo", String(VNI), String(PORT), endpoint.address],
  {
    executable,
    through: root === "" ? [] : ["chroot", root],
  },
);
const isCapturing = await Promise.race([
  running.says("Capturing on lo").then(() => true),
  running.outcome.then(() => false),
]);
if (isCapturing) {
  for (const { frame } of session([REQUEST])) mirror.send(frame.subarray(OUTER_HEADERS_LEN));
  await endpoint.until(() => endpoint.connections[0]?.closed === true);
  running.signal("SIGTERM");
}
const { status, stderr } = await running.outcome;
mirror.close();
owner?.close();
const outcome: LoopbackOutcome = {
  status,
  stderr,
  received: endpoint.text(),
  refusedBefore,
  refusedMeanwhile: mirror.refused - refusedBefore,
};
console.log(JSON.stringify(outcome));
