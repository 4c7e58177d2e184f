/**
 * The cost of waiting objects, and their charge to the budget: makes very many objects of one kind in a shard of this
 * process, and prints the growth of its memory and of the budget as JSON.
 *
 *     bun weigh.ts KIND COUNT
 */
import { openOwnMemory } from "../../src/memory/own-memory.ts";
import { MemorySource } from "../simulator/memory-source.ts";
import { SHARD_VNI, shardOnItsOwn } from "../support/shard.ts";
import { STREAM_OFFSET } from "../../src/http/http2/frames.ts";
import { block, get, headers, inserted, PREFACE, pseudo, SETTINGS } from "../http/http2/client-frames.ts";
import { rounds, Template } from "./frames.ts";

const ETHERNET_LINK = 1;
const NOW_MS = 1_760_000_000_000;
const BATCH = 500;
/** A share of the objects comes first, so that objects needed only once are not measured. */
const FIRST_SHARE = 0.1;
const REQUEST = "GET / HTTP/1.1\r\n\r\n";
const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const PIECE = "0123456789";
const CONNECTIONS = 1000;
const FIELDS = headers(
  1,
  Buffer.concat([block(pseudo("GET", "/")), ...Array.from({ length: 100 }, () => inserted("x-y", "zz"))]),
  { end: true },
);

/** `payload`: one character for each byte. */
const template = (flags: string, payload = "") =>
  new Template(flags, Uint8Array.from(Buffer.from(payload, "latin1")), 4, SHARD_VNI);

/** Makes `count` objects. `first`: the number of earlier clients. */
type Make = (count: number, first: number) => Iterable<Uint8Array>;

/** Very many objects on each of a few connections, the first of them after `begin`. */
function onConnections(connections: number, begin: string, payload: string, skip: number): Make {
  return function* (count, first) {
    const [syn, start, next] = [template("S"), template("A", begin), template("A", payload)] as const;
    for (let client = 0; client < connections; client++) {
      yield syn.from(first + client).at(0);
      if (begin !== "") yield start.from(first + client).at(1);
    }
    const base = 1 + begin.length + skip;
    yield* rounds(connections, count, (client, round) =>
      next.from(first + client).at(base + round * (payload.length + skip)),
    );
  };
}

/** One connection for each object, with these bytes. */
function connectionsWith(payload: string, isEnded = false): Make {
  return function* (count, first) {
    const [syn, next, end] = [template("S"), template("A", payload), template("FA")] as const;
    for (let client = first; client < first + count; client++) {
      yield syn.from(client).at(0);
      if (payload !== "") yield next.from(client).at(1);
      if (isEnded) yield end.from(client).at(1);
    }
  };
}

/** Calls with a complete head, on each of a few connections. */
function http2Calls(connections: number): Make {
  return function* (count, first) {
    const begin = Buffer.concat([PREFACE, SETTINGS]).toString("latin1");
    const head = headers(1, pseudo("POST", "/"));
    const [syn, start, next] = [template("S"), template("A", begin), template("A", head.toString("latin1"))] as const;
    for (let client = 0; client < connections; client++) {
      yield syn.from(first + client).at(0);
      yield start.from(first + client).at(1);
    }
    yield* rounds(connections, count, (client, round) => {
      next.view.setUint32(next.payloadOffset + STREAM_OFFSET, 2 * round + 1);
      return next.from(first + client).at(1 + begin.length + round * head.length);
    });
  };
}

export interface Kind {
  readonly what: string;
  readonly count: number;
  readonly make: Make;
  readonly maxPendingPackets?: number;
}

export const KINDS = {
  requests: {
    what: "small requests that wait for their turn",
    count: 1_000_000,
    make: onConnections(CONNECTIONS, "", REQUEST, 0),
  },
  pieces: {
    what: "pieces of ten bytes behind holes",
    count: 1_000_000,
    make: onConnections(10 * CONNECTIONS, "", PIECE, 1),
    maxPendingPackets: 1000,
  },
  "upgrade-pieces": {
    what: "pieces of a hundred bytes behind an upgrade",
    count: 3_000_000,
    make: onConnections(CONNECTIONS, UPGRADE, PIECE.repeat(10), 0),
  },
  flows: {
    what: "connections of which the SYN has come",
    count: 200_000,
    make: connectionsWith(""),
  },
  remembered: {
    what: "connections that have ended",
    count: 200_000,
    make: connectionsWith("", true),
  },
  beginnings: {
    what: "connections with 20 bytes of a request",
    count: 100_000,
    make: connectionsWith("GET / HTTP/1.1\r\nHost"),
  },
  "http2-calls": {
    what: "requests of HTTP/2 that are not whole",
    count: 100_000,
    make: http2Calls(1000),
  },
  "http2-connections": {
    what: "connections of HTTP/2 that wait to be made upstream",
    count: 10_000,
    make: connectionsWith(Buffer.concat([PREFACE, SETTINGS, get(1, "/")]).toString("latin1")),
  },
  "http2-fields": {
    what: "connections of HTTP/2 with a hundred fields in the table",
    count: 10_000,
    make: connectionsWith(Buffer.concat([PREFACE, SETTINGS, FIELDS]).toString("latin1")),
  },
  connecting: {
    what: "connections with a request that wait to be made upstream",
    count: 100_000,
    make: connectionsWith(REQUEST),
  },
} as const satisfies Record<string, Kind>;
export type KindName = keyof typeof KINDS;

export interface Weight {
  readonly count: number;
  /** For one object. */
  readonly chargedBytes: number;
  readonly costBytes: number;
}

/** Makes the objects, and measures them. */
function weigh({ make, maxPendingPackets = 32 }: Kind, count: number): Weight {
  const limits = {
    maxFlows: 10_000_000,
    maxBufferMib: 100_000,
    maxWaitingRequests: 10_000_000,
    maxPendingPackets,
    gapTimeoutMs: Infinity,
  };
  const { shard } = shardOnItsOwn({ mode: "http", ...limits }, () => NOW_MS);
  const source = new MemorySource(ETHERNET_LINK);
  const memory = openOwnMemory();
  const take = (frames: Iterable<Uint8Array>) => {
    let batch: { bytes: Uint8Array; timestampMs: number }[] = [];
    const flush = () => {
      source.fill(batch);
      shard.process(source, Infinity);
      batch = [];
    };
    for (const frame of frames) if (batch.push({ bytes: frame.slice(), timestampMs: NOW_MS }) === BATCH) flush();
    flush();
  };
  const now = () => {
    Bun.gc(true);
    Bun.gc(true);
    return { charged: shard.destination.memory.budget.chargedBytes, cost: memory.read() };
  };
  const first = Math.ceil(count * FIRST_SHARE);
  take(make(first, 0));
  const before = now();
  take(make(count, first * 2));
  const after = now();
  return {
    count,
    chargedBytes: (after.charged - before.charged) / count,
    costBytes: (after.cost - before.cost) / count,
  };
}

if (import.meta.main) {
  const kind: Kind = KINDS[process.argv[2] as KindName];
  console.log(JSON.stringify(weigh(kind, Number(process.argv[3] ?? kind.count))));
}
