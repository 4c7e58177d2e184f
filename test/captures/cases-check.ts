/** Lets the executable forward all cases at once, and compares the arrived requests with the sent ones. */
import { type CapturedFrame, pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { type Connection, played } from "./cases.ts";
import { forward, forwardRequests } from "./forward.ts";
import { impaired, type Impairment as Disorder } from "./savefile.ts";
import { type Packet, PORT, VNI } from "./wire.ts";

const FIRST_MS = 1_760_000_000_000;
/** More than the number of packets that can be out of order here. */
const FLAGS = ["--max-pending-packets", "1000"];

export interface Impairment extends Disorder {
  /** The probability that the mirror cuts off a packet's end. */
  cut?: number;
}

/** Checks one seed's cases in one mode; an error names the seed and the fault. */
export async function checkCases(seed: number, mode: "tcp" | "http", impairment: Impairment | null): Promise<void> {
  const random = new Random(seed);
  const { drop = 0, cut = 0 } = impairment ?? {};
  const isWhole = drop === 0 && cut === 0;
  const flags = isWhole ? [] : FLAGS;
  const isOrderly = impairment === null;
  const all = played(random, { isOrderly, isWhole, isContradictory: isOrderly || mode === "tcp", cut });
  const left = new Map<Connection, Packet[]>();
  const streams = all.map(({ connections }) => arriving(connections, impairment ?? {}, random, left));
  const savefile = pcap(interleaved(streams, random));
  const mirror = { savefile, vni: VNI, port: PORT };
  const wrong: string[] = [];
  const connections = all.flatMap(({ name, connections }) => connections.map((connection) => ({ name, connection })));

  if (mode === "tcp") {
    const { streams, counters } = await forward(mirror, flags);
    const unexpected = new Map<string, number>();
    const count = (stream: Uint8Array, by: number) =>
      unexpected.set(text(stream), (unexpected.get(text(stream)) ?? 0) + by);
    for (const stream of streams) count(stream, 1);
    const want = { gaps: 0, gap_bytes: 0 };
    for (const { name, connection } of connections) {
      const known = knownOf(connection, left.get(connection)!);
      want.gaps += known.holes.length;
      want.gap_bytes += known.holes.reduce((sum, length) => sum + length, 0);
      if (known.bytes.length === 0) continue;
      if ((unexpected.get(text(known.bytes)) ?? 0) === 0) wrong.push(`lacks "${name}" (${known.bytes.length} bytes)`);
      count(known.bytes, -1);
    }
    for (const [stream, times] of unexpected)
      if (times > 0)
        wrong.push(`brings ${stream.length} bytes that nobody sent: ${JSON.stringify(stream.slice(0, 60))}`);
    const { gaps, gap_bytes } = counters.reassembly;
    if (gaps !== want.gaps || gap_bytes !== want.gap_bytes)
      wrong.push(`${gaps} holes of ${gap_bytes} bytes, not ${want.gaps} of ${want.gap_bytes}`);
  } else {
    const requests = await forwardRequests(mirror, flags);
    const places = new Map(requests.map((request, i) => [request, i]));
    if (places.size !== requests.length) wrong.push("brings requests twice");
    for (const { name, connection } of connections) {
      const { wholeTo } = knownOf(connection, left.get(connection)!);
      let last = -1;
      let end = connection.stream.length - connection.requests.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const { path, bytes } of connection.requests) {
        end += bytes.length;
        const place = places.get(text(bytes));
        places.delete(text(bytes));
        if (place === undefined ? end <= wholeTo : place < last)
          wrong.push(`${place === undefined ? "lacks" : "turns round"} ${path} of "${name}"`);
        last = place ?? last;
      }
    }
    for (const request of places.keys())
      wrong.push(`brings a request that nobody sent: ${JSON.stringify(request.slice(0, 60))}`);
  }
  if (wrong.length > 0)
    throw new Error(`seed ${seed}, mode ${mode}, ${JSON.stringify(impairment)}:\n${wrong.join("\n")}`);
}

/**
 * The frames of connections with the same addresses, impaired; `left` gets the packets whose frames are all left, in
 * their order of arrival.
 */
function arriving(
  connections: Connection[],
  impairment: Impairment,
  random: Random,
  left: Map<Connection, Packet[]>,
): Uint8Array[] {
  const { drop = 0 } = impairment;
  const sent = connections.flatMap(({ packets }) => packets).flatMap(({ frames }) => frames);
  const kept = sent.filter(() => !random.chance(drop));
  const frames = impaired(
    kept.map((frame) => ({ frame, timestampMs: 0 })),
    { ...impairment, drop: 0 },
    random,
  ).map(({ frame }) => frame);
  const places = new Map(frames.map((frame, place) => [frame, place] as const).reverse());
  const placeOf = (packet: Packet) => Math.max(...packet.frames.map((frame) => places.get(frame) ?? Infinity));
  for (const connection of connections) {
    const arrived = connection.packets.filter((packet) => placeOf(packet) < Infinity);
    left.set(
      connection,
      arrived.sort((a, b) => placeOf(a) - placeOf(b)),
    );
  }
  return frames;
}

interface Known {
  bytes: Uint8Array;
  /** The lengths of the holes. */
  holes: number[];
  /** The end of the complete bytes from the stream's first byte on. */
  wholeTo: number;
}

/**
 * The bytes of a connection that a receiver knows if it sees only these packets, in this order: the first copy of a
 * byte.
 */
function knownOf({ stream }: Connection, arrived: Packet[]): Known {
  const known = new Uint8Array(stream.length);
  const content = new Uint8Array(stream.length);
  let claimedTo = 0;
  for (const { bytes } of arrived) {
    if (bytes === null) continue;
    for (const [i, byte] of bytes.payload.entries()) {
      const at = bytes.from + i;
      if (at < 0 || at >= stream.length || known[at] === 1) continue;
      known[at] = 1;
      content[at] = byte;
    }
    if (bytes.claimedTo > bytes.from) claimedTo = Math.max(claimedTo, bytes.claimedTo);
  }
  const hasSyn = arrived.some(({ isSyn }) => isSyn);
  if (!hasSyn && !known.includes(1)) return { bytes: new Uint8Array(0), holes: [], wholeTo: 0 };
  const first = hasSyn ? 0 : known.indexOf(1);
  const end = arrived.some(({ isFin }) => isFin) ? stream.length : claimedTo;
  const unknown = text(known.subarray(first, end)).matchAll(/\0+/g);
  const missingAt = known.indexOf(0);
  return {
    bytes: content.filter((_, i) => known[i] === 1),
    holes: Array.from(unknown, ([hole]) => hole.length),
    wholeTo: missingAt < 0 ? stream.length : missingAt,
  };
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
