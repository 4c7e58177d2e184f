/**
 * The frames of a flood: copies of templates with a few changed fields, so making them costs little compared with
 * reading them. A generator of frames yields the same array again: a frame is valid until the next one.
 */
import { bytes, ethernet, ip, mirrored, TCP, tcp } from "../support/frames.ts";

export const VNI = 42;
export const PORT = 80;
export const OUTER_IP_OFFSET = 14;
/** In a frame made by `mirrored` over IPv4. */
export const INNER_IP_OFFSET = OUTER_IP_OFFSET + 20 + 8 + 8 + 14;
export const NOTHING = bytes();

const SOURCE_OFFSET = { 4: INNER_IP_OFFSET + 12, 6: INNER_IP_OFFSET + 8 } as const;
const TCP_OFFSET = { 4: INNER_IP_OFFSET + 20, 6: INNER_IP_OFFSET + 40 } as const;
const TCP_HEADER_LEN = 20;
const FIRST_PORT = 1024;
/** The number of clients of the flood that share an address. */
const PORTS_PER_ADDRESS = 16;
const FLOOD_ADDRESS = 0x0a00_0000;

/** A segment to our port that can be given to another client. */
export class Template {
  readonly frame: Uint8Array;
  readonly view: DataView;
  readonly payloadOffset: number;

  constructor(
    flags: string,
    payload: Uint8Array | string = NOTHING,
    private readonly version: 4 | 6 = 4,
    vni = VNI,
  ) {
    const [source, destination] = version === 4 ? ["10.0.0.0", "10.200.0.1"] : ["2001:db8::", "2001:db8::1"];
    const segment = tcp({
      source,
      destination,
      sourcePort: 0,
      destinationPort: PORT,
      sequence: 0,
      acknowledgment: 1,
      flags,
      payload: bytes(payload),
    });
    this.frame = mirrored(ethernet(ip(source, destination, TCP, segment)), { vni });
    this.view = new DataView(this.frame.buffer);
    this.payloadOffset = TCP_OFFSET[version] + TCP_HEADER_LEN;
  }

  get payloadLength(): number {
    return this.frame.length - this.payloadOffset;
  }

  /** Gives it to the flood's client with this number. */
  from(client: number): this {
    return this.fromAddress(
      FLOOD_ADDRESS + Math.floor(client / PORTS_PER_ADDRESS),
      FIRST_PORT + (client % PORTS_PER_ADDRESS),
    );
  }

  /** Over IPv4. */
  fromAddress(address: number, port: number): this {
    this.view.setUint32(SOURCE_OFFSET[this.version], address);
    this.view.setUint16(TCP_OFFSET[this.version], port);
    return this;
  }

  /** Over IPv6: the address's last two words. */
  fromWords(third: number, fourth: number): this {
    this.view.setInt32(SOURCE_OFFSET[6] + 8, third);
    this.view.setInt32(SOURCE_OFFSET[6] + 12, fourth);
    return this;
  }

  at(sequence: number): Uint8Array {
    this.view.setUint32(TCP_OFFSET[this.version] + 4, sequence >>> 0);
    return this.frame;
  }
}

/** All the clients' frames in turn: each client's next frame, round after round. */
export function* rounds(
  clients: number,
  count: number,
  make: (client: number, round: number) => Uint8Array,
): Generator<Uint8Array> {
  for (let number = 0; number < count; number++) yield make(number % clients, Math.floor(number / clients));
}

/** A frame of the second kind after every so many of the first, and the rest of both. */
export function* mixed(
  frames: Iterable<Uint8Array>,
  others: Iterator<Uint8Array>,
  every: number,
): Generator<Uint8Array> {
  let count = 0;
  for (const frame of frames) {
    yield frame;
    if (++count % every !== 0) continue;
    const other = others.next();
    if (other.done !== true) yield other.value;
  }
  for (let other = others.next(); other.done !== true; other = others.next()) yield other.value;
}

const GOOD_ADDRESS = 0xc612_0000;
const GOOD_KEPT = 64;
const DIGITS = 8;
const GOOD_HEAD = "GET /good/";
const GOOD_REQUEST = `${GOOD_HEAD}${"0".repeat(DIGITS)} HTTP/1.1\r\nHost: production.example\r\n\r\n`;
/** The numbers of good requests in a text. */
export const GOOD_PATTERN = /GET \/good\/(\d{8}) /g;

/** The clients whose requests must arrive beside any flood: some keep their connections, some come once. */
export class GoodClients {
  /** Requests made so far. */
  count = 0;
  private readonly syn = new Template("S");
  private readonly request = new Template("PA", GOOD_REQUEST);
  private readonly fin = new Template("FA");
  private rounds = 0;
  private passing = GOOD_KEPT;

  /** Requests on kept connections, which are opened first. */
  *kept(requests: number): Generator<Uint8Array> {
    for (let i = 0; i < requests; i++) {
      const client = this.rounds % GOOD_KEPT;
      const round = Math.floor(this.rounds++ / GOOD_KEPT);
      if (round === 0) yield this.syn.fromAddress(GOOD_ADDRESS + client, FIRST_PORT).at(0);
      yield this.next(client).at(1 + round * GOOD_REQUEST.length);
    }
  }

  /** Requests with a connection of their own each. */
  *passers(requests: number): Generator<Uint8Array> {
    for (let i = 0; i < requests; i++) {
      const client = this.passing++;
      yield this.syn.fromAddress(GOOD_ADDRESS + client, FIRST_PORT).at(0);
      yield this.next(client).at(1);
      yield this.fin.fromAddress(GOOD_ADDRESS + client, FIRST_PORT).at(1 + GOOD_REQUEST.length);
    }
  }

  private next(client: number): Template {
    const { request } = this;
    let left = this.count++;
    for (let at = request.payloadOffset + GOOD_HEAD.length + DIGITS - 1, digit = 0; digit < DIGITS; digit++, at--) {
      request.frame[at] = 0x30 + (left % 10);
      left = Math.floor(left / 10);
    }
    return request.fromAddress(GOOD_ADDRESS + client, FIRST_PORT);
  }
}
