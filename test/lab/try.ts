/**
 * Tries the lab itself, without vxlan-to-http: does the kernel's mirror copy every frame of
 * production, byte for byte, into packets like those of AWS, and what does that cost? One line per
 * kind of lab; exit status 1 if the mirror is not what scripts/lab says it is. Needs root.
 *
 *     bun test/lab/try.ts [SECONDS_OF_LOAD]
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lab, type Program } from "../live/lab.ts";

const SECONDS = process.argv[2] ?? "3";
const VNI = 42;
const SECOND_VNI = 43;
const V4 = "192.0.2.2";
const V6 = "[2001:db8:1::2]";
const BODIES = { empty: 0, small: 1 << 10, medium: 1 << 20, large: 20 << 20 };

const KINDS: { name: string; options: string[]; host: string; vlan?: number }[] = [
  { name: "IPv4 in IPv4", options: [], host: V4 },
  { name: "IPv6 in IPv4", options: [], host: V6 },
  { name: "IPv4 in IPv6", options: ["--outer", "6"], host: V4 },
  { name: "IPv6 in IPv6", options: ["--outer", "6"], host: V6 },
  { name: "VLAN tag", options: ["--vlan", "100"], host: V4, vlan: 100 },
  { name: "second VNI", options: ["--second-vni", String(SECOND_VNI)], host: V4 },
  { name: "1 % dropped", options: ["--drop", "1"], host: V4 },
];

/** A running tcpdump, and how it is brought to have written all that it was given. */
class Capture {
  private constructor(
    private readonly program: Program,
    readonly path: string,
  ) {}

  static async start(lab: Lab, host: Host, filter: string): Promise<Capture> {
    const path = join(lab.directory, `${host}.pcap`);
    const program = lab.start(host, "tcpdump", "-i", "eth0", "-s", "0", "-B", "524288", "-Z", "root", "-w", path, filter);
    await program.until(({ stderr }) => stderr.includes("listening on"));
    return new Capture(program, path);
  }

  /** Waits until tcpdump has read all that its filter let pass: it says so at SIGUSR1. Returns what its buffer had no room for. */
  async stop(): Promise<number> {
    for (let said = 0; ; ) {
      this.program.child.kill("SIGUSR1");
      await this.program.until(({ stderr }) => statistics(stderr).length > said);
      const all = statistics(this.program.stderr);
      said = all.length;
      const { captured, received, dropped } = all.at(-1)!;
      if (captured + dropped < received) continue;
      await this.program.end("SIGINT");
      return dropped;
    }
  }

  /** Calls `frame` with each frame. */
  forEach(frame: (bytes: Buffer) => void): void {
    const file = readFileSync(this.path);
    for (let record = 24; record < file.length; ) {
      const length = file.readUInt32LE(record + 8);
      frame(file.subarray(record + 16, record + 16 + length));
      record += 16 + length;
    }
  }
}

function statistics(stderr: string): { captured: number; received: number; dropped: number }[] {
  const pattern = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel/g;
  return [...stderr.matchAll(pattern)].map(([, captured, received, dropped]) => ({ captured: Number(captured), received: Number(received), dropped: Number(dropped) }));
}

/** Frames by content: how often each was seen. */
class Frames {
  readonly counts = new Map<bigint, number>();
  total = 0;

  add(bytes: Buffer): void {
    const key = Bun.hash.xxHash64(bytes) as bigint;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
    this.total += 1;
  }

  /** How many of these `others` lack. */
  lackedBy(others: Frames): number {
    let lacking = 0;
    for (const [key, count] of this.counts) lacking += Math.max(count - (others.counts.get(key) ?? 0), 0);
    return lacking;
  }
}

/** Unwraps a mirror packet and checks that it looks like one of AWS's. Returns its VNI and the inner frame, without its tag. */
function unwrap(packet: Buffer, vlan: number | undefined): { vni: number; inner: Buffer } {
  const isV6 = packet.readUInt16BE(12) === 0x86dd;
  const udp = 14 + (isV6 ? 40 : 20);
  const vxlan = udp + 8;
  const sourcePort = packet.readUInt16BE(udp);
  const right =
    packet[isV6 ? 21 : 22] === 255 && packet.readUInt16BE(udp + 6) === 0 && sourcePort >= 65408 && sourcePort <= 65525 && packet.readUInt32BE(vxlan) === 0x08000000 && packet[vxlan + 7] === 0;
  if (!right) throw new Error(`Not like AWS's: ${packet.subarray(0, vxlan + 8).toString("hex")}`);
  const inner = packet.subarray(vxlan + 8);
  if (vlan === undefined) return { vni: packet.readUIntBE(vxlan + 4, 3), inner };
  if (inner.readUInt32BE(12) !== (0x81000000 | vlan) >>> 0) throw new Error(`No tag: ${inner.subarray(0, 18).toString("hex")}`);
  return { vni: packet.readUIntBE(vxlan + 4, 3), inner: Buffer.concat([inner.subarray(0, 12), inner.subarray(16)]) };
}

/** Requests per second that wrk gets. */
async function wrk(lab: Lab, host: string): Promise<number> {
  return Number(/Requests\/sec:\s*([\d.]+)/.exec(await lab.run("client", "wrk", "-t1", "-c64", `-d${SECONDS}`, `http://${host}/`))![1]);
}

/** Bodies of all sizes, on one connection and then each on its own. */
async function curl(lab: Lab, host: string): Promise<void> {
  for (const [name, bytes] of Object.entries(BODIES)) await Bun.write(join(lab.directory, name), Buffer.alloc(bytes, crypto.randomUUID()));
  const posts = Object.keys(BODIES).map((name) => ["-sSfg", "-o", "/dev/null", "--data-binary", `@${name}`, `http://${host}/body`]);
  await lab.run("client", "curl", ...posts.flatMap((post, i) => (i === 0 ? post : ["--next", ...post])));
  for (const post of posts) await lab.run("client", "curl", "-H", "Connection: close", ...post);
}

/** Packets that the machine's kernel has dropped so far because a CPU's input queue (net.core.netdev_max_backlog) was full. */
function backlogDrops(): number {
  return readFileSync("/proc/net/softnet_stat", "latin1").trim().split("\n").reduce((sum, line) => sum + parseInt(line.split(" ")[1]!, 16), 0);
}

/** nftables' counters of the mirror's packets in production. */
async function mirrorCounters(lab: Lab): Promise<{ sent: number; dropped: number }> {
  const status = await lab.status();
  const count = (name: string) => Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(status)![1]);
  return { sent: count("sent"), dropped: count("dropped") };
}

/** Tries one kind of lab. Returns whether its mirror is right. */
async function attempt({ name, options, host, vlan }: (typeof KINDS)[number]): Promise<boolean> {
  const lab = await Lab.up("v2h-try", options);
  try {
    await lab.nginx("production", "listen 80; listen [::]:80;", 1_000_000, `if ($request_uri = /) { return 200 "hello"; } proxy_pass http://127.0.0.1:81;`);
    await lab.nginx("production", "listen 127.0.0.1:81;", 1_000_000, `return 200 "read";`);
    const mirroredRate = await wrk(lab, host);

    const before = { ...(await mirrorCounters(lab)), backlog: backlogDrops() };
    const captures = [await Capture.start(lab, "production", ""), await Capture.start(lab, "replay", "udp port 4789")] as const;
    const capturedRate = await wrk(lab, host);
    await curl(lab, host);
    const unread = (await captures[0].stop()) + (await captures[1].stop());
    const after = { ...(await mirrorCounters(lab)), backlog: backlogDrops() };

    const plain = new Frames();
    const mirrored = new Map<number, Frames>([[VNI, new Frames()], [SECOND_VNI, new Frames()]]);
    captures[0].forEach((frame) => plain.add(frame));
    captures[1].forEach((packet) => {
      const { vni, inner } = unwrap(packet, vlan);
      mirrored.get(vni)!.add(inner);
    });
    const first = mirrored.get(VNI)!;
    const second = mirrored.get(SECOND_VNI)!;
    const sent = after.sent - before.sent;
    const dropped = after.dropped - before.dropped;
    const missing = plain.lackedBy(first) + (second.total > 0 ? plain.lackedBy(second) : 0);
    const invented = first.lackedBy(plain) + second.lackedBy(plain);

    await lab.run("production", "tc", "qdisc", "del", "dev", "eth0", "clsact");
    const plainRate = await wrk(lab, host);
    const rates = [plainRate, mirroredRate, capturedRate].map((rate) => Math.round(rate)).join(" / ");
    console.log(
      `${name}: ${plain.total} frames, ${first.total + second.total} mirrored of ${sent} sent, ${dropped} dropped on purpose, ${missing} missing, ${invented} that production never had; ` +
        `backlog drops ${after.backlog - before.backlog}, unread by tcpdump ${unread}; requests/s plain / mirrored / captured too: ${rates}`,
    );
    return invented === 0 && (unread > 0 || after.backlog > before.backlog || (missing === dropped && first.total + second.total === sent));
  } finally {
    await lab.down();
  }
}

let isRight = true;
for (const kind of KINDS) isRight = (await attempt(kind)) && isRight;
process.exit(isRight ? 0 : 1);
