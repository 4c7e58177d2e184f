/** A random HTTP/2 client: its bytes, in pieces and with gaps, and the truth about its requests. */
import {
  block,
  data,
  type Fields,
  headers,
  inserted,
  PING,
  reset,
  SETTINGS,
  SETTINGS_ACK,
  windowUpdate,
} from "../../http/http2/client-frames.ts";
import type { Random } from "../../support/random.ts";

export interface Truth {
  /** Also its path. */
  readonly id: string;
  readonly method: string;
  readonly body: string;
  readonly trailer: string;
  /** Its fields, one a line. */
  fields: string;
  isTakenBack: boolean;
  /** The client's end came before its own. */
  isCutOff: boolean;
}

export interface ClientKnobs {
  readonly requestsMax: number;
  readonly bodyBytesMax: number;
  readonly takenBack: number;
  readonly cutOff: number;
  readonly pieceBytesMax: number;
  /** The number of missing pieces. */
  readonly missing: number;
}

export interface RandomClient {
  readonly truths: Truth[];
  /** Bytes, or a gap of this length. */
  readonly pieces: (Buffer | number)[];
}

const FRAME_BYTES_MAX = 3000;
/** The approximate number of pieces, for any number of bytes. */
const PIECES_MAX = 300;
const VALUES = ["1", "22", "value"];
const NAMES = ["user-agent", "accept", "x-a", "x-b"];

/** The entries of the client's dynamic table that it may name, the newest last: one for each name and value. */
class Table {
  private readonly entries: string[] = [];

  field(name: string, value: string, random: Random): Buffer {
    const at = this.entries.lastIndexOf(`${name}: ${value}`);
    // The newest has index 62; few enough entries are named that they are still in the table.
    if (at >= 0 && this.entries.length - at <= 30) return Buffer.from([0x80 | (62 + this.entries.length - 1 - at)]);
    if (random.chance(0.5)) return block([[name, value]]);
    this.entries.push(`${name}: ${value}`);
    return inserted(name, value);
  }
}

export function randomClient(number: number, knobs: ClientKnobs, random: Random): RandomClient {
  const truths: Truth[] = [];
  const table = new Table();
  const frames: Buffer[] = [SETTINGS, windowUpdate(0)];
  const open: Buffer[][] = [];
  const count = random.int(1, knobs.requestsMax);
  while (truths.length < count || open.length > 0) {
    if (truths.length < count && random.chance(0.4)) {
      const stream = 2 * truths.length + 1;
      const truth = randomTruth(`/${number}.${truths.length}`, knobs, random);
      truths.push(truth);
      const own = framesOf(stream, truth, table, random);
      frames.push(own.shift()!);
      if (own.length > 0) open.push(own);
    } else if (open.length > 0) {
      const own = random.pick(open);
      frames.push(own.shift()!);
      if (own.length === 0) open.splice(open.indexOf(own), 1);
    }
    if (random.chance(0.05)) frames.push(random.pick([PING, SETTINGS_ACK, windowUpdate(0)]));
  }
  return { truths, pieces: cut(Buffer.concat(frames), knobs, random) };
}

function randomTruth(id: string, knobs: ClientKnobs, random: Random): Truth {
  const method = random.pick(["GET", "GET", "POST", "PUT"]);
  const isTakenBack = random.chance(knobs.takenBack);
  const length = method === "GET" ? 0 : random.int(0, knobs.bodyBytesMax);
  return {
    id,
    method,
    body: `${id};`.repeat(length).slice(0, length),
    trailer: method !== "GET" && random.chance(0.2) ? `x-t: ${id}` : "",
    fields: "",
    isTakenBack,
    isCutOff: !isTakenBack && random.chance(knobs.cutOff),
  };
}

function framesOf(stream: number, truth: Truth, table: Table, random: Random): Buffer[] {
  const { id, method, body, trailer } = truth;
  const pseudo: Fields = [
    [":method", method],
    [":scheme", "http"],
    [":path", id],
    [":authority", "production"],
  ];
  const fields = NAMES.filter(() => random.chance(0.5)).map((name) => [name, random.pick(VALUES)] as const);
  truth.fields = fields.map(([name, value]) => `${name}: ${value}`).join("\n");
  const head = Buffer.concat([block(pseudo), ...fields.map(([name, value]) => table.field(name, value, random))]);
  const continuations = random.chance(0.1) ? random.int(1, 3) : 0;
  const isBare = body === "" && trailer === "" && random.chance(0.8);
  const frames = [headers(stream, head, { end: isBare, continuations, priority: random.chance(0.1) })];
  for (let at = 0; at < body.length;) {
    const to = Math.min(body.length, at + random.int(1, FRAME_BYTES_MAX));
    const padding = random.chance(0.1) ? random.int(0, 50) : undefined;
    frames.push(data(stream, body.slice(at, to), to === body.length && trailer === "", padding));
    at = to;
  }
  if (trailer !== "") frames.push(headers(stream, [["x-t", id]], { end: true }));
  else if (body === "" && !isBare) frames.push(data(stream, "", true));
  if (truth.isTakenBack) return [...frames.slice(0, random.int(1, frames.length)), reset(stream)];
  if (truth.isCutOff && frames.length > 1) return frames.slice(0, random.int(1, frames.length - 1));
  truth.isCutOff = false;
  return frames;
}

function cut(bytes: Buffer, { pieceBytesMax, missing }: ClientKnobs, random: Random): (Buffer | number)[] {
  const pieces: (Buffer | number)[] = [];
  const most = Math.max(pieceBytesMax, Math.ceil(bytes.length / PIECES_MAX));
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + random.int(1, most));
    pieces.push(random.chance(missing) ? to - at : bytes.subarray(at, to));
    at = to;
  }
  return pieces;
}
