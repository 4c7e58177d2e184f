/**
 * The responses of a capture's servers, request by request: read from the frames without any code of src/, for
 * endpoints that respond the same. Frames are Ethernet, IPv4 or IPv6, UDP, VXLAN; IPv4 packets may come in fragments.
 */
import { readFileSync } from "node:fs";

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const TAGS = [0x8100, 0x88a8];
const TCP = 6;
const UDP = 17;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET = 0x1fff;

/** By method and target: the responses, in their order. */
export type Replies = Map<string, Buffer[]>;

interface Side {
  start: number;
  pieces: { at: number; bytes: Buffer }[];
}

/** The responses in a savefile (pcap, little-endian) on connections to `port`. */
export function readReplies(path: string, port: number): Replies {
  const sides = new Map<string, Side>();
  const order: string[] = [];
  const parts: Parts = new Map();
  for (const packet of framesOf(readFileSync(path))) {
    const segment = segmentOf(packet, parts);
    if (segment === null) continue;
    const { source, destination, sourcePort, destinationPort, sequence, isSyn, payload } = segment;
    const key = `${source}:${sourcePort} ${destination}:${destinationPort}`;
    let side = sides.get(key);
    // A reused port begins anew.
    if (isSyn && side !== undefined && side.start !== (sequence + 1) >>> 0) {
      sides.set(`${key} ${order.length}`, side);
      order[order.indexOf(key)] = `${key} ${order.length}`;
      side = undefined;
    }
    if (side === undefined) {
      sides.set(key, (side = { start: (sequence + Number(isSyn)) >>> 0, pieces: [] }));
      order.push(key);
    }
    // A SYN has a number, and may have bytes behind it.
    const at = (sequence + Number(isSyn) - side.start) >>> 0;
    if (payload.length > 0) side.pieces.push({ at, bytes: payload });
  }
  const replies: Replies = new Map();
  const clients = order.filter((key) => key.split(" ")[1]!.endsWith(`:${port}`));
  const used = new Set<string>();
  for (const key of clients) {
    const [client, server] = key.split(" ") as [string, string];
    const back = order.find((other) => other.startsWith(`${server} ${client}`) && !used.has(other));
    if (back === undefined) continue;
    used.add(back);
    const requests = requestsOf(streamOf(sides.get(key)!));
    for (const [i, reply] of repliesOf(streamOf(sides.get(back)!), requests).entries())
      replies.set(requests[i]!, [...(replies.get(requests[i]!) ?? []), reply]);
  }
  return replies;
}

function* framesOf(file: Buffer): Generator<Buffer> {
  for (let at = 24; at + 16 <= file.length;) {
    const length = file.readUInt32LE(at + 8);
    yield file.subarray(at + 16, at + 16 + length);
    at += 16 + length;
  }
}

/** The content of an Ethernet frame, without tags. */
function packetOf(frame: Buffer): { type: number; bytes: Buffer } {
  let at = 12;
  while (TAGS.includes(frame.readUInt16BE(at))) at += 4;
  return { type: frame.readUInt16BE(at), bytes: frame.subarray(at + 2) };
}

/** The fragments of packets that are not complete yet. */
type Parts = Map<string, { at: number; bytes: Buffer; isLast: boolean }[]>;

/** A fragment's packet, if it is complete now. */
function whole(key: string, at: number, bytes: Buffer, isLast: boolean, parts: Parts): Buffer | null {
  const own = [...(parts.get(key) ?? []), { at, bytes, isLast }].toSorted((a, b) => a.at - b.at);
  parts.set(key, own);
  let end = 0;
  for (const part of own) {
    if (part.at !== end) return null;
    end += part.bytes.length;
  }
  if (!own.at(-1)!.isLast) return null;
  parts.delete(key);
  return Buffer.concat(own.map((part) => part.bytes));
}

/** The content of an IP packet; null: it is no IP packet, or a fragment of an incomplete one. */
function carried({ type, bytes }: { type: number; bytes: Buffer }, parts: Parts) {
  if (type === IPV4) {
    const [source, destination] = [bytes.subarray(12, 16).join("."), bytes.subarray(16, 20).join(".")];
    const protocol = bytes[9]!;
    const own = bytes.subarray((bytes[0]! & 15) * 4, bytes.readUInt16BE(2) || bytes.length);
    const place = bytes.readUInt16BE(6);
    const key = `${source} ${destination} ${protocol} ${bytes.readUInt16BE(4)}`;
    const all = whole(key, (place & FRAGMENT_OFFSET) * 8, own, (place & MORE_FRAGMENTS) === 0, parts);
    return all === null ? null : { source, destination, protocol, bytes: all };
  }
  if (type !== IPV6) return null;
  const [source, destination] = [bytes.subarray(8, 24).toString("hex"), bytes.subarray(24, 40).toString("hex")];
  return { source, destination, protocol: bytes[6]!, bytes: bytes.subarray(40, 40 + bytes.readUInt16BE(4)) };
}

function segmentOf(frame: Buffer, parts: Parts) {
  const outer = carried(packetOf(frame), parts);
  if (outer?.protocol !== UDP) return null;
  const inner = carried(packetOf(outer.bytes.subarray(16)), parts);
  if (inner?.protocol !== TCP) return null;
  const { source, destination, bytes } = inner;
  return {
    source,
    destination,
    sourcePort: bytes.readUInt16BE(0),
    destinationPort: bytes.readUInt16BE(2),
    sequence: bytes.readUInt32BE(4),
    isSyn: (bytes[13]! & 2) !== 0,
    payload: bytes.subarray((bytes[12]! >> 4) * 4),
  };
}

/** The bytes of a side from its start to the first missing byte. */
function streamOf({ pieces }: Side): Buffer {
  let stream = Buffer.alloc(0);
  for (const { at, bytes } of pieces.toSorted((a, b) => a.at - b.at)) {
    if (at > stream.length) break;
    if (at + bytes.length > stream.length) stream = Buffer.concat([stream, bytes.subarray(stream.length - at)]);
  }
  return stream;
}

/** Method and target of each request. */
function requestsOf(stream: Buffer): string[] {
  const requests: string[] = [];
  for (let at = 0; at < stream.length;) {
    const headEnd = stream.indexOf("\r\n\r\n", at);
    if (headEnd < 0) break;
    const head = stream.toString("latin1", at, headEnd);
    requests.push(head.slice(0, head.search(/ HTTP\//)));
    at = headEnd + 4 + lengthIn(head);
  }
  return requests;
}

function repliesOf(stream: Buffer, requests: string[]): Buffer[] {
  const replies: Buffer[] = [];
  for (let at = 0; at < stream.length && replies.length < requests.length;) {
    const headEnd = stream.indexOf("\r\n\r\n", at);
    if (headEnd < 0) break;
    const head = stream.toString("latin1", at, headEnd);
    let end = stream.length;
    if (/^HTTP\/1.. (204|304)/.test(head) || requests[replies.length]!.startsWith("HEAD")) end = headEnd + 4;
    else if (/^transfer-encoding: *chunked/im.test(head)) end = stream.indexOf("\r\n0\r\n\r\n", headEnd) + 7;
    else if (/^content-length:/im.test(head)) end = headEnd + 4 + lengthIn(head);
    if (end < at || end > stream.length) break;
    replies.push(stream.subarray(at, end));
    at = end;
  }
  return replies;
}

export function lengthIn(head: string): number {
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
}
