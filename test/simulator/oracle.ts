/**
 * The right outcome of the frames, known from how they were made: which bytes of which connection were in arrived
 * frames, when, and how every frame must be counted. This file does not know how the program works.
 */
import type { Connection, Sent } from "./client.ts";
import type { Frame, MirroredSegment, Packet } from "./mirror.ts";

/** A segment that arrived, whole or cut. */
export interface Arrival {
  readonly sent: Sent;
  readonly atMs: number;
  /** The payload bytes in it. */
  readonly length: number;
}

export interface FrameCounts {
  captured: number;
  segments: number;
  truncated: number;
  completedDatagrams: number;
  dropped: Map<string, number>;
}

/** The outcome of each frame; and the segments that arrive, in their order. */
export function decodeAll(frames: readonly Frame[]): { counts: FrameCounts; arrivals: Arrival[] } {
  const counts: FrameCounts = { captured: 0, segments: 0, truncated: 0, completedDatagrams: 0, dropped: new Map() };
  const arrivals: Arrival[] = [];
  const outer = new Map<Packet, Set<number>>();
  const inner = new Map<MirroredSegment, Set<number>>();
  const drop = (reason: string) => void counts.dropped.set(reason, (counts.dropped.get(reason) ?? 0) + 1);
  /** Whether this part completes its datagram; later parts begin another. */
  const completes = <T>(waiting: Map<T, Set<number>>, datagram: T, part: number, parts: number): boolean => {
    if (parts === 1) return true;
    const seen = waiting.get(datagram) ?? new Set();
    waiting.set(datagram, seen.add(part));
    if (seen.size < parts) return false;
    waiting.delete(datagram);
    counts.completedDatagrams++;
    return true;
  };
  for (const { packet, index, foreign, arrivalMs } of frames) {
    counts.captured++;
    if (packet === null) drop(foreign!.reason);
    else if (!completes(outer, packet, index, packet.frames)) drop("fragment");
    else if (packet.payloadLength < 0) drop("truncated");
    else if (!completes(inner, packet.segment, packet.part, packet.segment.parts)) drop("fragment");
    else {
      const { sent, parts } = packet.segment;
      const length = parts === 1 ? packet.payloadLength : sent.payload.length;
      counts.segments++;
      if (length < sent.payload.length) counts.truncated++;
      arrivals.push({ sent, atMs: arrivalMs, length });
    }
  }
  return { counts, arrivals };
}

/** A stretch of a stream: bytes that come, or a hole that must be reported. */
export interface Run {
  readonly bytes: Uint8Array | null;
  readonly length: number;
}

/** The right outcome of a connection if no segment was displaced beyond the limits. */
export interface Expected {
  readonly connection: Connection;
  readonly hasSyn: boolean;
  readonly runs: Run[];
  /** Null: it depends on when holes are given up, or on later segments. */
  readonly end: "fin" | "reset" | null;
}

/** `arrivals`: all segments with its addresses and ports. Null: no segment arrived with which a stream could begin. */
export function expect(connection: Connection, arrivals: readonly Arrival[]): Expected | null {
  const { stream } = connection;
  const present = new Uint8Array(stream.length);
  let hasSyn = false;
  let hasFin = false;
  let isKnown = false;
  let first = Infinity;
  let end = 0;
  let isReset = false;
  let isOver = false;
  for (const { sent, length } of arrivals) {
    // From then on a reset may come too late.
    if (sent.connection.before === connection) isOver = true;
    if (sent.connection !== connection || sent.isGarbage) continue;
    if (sent.flags.includes("R")) {
      isReset ||= !isOver && hasSyn && present.every((byte) => byte === 1);
      continue;
    }
    if (sent.flags.includes("S")) hasSyn = true;
    present.fill(1, sent.position, sent.position + length);
    if (length > 0) first = Math.min(first, sent.position);
    isKnown ||= hasSyn || length > 0;
    // Bytes that the mirror cut off are known to have existed.
    if (isKnown && sent.payload.length > 0) end = Math.max(end, sent.position + sent.payload.length);
    if (sent.flags.includes("F")) hasFin = true;
    isOver ||= hasFin;
  }
  // A FIN alone gives nothing to forward.
  if (!isKnown) return null;
  if (hasFin) end = stream.length;
  return {
    connection,
    hasSyn,
    runs: runsOf(stream, present, hasSyn ? 0 : first, end),
    end: hasFin ? "fin" : isReset ? "reset" : null,
  };
}

/** The runs of a stream with these present bytes, between two places. */
export function runsOf(stream: Uint8Array, present: Uint8Array, start: number, end: number): Run[] {
  const runs: Run[] = [];
  for (let from = start, to = start; from < end; from = to) {
    while (to < end && present[to] === present[from]) to++;
    runs.push({ bytes: present[from] === 1 ? stream.subarray(from, to) : null, length: to - from });
  }
  return runs;
}

/** The largest displacements: the limits must allow them, or holes are given up too early. */
export interface Displacement {
  /** The number of segments with a connection's addresses and ports that came before an earlier one. */
  segments: number;
  /** The length of the longest of these waits. */
  waitMs: number;
}

/** `arrivals`: all segments with the same addresses and ports. */
export function displacementOf(connections: readonly Connection[], arrivals: readonly Arrival[]): Displacement {
  const worst: Displacement = { segments: 0, waitMs: 0 };
  // Each connection has a line of places: its SYN, its bytes, its FIN; the lines follow one another.
  const base = new Map<Connection, number>();
  let places = 0;
  for (const connection of connections) {
    base.set(connection, places);
    places += connection.stream.length + 2;
  }
  const firstAt = new Int32Array(places).fill(-1);
  arrivals.forEach(({ sent, length }, at) => {
    const from = base.get(sent.connection)! + 1 + sent.position;
    if (sent.isGarbage) return;
    if (sent.flags.includes("S") && firstAt[from - 1] === -1) firstAt[from - 1] = at;
    for (let place = from; place < from + length; place++) if (firstAt[place] === -1) firstAt[place] = at;
    const finAt = from + sent.payload.length;
    if (sent.flags.includes("F") && firstAt[finAt] === -1) firstAt[finAt] = at;
  });
  let earliestAbove = Infinity;
  for (let place = places - 1; place >= 0; place--) {
    const at = firstAt[place]!;
    if (at === -1) continue;
    if (earliestAbove < at) {
      worst.segments = Math.max(worst.segments, at - earliestAbove);
      worst.waitMs = Math.max(worst.waitMs, arrivals[at]!.atMs - arrivals[earliestAbove]!.atMs);
    } else {
      earliestAbove = at;
    }
  }
  return worst;
}

/** Garbage may only repeat bytes that have arrived before: otherwise it would be the first copy of a byte. */
export function prematureGarbage(arrivals: readonly Arrival[]): Set<Sent> {
  const seen = new Map<Connection, Uint8Array>();
  const premature = new Set<Sent>();
  for (const { sent, length } of arrivals) {
    const present = seen.get(sent.connection) ?? new Uint8Array(sent.connection.stream.length);
    seen.set(sent.connection, present);
    const { position } = sent;
    if (!sent.isGarbage) present.fill(1, position, position + length);
    else if (present.subarray(position, position + length).includes(0)) premature.add(sent);
  }
  return premature;
}
