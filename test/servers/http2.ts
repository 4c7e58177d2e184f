/** Production's HTTP/2 clients as a mirror capture: requests of every ordinary kind, several at a time. */
import { session } from "../executable/sessions.ts";
import {
  block,
  data,
  type Fields,
  headers,
  inserted,
  PING,
  PREFACE,
  SETTINGS,
  windowUpdate,
} from "../http/http2/client-frames.ts";
import { type CapturedFrame, pcap } from "../support/frames.ts";
import type { Random } from "../support/random.ts";
import type { Served } from "./real-servers.ts";

/** A request as a server should report it. */
export type Wanted = Omit<Served, "port">;

export interface Http2Options {
  readonly connections: number;
  /** On each connection. */
  readonly requests: number;
  /** The number of a connection's requests that are under way at once. */
  readonly concurrency?: number;
  readonly bodyLengths?: readonly number[];
  /** Some POSTs have a trailer section. */
  readonly hasTrailers?: boolean;
}

const BODY_LENGTHS = [0, 1, 10, 200, 3000, 16_384, 16_385, 70_000];
const FRAME_BYTES_MAX = 16_384;
const SEGMENT_BYTES_MAX = 1400;
const FIRST_PORT = 20_000;

/** The table's newest entries are used again, as by real clients. */
const AGENT = ["user-agent", "client/1.0"] as const;

/** The content of each frame of a request, in order. */
function framesOf(
  stream: number,
  wanted: Wanted,
  body: Uint8Array,
  isFirst: boolean,
  random: Random,
  trailer: boolean,
): Buffer[] {
  const fields: Fields = [
    [":method", wanted.method],
    [":scheme", "http"],
    [":path", wanted.target],
    [":authority", "production.example"],
    ["x-id", wanted.id],
    ...(body.length > 0 && random.chance(0.5) ? [["content-length", String(body.length)] as const] : []),
  ];
  const agent = isFirst ? inserted(...AGENT) : Buffer.from([0xbe]);
  const whole = Buffer.concat([block(fields), agent]);
  const options = {
    priority: random.chance(0.2),
    continuations: random.chance(0.1) ? 2 : 0,
    ...(random.chance(0.2) ? { padding: random.int(0, 20) } : {}),
  };
  const frames = [headers(stream, whole, { ...options, end: body.length === 0 && !trailer })];
  for (let at = 0; at < body.length;) {
    const to = Math.min(body.length, at + random.int(1, FRAME_BYTES_MAX - 300));
    const padding = random.chance(0.1) ? random.int(0, 200) : undefined;
    frames.push(data(stream, body.subarray(at, to), to === body.length && !trailer, padding));
    at = to;
  }
  if (trailer) frames.push(headers(stream, [["x-trailer", wanted.id]], { end: true }));
  return frames;
}

function made(id: string, random: Random, lengths: readonly number[]): { wanted: Wanted; body: Uint8Array } {
  const method = random.pick(["GET", "HEAD", "POST", "PUT", "DELETE"]);
  const body = method === "POST" || method === "PUT" ? random.bytes(random.pick(lengths)) : new Uint8Array(0);
  const digest = Bun.SHA256.hash(body, "hex");
  return { wanted: { method, target: `/r/${id}?a=b`, id, length: body.length, digest }, body };
}

/** All connections one after the other, and the requests that a server must serve. */
export function http2Mirror(
  random: Random,
  options: Http2Options,
): {
  frames: CapturedFrame[];
  savefile: Uint8Array;
  wanted: Wanted[];
} {
  const { connections, requests, concurrency = 4, bodyLengths = BODY_LENGTHS, hasTrailers = false } = options;
  const wanted: Wanted[] = [];
  const frames: CapturedFrame[] = [];
  for (let connection = 0; connection < connections; connection++) {
    const bytes: Buffer[] = [PREFACE, SETTINGS, windowUpdate(0)];
    const open: Buffer[][] = [];
    for (let begun = 0; begun < requests || open.length > 0;) {
      if (begun < requests && open.length < concurrency && random.chance(0.5)) {
        const { wanted: each, body } = made(`${connection}-${begun}`, random, bodyLengths);
        const trailer = hasTrailers && body.length > 0 && random.chance(0.3);
        wanted.push(each);
        open.push(framesOf(2 * begun + 1, each, body, begun === 0, random, trailer));
        bytes.push(open.at(-1)!.shift()!);
        begun++;
      } else if (open.length > 0) {
        const stream = random.pick(open);
        if (stream.length > 0) bytes.push(stream.shift()!);
        if (stream.length === 0) open.splice(open.indexOf(stream), 1);
      }
      if (random.chance(0.02)) bytes.push(PING);
    }
    frames.push(...session(cut(Buffer.concat(bytes), random), FIRST_PORT + connection));
  }
  return { frames, savefile: pcap(frames), wanted };
}

function cut(bytes: Buffer, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + random.int(1, SEGMENT_BYTES_MAX));
    pieces.push(Uint8Array.from(bytes.subarray(at, to)));
    at = to;
  }
  return pieces;
}

/** The requests that were not served correctly; empty: all were served once. */
export function http2Faults(wanted: readonly Wanted[], served: readonly Served[]): string[] {
  const key = ({ method, target, id, length, digest }: Wanted) => `${method} ${target} ${id} ${length} ${digest}`;
  const left = new Map<string, number>();
  for (const each of wanted) left.set(key(each), (left.get(key(each)) ?? 0) + 1);
  const faults: string[] = [];
  for (const each of served) {
    const count = left.get(key(each)) ?? 0;
    if (count === 0) faults.push(`not wanted, or twice: ${key(each)}`);
    else left.set(key(each), count - 1);
  }
  for (const [each, count] of left) if (count > 0) faults.push(`not served: ${each}`);
  return faults;
}
