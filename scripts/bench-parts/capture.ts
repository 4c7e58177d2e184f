/** Mirror captures of any size: one frame is built layer by layer, and all others are copies with other numbers. */
import { closeSync, openSync, writeSync } from "node:fs";
import { STREAM_OFFSET } from "../../src/http/http2/frames.ts";
import { headers, PREFACE, SETTINGS } from "../../test/http/http2/client-frames.ts";
import { mirroredSegment, pcap } from "../../test/support/frames.ts";
import { Random } from "../../test/support/random.ts";

export const VNI = 5_569_041;
export const PORT = 80;
/** Keep-alive connections, each with one request at a time. */
export const CONNECTIONS = 64;
export const REQUEST =
  "GET /products/1234?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/** The same request's target in HPACK's Huffman code. */
const TARGET_CODE = Buffer.from("62bb0f25a44a1808996bfcac7316017f", "hex");
/** Method, scheme and target. Clients write the target in full each time, in Huffman's code. */
const REQUEST_BLOCK = Buffer.from([0x82, 0x86, 0x04, 0x80 | TARGET_CODE.length, ...TARGET_CODE]);
/** The other fields: the first request inserts them into the dynamic table, and later ones name their places. */
const FIRST_FIELDS = Buffer.from("\x41\x0cshop.example\x7a\x05bench\x53\x03*/*", "latin1");
const LATER_FIELDS = Buffer.from([0xc0, 0xbf, 0xbe]);

/** A TCP segment's payload in a frame of 1500 bytes, without and with timestamps as TCP option. */
export const FULL_PAYLOAD_BYTES = 1448;
const TIMESTAMP_OPTION = new Uint8Array(12).fill(1);

const START_S = Date.UTC(2026, 0, 15, 9, 30) / 1000;
/** The time between two frames. */
const FRAME_US = 20;
const RECORD_HEADER_LEN = 16;
const RECORD_FRACTION_OFFSET = 4;
const FILE_HEADER_LEN = 24;
/** Outer Ethernet, IPv4, UDP and VXLAN; then the mirrored frame's Ethernet and IPv4. */
const TUNNEL_LEN = 14 + 20 + 8 + 8;
const INNER_IP_OFFSET = TUNNEL_LEN + 14;
const SOURCE_ADDRESS_OFFSET = INNER_IP_OFFSET + 12;
const SOURCE_PORT_OFFSET = INNER_IP_OFFSET + 20;
const SEQUENCE_OFFSET = SOURCE_PORT_OFFSET + 4;
const FIRST_ADDRESS = 0x0a00_0000;
const FIRST_PORT = 1024;
const PORTS = 60_000;

/** The common content of all connections' segments of a kind: a savefile's record, with its header. */
class RecordTemplate {
  readonly bytes: Uint8Array;

  constructor(flags: string, payload: Uint8Array) {
    const options = payload.length === FULL_PAYLOAD_BYTES ? TIMESTAMP_OPTION : new Uint8Array(0);
    const segment = {
      source: "10.0.0.0",
      sourcePort: 0,
      destination: "10.1.0.10",
      destinationPort: PORT,
      sequence: 0,
      acknowledgment: 1,
      flags,
      payload,
      options,
    };
    this.bytes = pcap([{ frame: mirroredSegment(segment, VNI), timestampMs: 0 }]).slice(FILE_HEADER_LEN);
  }
}

export const FILE_HEADER = pcap([]);

/** A connection whose client sends the same bytes again and again, cut into segments. */
class Client {
  private next: number;
  private cycle = 0;
  /** Of HTTP/2: the next request's. */
  private stream = 1;

  constructor(
    private readonly number: number,
    private readonly syn: RecordTemplate,
    private readonly segments: RecordTemplate[],
    private readonly payloads: Uint8Array[],
    private readonly opening: Uint8Array | null,
  ) {
    this.next = Math.imul(number, 0x9e37_79b1) >>> 0;
  }

  /** Its SYN, as a record. */
  open(timeUs: number): Uint8Array {
    const record = this.stamp(this.syn, timeUs);
    this.next = (this.next + 1) >>> 0;
    return record;
  }

  /** Its next segment with bytes. */
  send(timeUs: number): Uint8Array {
    if (this.opening !== null) return this.sendStream(timeUs, this.opening);
    const record = this.stamp(this.segments[this.cycle]!, timeUs);
    this.next = (this.next + this.payloads[this.cycle]!.length) >>> 0;
    this.cycle = (this.cycle + 1) % this.segments.length;
    return record;
  }

  /** Its next request of HTTP/2: a segment with one frame. */
  private sendStream(timeUs: number, opening: Uint8Array): Uint8Array {
    const isFirst = this.stream === 1;
    const payload = isFirst ? opening : this.payloads[0]!;
    const record = this.stamp(isFirst ? new RecordTemplate("PA", opening) : this.segments[0]!, timeUs);
    if (!isFirst) new DataView(record.buffer).setUint32(record.length - payload.length + STREAM_OFFSET, this.stream);
    this.next = (this.next + payload.length) >>> 0;
    this.stream += 2;
    return record;
  }

  private stamp({ bytes }: RecordTemplate, timeUs: number): Uint8Array {
    const record = bytes.slice();
    const view = new DataView(record.buffer);
    view.setUint32(0, START_S + Math.floor(timeUs / 1e6), true);
    view.setUint32(RECORD_FRACTION_OFFSET, timeUs % 1e6, true);
    view.setUint32(RECORD_HEADER_LEN + SOURCE_ADDRESS_OFFSET, FIRST_ADDRESS + this.number);
    view.setUint16(RECORD_HEADER_LEN + SOURCE_PORT_OFFSET, FIRST_PORT + (this.number % PORTS));
    view.setUint32(RECORD_HEADER_LEN + SEQUENCE_OFFSET, this.next);
    return record;
  }
}

export interface Traffic {
  connections: number;
  /** Segments with bytes, of all connections together. */
  segments: number;
  /** The bytes that each client sends again and again: segment by segment. */
  payloads: Uint8Array[];
  /** HTTP/2: the bytes that each client sends first. Its payload is then one frame, sent again for each stream. */
  opening?: Uint8Array;
  /** The number of a connection's segments that come before the previous one. */
  outOfOrder: number;
  /** The time between two frames; the mean, if they come at random. */
  frameUs?: number;
  isRandom?: boolean;
}

const small = [new TextEncoder().encode(REQUEST)];

/** Small requests, each in one segment. */
export function requests(connections: number, segments: number, outOfOrder = 0): Traffic {
  return { connections, segments, payloads: small, outOfOrder };
}

/** The same requests in HTTP/2, as clients make them. */
export function http2Requests(connections: number, segments: number): Traffic {
  const request = (fields: Buffer) => headers(1, Buffer.concat([REQUEST_BLOCK, fields]), { end: true });
  const opening = Uint8Array.from(Buffer.concat([PREFACE, SETTINGS, request(FIRST_FIELDS)]));
  return { connections, segments, payloads: [Uint8Array.from(request(LATER_FIELDS))], opening, outOfOrder: 0 };
}

const UPLOAD_SEGMENTS = 16;

/** Uploads in full-size segments, this many for each. */
export function uploads(
  connections: number,
  segments: number,
  outOfOrder = 0,
  segmentsEach = UPLOAD_SEGMENTS,
): Traffic {
  const body = segmentsEach * FULL_PAYLOAD_BYTES;
  const head = (length: number) => `POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: ${length}\r\n\r\n`;
  const upload = new TextEncoder().encode(head(body - head(body).length).padEnd(body, "x"));
  const payloads = Array.from({ length: segmentsEach }, (_, i) =>
    upload.slice(i * FULL_PAYLOAD_BYTES, (i + 1) * FULL_PAYLOAD_BYTES),
  );
  return { connections, segments, payloads, outOfOrder };
}

/** The records of this traffic: all SYNs, then the connections' segments in turn. */
export function* records(traffic: Traffic): Generator<Uint8Array> {
  const { connections, segments, payloads, outOfOrder, frameUs = FRAME_US, isRandom = false, opening = null } = traffic;
  const syn = new RecordTemplate("S", new Uint8Array(0));
  const templates = payloads.map((payload) => new RecordTemplate("PA", payload));
  const clients = Array.from({ length: connections }, (_, i) => new Client(i, syn, templates, payloads, opening));
  const random = new Random(1);
  let timeUs = 0;
  // If frames come at random, the times between them have an exponential distribution.
  const nextUs = () => (timeUs += isRandom ? Math.round(-Math.log(1 - random.next()) * frameUs) : frameUs);
  for (const client of clients) yield client.open(nextUs());

  const swapEvery = outOfOrder === 0 ? Infinity : Math.round(1 / outOfOrder);
  let sent = 0;
  for (let round = 0; sent < segments; round++) {
    const isSwapped = round % swapEvery === swapEvery - 1;
    // Both rounds' segments of a connection are made now, and the second one is sent first.
    const perClient = isSwapped ? 2 : 1;
    const made = clients.map((client) => Array.from({ length: perClient }, () => client.send(nextUs())));
    for (let place = perClient - 1; place >= 0; place--) {
      for (const own of made) {
        if (sent++ >= segments) return;
        yield own[place]!;
      }
    }
  }
}

const CHUNK_BYTES = 4 << 20;

/** The same as a savefile's bytes, in large chunks. */
export function* savefile(traffic: Traffic): Generator<Uint8Array> {
  let chunk = new Uint8Array(CHUNK_BYTES);
  chunk.set(FILE_HEADER);
  let length = FILE_HEADER.length;
  for (const record of records(traffic)) {
    if (length + record.length > chunk.length) {
      yield chunk.subarray(0, length);
      chunk = new Uint8Array(CHUNK_BYTES);
      length = 0;
    }
    chunk.set(record, length);
    length += record.length;
  }
  yield chunk.subarray(0, length);
}

/** Writes a savefile. */
export function writeSavefile(path: string, traffic: Traffic): void {
  const fd = openSync(path, "w");
  for (const chunk of savefile(traffic)) writeSync(fd, chunk);
  closeSync(fd);
}

/** A record's VXLAN datagram: the payload of the outer UDP header. */
export function datagram(record: Uint8Array): Uint8Array {
  return record.subarray(RECORD_HEADER_LEN + TUNNEL_LEN - 8);
}
