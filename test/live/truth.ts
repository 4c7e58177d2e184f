/**
 * What the production server received, from a plain capture of its own interface: for each client
 * connection all bytes by sequence number. Independent of src/, and simple: it has the whole file.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export interface TrueConnection {
  client: string;
  sha256: string;
  bytes: number;
  /** The capture lacks bytes of it, and so says nothing. */
  hasHole: boolean;
}

interface Collected {
  client: string;
  isn: number;
  pieces: { offset: number; at: number; length: number }[];
}

/** Reads a little-endian microsecond Ethernet savefile of TCP packets to `port`. */
export function trueConnections(path: string, port: number): TrueConnection[] {
  const file = readFileSync(path);
  const connections = new Map<string, Collected>();
  for (let record = 24; record + 16 <= file.length; ) {
    const captured = file.readUInt32LE(record + 8);
    collect(file, record + 16, captured, port, connections);
    record += 16 + captured;
  }
  return [...connections.values()].map((connection) => assemble(file, connection));
}

function collect(file: Buffer, frame: number, captured: number, port: number, connections: Map<string, Collected>): void {
  let at = frame + 12;
  while (file.readUInt16BE(at) === 0x8100 || file.readUInt16BE(at) === 0x88a8) at += 4;
  const isV6 = file.readUInt16BE(at) === 0x86dd;
  const ip = at + 2;
  const tcp = ip + (isV6 ? 40 : (file[ip]! & 0x0f) * 4);
  if (captured < tcp + 20 - frame || file[ip + (isV6 ? 6 : 9)] !== 6 || file.readUInt16BE(tcp + 2) !== port) return;
  const end = isV6 ? ip + 40 + file.readUInt16BE(ip + 4) : ip + file.readUInt16BE(ip + 2);
  const address = isV6 ? file.subarray(ip + 8, ip + 24) : file.subarray(ip + 12, ip + 16);
  const client = `${address.toString("hex")}:${file.readUInt16BE(tcp)}`;
  const sequence = file.readUInt32BE(tcp + 4);
  const isSyn = (file[tcp + 13]! & 0x02) !== 0;
  // A client port that is used again begins with another SYN: the later one takes the key.
  if (isSyn && connections.get(client)?.isn !== sequence) {
    const earlier = connections.get(client);
    if (earlier !== undefined) connections.set(`${client} ${earlier.isn}`, earlier);
    connections.set(client, { client, isn: sequence, pieces: [] });
  }
  const payload = tcp + (file[tcp + 12]! >> 4) * 4;
  if (payload >= end) return;
  const connection = connections.get(client);
  connection?.pieces.push({ offset: (sequence - connection.isn - 1) >>> 0, at: payload, length: end - payload });
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
