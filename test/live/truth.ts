/**
 * The bytes that the production server received, from a plain capture of its own interface: for each client connection,
 * all bytes by sequence number. And the part of them that the mirror delivered, from a capture of the mirror.
 * Independent of src/, and simple, because it has the whole file.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export interface TrueConnection {
  client: string;
  sha256: string;
  bytes: number;
  /** The capture lacks bytes of the connection, so it proves nothing about it. */
  hasHole: boolean;
}

interface Collected {
  client: string;
  isn: number;
  pieces: { offset: number; at: number; length: number }[];
}

/** Outer Ethernet, IPv4, UDP and VXLAN header. */
const MIRROR_HEADERS_LEN = 14 + 20 + 8 + 8;

/** Reads a little-endian microsecond Ethernet savefile of TCP packets to `port`. */
export function trueConnections(path: string, port: number): TrueConnection[] {
  const { file, connections } = readProduction(path, port);
  return connections.map((connection) => assemble(file, connection));
}

export interface TrueRequest {
  /** Its method and path. */
  line: string;
  /** The mirror delivered all its bytes. */
  arrived: boolean;
}

/** The whole requests of each connection that production received, and which of them the mirror delivered to replay. */
export function trueRequests(production: string, mirror: string, port: number): TrueRequest[] {
  const { file, connections } = readProduction(production, port);
  const ports = Map.groupBy(connections, ({ client }) => client);
  const brought = new Map(connections.map((connection) => [connection, new Uint8Array(length(connection))]));
  const mirrored = readFileSync(mirror);
  for (const { at, captured } of records(mirrored)) {
    const segment = readSegment(mirrored, at + MIRROR_HEADERS_LEN, captured - MIRROR_HEADERS_LEN, port);
    // A reused port has several connections: a segment belongs to one of them.
    for (const connection of (segment && ports.get(segment.client)) ?? []) {
      const offset = (segment!.sequence - connection.isn - 1) >>> 0;
      brought.get(connection)!.fill(1, offset, offset + segment!.length);
    }
  }
  return connections.flatMap((connection) => {
    const stream = Buffer.alloc(length(connection));
    for (const { offset, at, length } of connection.pieces) file.copy(stream, offset, at, at + length);
    const has = brought.get(connection)!;
    return split(stream).map(({ line, from, to }) => ({
      line,
      arrived: has.subarray(from, to).every((byte) => byte === 1),
    }));
  });
}

function length({ pieces }: Collected): number {
  return Math.max(0, ...pieces.map(({ offset, length }) => offset + length));
}

/** The whole requests of a stream. Bodies contain no empty lines. */
function split(stream: Buffer): { line: string; from: number; to: number }[] {
  const requests = [];
  for (let from = 0, to = 0; from < stream.length; from = to) {
    const bodyAt = stream.indexOf("\r\n\r\n", from) + 4;
    const head = stream.toString("latin1", from, bodyAt);
    const bodyLength = Number(/^Content-Length: (\d+)/im.exec(head)?.[1] ?? 0);
    to = /^Transfer-Encoding: chunked/im.test(head) ? stream.indexOf("\r\n\r\n", bodyAt) + 4 : bodyAt + bodyLength;
    if (bodyAt < from + 4 || to < bodyAt || to > stream.length) break;
    requests.push({ line: head.split(" ", 2).join(" "), from, to });
  }
  return requests;
}

function* records(file: Buffer): Generator<{ at: number; captured: number }> {
  for (let record = 24; record + 16 <= file.length;) {
    const captured = file.readUInt32LE(record + 8);
    yield { at: record + 16, captured };
    record += 16 + captured;
  }
}

function readProduction(path: string, port: number): { file: Buffer; connections: Collected[] } {
  const file = readFileSync(path);
  const connections = new Map<string, Collected>();
  for (const { at, captured } of records(file)) {
    const segment = readSegment(file, at, captured, port);
    if (segment !== undefined) collect(segment, connections);
  }
  return { file, connections: [...connections.values()] };
}

interface TrueSegment {
  client: string;
  sequence: number;
  isSyn: boolean;
  /** Its payload in the file. */
  at: number;
  length: number;
}

/** Undefined: the frame is no TCP segment to `port`. */
function readSegment(file: Buffer, frame: number, captured: number, port: number): TrueSegment | undefined {
  let at = frame + 12;
  while (file.readUInt16BE(at) === 0x8100 || file.readUInt16BE(at) === 0x88a8) at += 4;
  const isV6 = file.readUInt16BE(at) === 0x86dd;
  const ip = at + 2;
  const tcp = ip + (isV6 ? 40 : (file[ip]! & 0x0f) * 4);
  if (captured < tcp + 20 - frame || file[ip + (isV6 ? 6 : 9)] !== 6 || file.readUInt16BE(tcp + 2) !== port)
    return undefined;
  const end = isV6 ? ip + 40 + file.readUInt16BE(ip + 4) : ip + file.readUInt16BE(ip + 2);
  const address = isV6 ? file.subarray(ip + 8, ip + 24) : file.subarray(ip + 12, ip + 16);
  const client = `${address.toString("hex")}:${file.readUInt16BE(tcp)}`;
  const payload = tcp + (file[tcp + 12]! >> 4) * 4;
  return {
    client,
    sequence: file.readUInt32BE(tcp + 4),
    isSyn: (file[tcp + 13]! & 0x02) !== 0,
    at: payload,
    length: Math.max(end - payload, 0),
  };
}

function collect({ client, sequence, isSyn, at, length }: TrueSegment, connections: Map<string, Collected>): void {
  // A reused client port begins with another SYN: the later connection takes the key.
  if (isSyn && connections.get(client)?.isn !== sequence) {
    const earlier = connections.get(client);
    if (earlier !== undefined) connections.set(`${client} ${earlier.isn}`, earlier);
    connections.set(client, { client, isn: sequence, pieces: [] });
  }
  const connection = connections.get(client);
  if (length > 0) connection?.pieces.push({ offset: (sequence - connection.isn - 1) >>> 0, at, length });
}

function assemble(file: Buffer, { client, pieces }: Collected): TrueConnection {
  const hash = createHash("sha256");
  let next = 0;
  let hasHole = false;
  for (const { offset, at, length } of pieces.sort((a, b) => a.offset - b.offset)) {
    if (offset > next) hasHole = true;
    const known = next - offset;
    if (known >= length) continue;
    hash.update(file.subarray(at + known, at + length));
    next = offset + length;
  }
  return { client, sha256: hash.digest("hex"), bytes: next, hasHole };
}
