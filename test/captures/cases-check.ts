/** Has the executable forward all cases at once, and compares what arrives with what the clients sent. */
import { type CapturedFrame, pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { type Connection, played } from "./cases.ts";
import { forward, forwardRequests } from "./forward.ts";
import { impaired, type Impairment } from "./savefile.ts";
import { type Packet, PORT, VNI } from "./wire.ts";

const FIRST_MS = 1_760_000_000_000;
/** More than there can be out of order here. */
const FLAGS = ["--max-pending-packets", "1000"];

/** Checks one seed's cases in one mode; an error names the seed and what is wrong. */
export async function checkCases(seed: number, mode: "tcp" | "http", impairment: Impairment | null): Promise<void> {
  const random = new Random(seed);
  const all = played(random, { isOrderly: impairment === null, isWhole: !impairment?.drop });
  const left = new Map<Connection, Set<Packet>>();
  const streams = all.map(({ connections }) => arriving(connections, impairment ?? {}, random, left));
  const savefile = pcap(interleaved(streams, random));
  const mirror = { savefile, vni: VNI, port: PORT };
  const wrong: string[] = [];
  const connections = all.flatMap(({ name, connections }) => connections.map((connection) => ({ name, connection })));

  if (mode === "tcp") {
    const { streams, counters } = await forward(mirror, impairment?.drop ? FLAGS : []);
    const unexpected = new Map<string, number>();
    const count = (stream: Uint8Array, by: number) => unexpected.set(text(stream), (unexpected.get(text(stream)) ?? 0) + by);
    for (const stream of streams) count(stream, 1);
    let missing = 0;
    for (const { name, connection } of connections) {
      const known = knownOf(connection, left.get(connection)!);
      missing += known.missing;
      if (known.bytes.length === 0) continue;
      if ((unexpected.get(text(known.bytes)) ?? 0) === 0) wrong.push(`lacks "${name}" (${known.bytes.length} bytes)`);
      count(known.bytes, -1);
    }
    for (const [stream, times] of unexpected) if (times > 0) wrong.push(`brings ${stream.length} bytes that nobody sent: ${JSON.stringify(stream.slice(0, 60))}`);
    if (counters.reassembly.gap_bytes !== missing) wrong.push(`holes of ${counters.reassembly.gap_bytes} bytes, not ${missing}`);
  } else {
    const requests = await forwardRequests(mirror, impairment?.drop ? FLAGS : []);
    const places = new Map(requests.map((request, i) => [request, i]));
    if (places.size !== requests.length) wrong.push("brings requests twice");
    for (const { name, connection } of connections) {
      const isWhole = connection.packets.every((packet) => left.get(connection)!.has(packet));
      let last = -1;
      for (const { path, bytes } of connection.requests) {
        const place = places.get(text(bytes));
        places.delete(text(bytes));
        if (place === undefined ? isWhole : place < last) wrong.push(`${place === undefined ? "lacks" : "turns round"} ${path} of "${name}"`);
        last = place ?? last;
      }
    }
    for (const request of places.keys()) wrong.push(`brings a request that nobody sent: ${JSON.stringify(request.slice(0, 60))}`);
  }
  if (wrong.length > 0) throw new Error(`seed ${seed}, mode ${mode}, ${JSON.stringify(impairment)}:\n${wrong.join("\n")}`);
}

/** The frames of connections with the same addresses, impaired; `left` gets the packets of which all frames are left. */
function arriving(connections: Connection[], impairment: Impairment, random: Random, left: Map<Connection, Set<Packet>>): Uint8Array[] {
  const { drop = 0 } = impairment;
  const frames = connections.flatMap((connection) => {
    const lost = new Set(connection.packets.flatMap((packet) => packet.frames).filter(() => random.chance(drop)));
    left.set(connection, new Set(connection.packets.filter((packet) => !packet.frames.some((frame) => lost.has(frame)))));
    return connection.packets.flatMap((packet) => packet.frames).filter((frame) => !lost.has(frame));
  });
  return impaired(frames.map((frame) => ({ frame, timestampMs: 0 })), { ...impairment, drop: 0 }, random).map(({ frame }) => frame);
}

/** What a receiver that sees only these packets knows of a connection. */
function knownOf({ stream, packets }: Connection, left: Set<Packet>): { bytes: Uint8Array; missing: number } {
  const arrived = packets.filter((packet) => left.has(packet));
  const known = new Uint8Array(stream.length);
  for (const { bytes } of arrived) if (bytes !== null) known.fill(1, Math.max(bytes.from, 0), Math.max(bytes.to, 0));
  const first = arrived.some(({ isSyn }) => isSyn) ? 0 : Math.max(known.indexOf(1), 0);
  const hasEnd = arrived.some(({ isFin }) => isFin);
  const end = hasEnd && known.includes(1, first) || hasEnd && first === 0 && arrived.some(({ isSyn }) => isSyn) ? stream.length : known.lastIndexOf(1) + 1;
  const bytes = stream.filter((_, i) => known[i] === 1);
  return { bytes, missing: Math.max(end - first, 0) - bytes.length };
}

function interleaved(streams: Uint8Array[][], random: Random): CapturedFrame[] {
  const queues = streams.map((frames) => [...frames]).filter(({ length }) => length > 0);
  const frames: CapturedFrame[] = [];
  while (queues.length > 0) {
    const index = random.int(0, queues.length - 1);
    const queue = queues[index]!;
    frames.push({ frame: queue.shift()!, timestampMs: FIRST_MS + frames.length });
    if (queue.length === 0) queues.splice(index, 1);
  }
  return frames;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
