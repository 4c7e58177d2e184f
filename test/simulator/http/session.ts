/**
 * The bytes of an HTTP client on one connection, and their meaning: known from how they were made, not from reading
 * them.
 */
import type { DamageReason } from "../../../src/http/request-sink.ts";
import { Random } from "../../support/random.ts";

/** A stretch of a stream: a request, or something else. Places are in the stream. */
export interface Item {
  readonly id: string;
  readonly kind: "request" | "broken" | "foreign";
  readonly start: number;
  readonly end: number;
  /** Behind the request line, if it is a well-known one; else 0. */
  readonly lineEnd: number;
  /** Without such a line: the place that shows it. */
  readonly strangeAt: number;
  /** Behind the header section. */
  readonly headEnd: number;
  /** Whether the length of its body was known beforehand. */
  readonly hasLength: boolean;
  /** The places of its bytes whose number is given before them: its body, or the data of its chunks. */
  readonly runs: readonly Run[];
  readonly isIdempotent: boolean;
  /** No request may follow it on its connection. */
  readonly isLast: boolean;
  /** It asks for another protocol; later bytes may be of that protocol. */
  readonly wantsUpgrade: boolean;
  /** Servers are known to disagree about its end, or it has a detail that they may refuse. */
  readonly isIsolated: boolean;
  readonly isOdd: boolean;
  /** Its head has a line that no server would accept as a field. */
  readonly isStray: boolean;
  /** For a broken item: the reason, and the byte that shows it. For a foreign one: the place that shows it. */
  readonly reason: DamageReason;
  readonly seenAt: number;
  /** For a broken item: its end is clear nevertheless. */
  readonly isEndKnown: boolean;
}

export interface Run {
  readonly from: number;
  readonly to: number;
}

export interface Session {
  readonly stream: Uint8Array;
  readonly items: readonly Item[];
  /**
   * The requests that bodies look like, as whole requests: they are found only if nothing shows that they are bodies.
   */
  readonly nested: readonly Item[];
  readonly cuts: readonly number[];
}

export interface SessionKnobs {
  readonly requestsMax: number;
  readonly bodyBytesMax: number;
  readonly maxHeaderBytes: number;
  /** The share of requests that begin their own segment. */
  readonly apart: number;
  /** The share of items that are no acceptable requests. */
  readonly broken: number;
  readonly foreign: number;
  readonly upgrade: number;
  readonly closing: number;
  /** The share of requests with a body that looks like a request. */
  readonly nested: number;
  /** The share of odd or isolated requests; with a seed of its own, so that everything else stays the same. */
  readonly odd: number;
  readonly oddSeed: number;
}

/** A detail that makes a request odd. */
interface Oddity {
  readonly field?: string;
  readonly target?: string;
  readonly version?: string;
  /** The place in the target, or the version, that shows it. */
  readonly seenAt?: number;
  /** Fields around, and instead of, Content-Length or Transfer-Encoding. */
  readonly framing?: (field: string, length: number) => string[];
  readonly extension?: string;
  readonly isOdd?: boolean;
  readonly isIsolated?: boolean;
  readonly isStray?: boolean;
}

interface Body {
  readonly fields: string[];
  readonly bytes: Buffer;
  readonly hasLength: boolean;
  /** The places of its bytes. */
  readonly runs: readonly Run[];
  readonly isIsolated: boolean;
  readonly oddity: Oddity;
}

const ORDINARY: Oddity = {};

const METHODS = ["GET", "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "FROB"];
const IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"];
const FIELDS = [
  "Accept: */*",
  "X-Empty:",
  'Cookie: a=b; c="d"',
  "X-Folded: one\r\n two\r\n\tthree",
  "Accept-Encoding:gzip , br",
  "TE: trailers",
  "X-Long: " + "v".repeat(150),
];
const ODD: readonly Oddity[] = [
  ...["X-Control: a\x01b", "Cookie: \x7f", "X[0]/: a", ": a"].map((field) => ({ field, isOdd: true })),
  ...["X : a", "X y: a", "X\xe9: a", "X\x02: a", "no colon", "<br />"].map((field) => ({
    field,
    isOdd: true,
    isStray: true,
  })),
  { target: "?x", seenAt: 0, isOdd: true },
  { target: "odd", seenAt: "odd".length, isOdd: true },
  { target: "/a b", seenAt: "/a ".length, isOdd: true },
  { target: "/a\x01\x7f", seenAt: "/a".length, isOdd: true },
  { target: "/a HTTP/1.0", seenAt: "/a HTTP/1.0".length, isOdd: true },
  { target: "*x", seenAt: "*".length, isOdd: true },
  ...["1 ", "1\t ", "10"].map((version) => ({ version, seenAt: "1".length, isOdd: true })),
  ...[" ", "\t", ";", ";a=b/c:d", ";a\x01", " x"].map((extension) => ({ extension, isOdd: true })),
  ...["Content_Length: 7", "transfer_encoding: chunked", ".Content-Length: 7"].map((field) => ({
    field,
    isIsolated: true,
  })),
];
const ODD_LENGTHS: readonly Oddity[] = [
  { framing: (field) => [field, field], isIsolated: true },
  { framing: (_, length) => [`Content-Length: ${length}, ${length}`], isIsolated: true },
  { framing: (_, length) => [`Content-Length: 00${length}`], isIsolated: true },
  { framing: (_, length) => [`Content-Length:\r\n ${length}`], isIsolated: true },
  { framing: (field) => ["Transfer-Encoding: identity", field], isIsolated: true },
];
const ODD_CODINGS: readonly Oddity[] = [
  ...["gzip, chunked", ", Chunked", "chunked ,", "\tchunked", "identity, chunked"].map((coding) => ({
    framing: () => [`Transfer-Encoding: ${coding}`],
    isIsolated: true,
  })),
  { framing: (field) => [field, "Content-Length: 3"], isIsolated: true },
  { framing: (field) => ["Content-Length: 0", field], isIsolated: true },
  { framing: (field) => [field, "Transfer-Encoding:"], isIsolated: true },
];
const EXTENSIONS = ["", "", ";name", ";name=value", "; a = b;c", " ;b"];
/** Texts that would frame other bodies wrongly. */
const BODY_TEXTS = ["0\r\n\r\n", "\r\n\r\n", "GET / HTTP/2\r\n", "5\r\nhello\r\n", "\n"];

/** An item without any of these properties. */
const NONE = {
  id: "",
  lineEnd: 0,
  strangeAt: 0,
  hasLength: false,
  runs: [],
  isIdempotent: false,
  isLast: false,
  wantsUpgrade: false,
  isIsolated: false,
  isOdd: false,
  isStray: false,
  reason: "malformed",
  seenAt: 0,
  isEndKnown: false,
} as const;

/** The id of an item that speaks HTTP/2 with prior knowledge. */
export const HTTP2 = "HTTP/2";

export function converse(random: Random, knobs: SessionKnobs, connection: number): Session {
  return new Writer(random, knobs, connection).write();
}

class Writer {
  private readonly pieces: Buffer[] = [];
  private readonly items: Item[] = [];
  private readonly nested: Item[] = [];
  private readonly cuts: number[] = [];
  private length = 0;
  private readonly odd: Random;
  private readonly nesting: Random;

  constructor(
    private readonly random: Random,
    private readonly knobs: SessionKnobs,
    private readonly connection: number,
  ) {
    this.odd = new Random(knobs.oddSeed + connection);
    this.nesting = new Random(knobs.oddSeed - connection);
  }

  write(): Session {
    const { random, knobs } = this;
    if (random.chance(knobs.foreign)) this.addForeign();
    for (let left = random.int(0, knobs.requestsMax); left > 0 && this.goesOn; left--) {
      if (random.chance(0.1)) this.put(random.pick(["\r\n", "\n", "\r\n\r\n"]));
      if (random.chance(knobs.apart)) this.cuts.push(this.length);
      if (random.chance(knobs.broken)) this.addBroken();
      else this.addRequest();
    }
    const { items, nested, cuts } = this;
    return { stream: Buffer.concat(this.pieces), items, nested, cuts };
  }

  private get goesOn(): boolean {
    const last = this.items.at(-1);
    if (last === undefined) return true;
    // Some clients do not know that the server will not listen.
    return last.kind !== "foreign" && last.end !== Infinity && (!last.isLast || this.random.chance(0.2));
  }

  private addRequest(): void {
    const { random, knobs } = this;
    const isUpgrade = random.chance(knobs.upgrade);
    const isConnect = isUpgrade && random.chance(0.3);
    const method = isConnect ? "CONNECT" : random.pick(METHODS);
    const minor = isUpgrade || random.chance(0.9) ? 1 : 0;
    const options = this.connectionOptions(minor, isUpgrade && !isConnect);
    const usual = this.body(method, minor, this.oddity(method, minor));
    const isNested = usual.oddity === ORDINARY && usual.bytes.length > 0 && this.nesting.chance(knobs.nested);
    const body = isNested ? this.nestedBody(usual.hasLength) : usual;
    const { oddity } = body;
    const fields = [...options.fields, ...(isUpgrade && !isConnect ? ["Upgrade: websocket"] : [])];
    if (body.bytes.length > 0 && random.chance(0.1)) fields.push("Expect: 100-continue");
    const isStray = oddity.isStray ?? false;
    const kind = {
      hasLength: body.hasLength,
      runs: body.runs,
      isLast: options.isLast && !isUpgrade,
      wantsUpgrade: isUpgrade,
      isStray,
      isOdd: oddity.isOdd ?? false,
    };
    const isIsolated = body.isIsolated || oddity.isIsolated === true || (isStray && body.bytes.length > 0);
    this.add("request", method, minor, [...fields, ...body.fields], body.bytes, { ...kind, isIsolated }, oddity);
    if (isNested) this.noteNested(this.items.at(-1)!);
    if (isUpgrade && random.chance(0.5)) this.addOtherProtocol();
  }

  /** The oddity of the next request; mostly none. */
  private oddity(method: string, minor: number): Oddity {
    const { odd } = this;
    if (!odd.chance(this.knobs.odd)) return ORDINARY;
    const oddity = odd.pick([...ODD, ...ODD_LENGTHS, ...ODD_CODINGS]);
    const isMisplaced =
      (oddity.version !== undefined && minor === 0) || (oddity.target !== undefined && method === "CONNECT");
    return isMisplaced ? ORDINARY : oddity;
  }

  private connectionOptions(minor: number, isUpgrade: boolean): { fields: string[]; isLast: boolean } {
    const { random } = this;
    const isLast = random.chance(this.knobs.closing);
    if (minor === 0) return { fields: isLast ? [] : ["Connection: Keep-Alive"], isLast };
    // An upgrade's request must not announce the connection's end.
    if (isUpgrade)
      return { fields: [random.pick(["Connection: Upgrade", "connection: keep-alive, upgrade"])], isLast: false };
    return { fields: isLast ? [random.pick(["Connection: close", "Connection: foo , Close"])] : [], isLast };
  }

  /** A body, and the request's oddity if it fits. */
  private body(method: string, minor: number, wanted: Oddity): Body {
    const { random } = this;
    const isUsual = ["POST", "PUT", "PATCH", "FROB"].includes(method);
    const nothing = {
      fields: isUsual && random.chance(0.5) ? ["Content-Length: 0"] : [],
      bytes: Buffer.alloc(0),
      hasLength: false,
      runs: [],
      isIsolated: false,
    };
    const isOfBody = wanted.framing !== undefined || wanted.extension !== undefined;
    if (method === "CONNECT" || !random.chance(isUsual ? 0.9 : 0.1))
      return { ...nothing, oddity: isOfBody ? ORDINARY : wanted };
    const bytes = this.bodyBytes(random.pick([1, 10, 300, this.knobs.bodyBytesMax]));
    if (minor === 1 && random.chance(0.4)) {
      const oddity = ODD_LENGTHS.includes(wanted) ? ORDINARY : wanted;
      const field = random.pick(["Transfer-Encoding: chunked", "transfer-encoding:\tChunked "]);
      const chunks = this.chunked(bytes, oddity.extension);
      return {
        fields: oddity.framing?.(field, 0) ?? [field],
        bytes: chunks.bytes,
        hasLength: false,
        runs: chunks.runs,
        isIsolated: field.includes("\t") || chunks.hasTrailers,
        oddity,
      };
    }
    const oddity = ODD_CODINGS.includes(wanted) || wanted.extension !== undefined ? ORDINARY : wanted;
    const field = `${random.pick(["Content-Length", "content-length"])}: ${random.chance(0.1) ? "0" : ""}${bytes.length}`;
    return {
      fields: oddity.framing?.(field, bytes.length) ?? [field],
      bytes,
      hasLength: true,
      runs: [{ from: 0, to: bytes.length }],
      isIsolated: field.includes(": 0"),
      oddity,
    };
  }

  private bodyBytes(lengthMax: number): Buffer {
    const { random } = this;
    const length = random.int(1, lengthMax);
    if (random.chance(0.5)) return Buffer.from(random.bytes(length));
    let text = "";
    while (text.length < length) text += random.pick(BODY_TEXTS);
    return Buffer.from(text.slice(0, length));
  }

  /** A body that looks like a request: a file of requests, or an attempt to be taken for one. */
  private nestedBody(hasLength: boolean): Body {
    const id = `${this.connection}.${this.items.length}`;
    const bytes = Buffer.from(`GET /nested HTTP/1.1\r\nHost: host\r\nX-Id: ${id}.nested\r\n\r\n`);
    const known = { isIsolated: false, oddity: ORDINARY };
    if (hasLength) {
      const fields = [`Content-Length: ${bytes.length}`];
      return { fields, bytes, hasLength, runs: [{ from: 0, to: bytes.length }], ...known };
    }
    const size = `${bytes.length.toString(16)}\r\n`;
    const runs = [{ from: size.length, to: size.length + bytes.length }];
    const chunks = Buffer.concat([Buffer.from(size), bytes, Buffer.from("\r\n0\r\n\r\n")]);
    return { fields: ["Transfer-Encoding: chunked"], bytes: chunks, hasLength, runs, ...known };
  }

  /** The last item has a nested body, which mostly begins a segment. */
  private noteNested({ id, hasLength, runs: [run], end }: Item): void {
    const { from, to } = run!;
    if (this.nesting.chance(0.8)) this.cuts.push(from);
    const lineEnd = from + "GET /nested HTTP/1.1\r\n".length;
    const known = { lineEnd, headEnd: to, isIdempotent: true, seenAt: to - 1 };
    this.nested.push({ ...NONE, ...known, id: `${id}.nested`, kind: "request", start: from, end: to });
    // A reader that takes it for a request takes the next chunk for another one, which it is not.
    const chunk = { id: "", start: to + "\r\n".length, headEnd: end, seenAt: to + "\r\n0".length } as const;
    if (!hasLength) this.nested.push({ ...NONE, ...chunk, kind: "broken", end });
  }

  private chunked(bytes: Buffer, extension?: string): { bytes: Buffer; hasTrailers: boolean; runs: Run[] } {
    const { random } = this;
    const oddOr = (usual: string) => extension ?? usual;
    const pieces: Buffer[] = [];
    const runs: Run[] = [];
    let from = 0;
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, random.int(1, Math.ceil(bytes.length / random.int(1, 4))));
      const size = length.toString(16);
      pieces.push(
        Buffer.from(
          `${random.chance(0.2) ? "00" : ""}${random.chance(0.5) ? size.toUpperCase() : size}${oddOr(random.pick(EXTENSIONS))}\r\n`,
        ),
      );
      from += pieces.at(-1)!.length;
      runs.push({ from, to: from + length });
      pieces.push(bytes.subarray(at, at + length), Buffer.from("\r\n"));
      from += length + 2;
      at += length;
    }
    const trailers = random.chance(0.3) ? "X-Trailer: 1\r\nContent-Length: 7\r\n" : "";
    const last = `${random.pick(["0", "000"])}${oddOr(random.pick(EXTENSIONS))}\r\n${trailers}\r\n`;
    return { bytes: Buffer.concat([...pieces, Buffer.from(last)]), hasTrailers: trailers !== "", runs };
  }

  /** A client that may go on in another protocol. Its first byte does not begin a request line. */
  private addOtherProtocol(): void {
    if (this.random.chance(0.5)) this.cuts.push(this.length);
    const start = this.length;
    this.put(Buffer.concat([Buffer.from([0x81]), Buffer.from(this.random.bytes(this.random.int(0, 500)))]));
    // No request follows it.
    this.push({ kind: "foreign", start, end: Infinity, seenAt: start });
  }

  private addBroken(): void {
    const { random } = this;
    const kinds: (() => void)[] = [
      () => this.addSeenInField("Content-Length : 5", "Content-Length".length),
      () => this.addSeenInField("X-Bad: a\rb", "X-Bad: a\r".length),
      () => this.addSeenInField("Content-Length: 5x", "Content-Length: 5".length),
      () =>
        this.add("broken", "POST", 1, ["Content-Length: 5", "Content-Length: 6"], Buffer.from("hello"), {
          reason: "ambiguous_length",
        }),
      () =>
        this.add("broken", "CONNECT", 1, ["Content-Length: 5"], Buffer.from("hello"), { reason: "ambiguous_length" }),
      () =>
        this.add("broken", "POST", 1, ["Transfer-Encoding: gzip"], Buffer.from("hello"), {
          reason: "ambiguous_length",
        }),
      () =>
        this.add("broken", "PUT", 1, ["Transfer-Encoding: chunked"], Buffer.from("5\r\nhello\r\nzz\r\n"), {
          seenInBody: "5\r\nhello\r\n".length,
          runs: [{ from: "5\r\n".length, to: "5\r\nhello".length }],
        }),
      () => {
        const start = this.length;
        const line = `GET /${"x".repeat(random.int(0, 20))} HTTP/9.1`;
        this.put(`${line}\r\nHost: a\r\n\r\n`);
        const strangeAt = start + line.indexOf("9.1");
        this.push({ kind: "broken", start, end: this.length, strangeAt, seenAt: start + line.length });
      },
      () => this.addTooLong(),
      () => this.addNul(),
    ];
    random.pick(kinds)();
  }

  /** A request with an additional field with a forbidden byte. */
  private addSeenInField(field: string, at: number): void {
    const { fieldsAt } = this.add("broken", "GET", 1, [], Buffer.alloc(0), {}, { field }, true);
    const item = this.items.pop()!;
    this.items.push({ ...item, seenAt: fieldsAt + at });
  }

  private addNul(): void {
    const { odd } = this;
    const body = this.body(odd.pick(["GET", "POST", "PUT"]), 1, ORDINARY);
    const isLast = odd.chance(0.1);
    const fields = [...body.fields, odd.pick(["X-Nul: a\0b", "X-Nul\0: a"]), ...(isLast ? ["Connection: close"] : [])];
    const isStray = fields.includes("X-Nul\0: a");
    const { hasLength, runs } = body;
    this.add("broken", "POST", 1, fields, body.bytes, { hasLength, runs, isEndKnown: true, isLast, isStray });
  }

  private addTooLong(): void {
    const start = this.length;
    const { maxHeaderBytes } = this.knobs;
    const line = `GET /${this.random.chance(0.5) ? "" : "y".repeat(maxHeaderBytes)} HTTP/1.1\r\n`;
    const id = `${this.connection}.${this.items.length}`;
    const body = this.odd.pick([null, this.nestedBody(true)]);
    const fields = [`X: ${"z".repeat(maxHeaderBytes)}`, ...(body?.fields ?? []), ""];
    this.put(`${line}${fields.map((field) => `${field}\r\n`).join("")}`);
    const headEnd = this.length;
    if (body !== null) this.put(body.bytes);
    const lineEnd = line.length <= maxHeaderBytes ? start + line.length : 0;
    const known = {
      reason: "header_too_long",
      seenAt: start + maxHeaderBytes,
      isEndKnown: true,
      hasLength: body !== null,
      runs: body === null ? [] : [{ from: headEnd, to: this.length }],
    } as const;
    this.push({ id, kind: "broken", start, end: this.length, lineEnd, headEnd, ...known });
    if (body !== null) this.noteNested(this.items.at(-1)!);
  }

  private addForeign(): void {
    const { random } = this;
    const rest = Buffer.from(random.bytes(random.int(1, 300)));
    const kinds: [string, number][] = [
      ["\x16\x03\x01\x01\x00", 1],
      ["\x00\x01garbage", 0],
      ["SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6".length],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 23],
    ];
    const [text, seenAt] = random.pick(kinds);
    this.put(Buffer.concat([Buffer.from(text, "latin1"), rest]));
    this.push({ id: text.startsWith("PRI") ? HTTP2 : "", kind: "foreign", start: 0, end: Infinity, seenAt });
  }

  private add(
    kind: Item["kind"],
    method: string,
    minor: number,
    special: readonly string[],
    body: Buffer,
    { seenInBody, runs = [], ...known }: Partial<Item> & { seenInBody?: number },
    oddity: Oddity = ORDINARY,
    isFirst = false,
  ): { fieldsAt: number } {
    const { random } = this;
    const id = `${this.connection}.${this.items.length}`;
    const start = this.length;
    const lineEnd = kind === "request" && random.chance(0.05) ? "\n" : "\r\n";
    const usual =
      method === "CONNECT"
        ? "host:443"
        : random.pick(["/", `/${id}`, "/a?b=c|d", "http://host/x", method === "OPTIONS" ? "*" : "/"]);
    const fields = [...special, `X-Id: ${id}`, "Host: host", ...FIELDS.filter(() => random.chance(0.15))];
    for (let i = fields.length - 1; i > 0; i--) {
      const j = random.int(0, i);
      [fields[i], fields[j]] = [fields[j]!, fields[i]!];
    }
    const end = (text: string) => text.replaceAll("\r\n", lineEnd) + lineEnd;
    const target = oddity.target ?? usual;
    const line = end(`${method} ${target} HTTP/1.${oddity.version ?? minor}`);
    const oddPart = method.length + 1 + (oddity.version === undefined ? 0 : `${target} HTTP/1.`.length);
    this.put(line);
    const fieldsAt = this.length;
    if (oddity.field !== undefined) fields.splice(isFirst ? 0 : this.odd.int(0, fields.length), 0, oddity.field);
    this.put([...fields, ""].map(end).join(""));
    const headEnd = this.length;
    this.put(body);
    this.push({
      kind,
      id,
      start,
      end: this.length,
      // An unknown method does not count as a request line after a hole, nor does an odd one.
      lineEnd:
        method === "FROB" || oddity.target !== undefined || oddity.version !== undefined ? 0 : start + line.length,
      strangeAt: start + (method === "FROB" ? 0 : oddPart + (oddity.seenAt ?? 0)),
      headEnd,
      runs: runs.map(({ from, to }) => ({ from: headEnd + from, to: headEnd + to })),
      isIdempotent: IDEMPOTENT.includes(method),
      seenAt: headEnd + (seenInBody ?? -1),
      ...known,
      isIsolated: known.isIsolated === true || lineEnd === "\n" || fields.some((field) => field.includes("\n")),
    });
    return { fieldsAt };
  }

  private push(item: Partial<Item> & Pick<Item, "kind" | "start" | "end">): void {
    this.items.push({ ...NONE, headEnd: item.start, ...item });
  }

  private put(text: string | Buffer): void {
    const bytes = typeof text === "string" ? Buffer.from(text, "latin1") : text;
    this.pieces.push(bytes);
    this.length += bytes.length;
  }
}
