/**
 * Requests of every ordinary kind, and of the odd kinds that servers accept although no specification allows them: no
 * oddity touches the end of a request. Made from a seed; each has its own id, `CONNECTION-NUMBER`.
 */
import type { Random } from "../support/random.ts";

export interface MixedRequest {
  readonly id: string;
  readonly kind: string;
  readonly method: string;
  readonly isOdd: boolean;
  readonly bytes: Uint8Array;
}

/** A client's connection. */
export interface MixedConnection {
  readonly requests: MixedRequest[];
  /** The client does not wait for responses: segments begin and end at any place. */
  readonly isPipelined: boolean;
}

const CONNECTION_REQUESTS_MAX = 30;
/** The share of all requests. */
const ODD_SHARE = 0.25;
/** Body lengths, most of them small; the last is more than --max-request-bytes, so that the request is streamed. */
const BODY_LENGTHS = [0, 1, 10, 10, 200, 200, 3000, 20_000];
const STREAMED_LENGTH = 1_200_000;
const HOST = "production.example";

type Make = (id: string, random: Random) => string;

interface Kind {
  readonly name: string;
  readonly make: Make;
  /** Production closes the connection after it. */
  readonly isLast?: boolean;
  /** The number of such requests, if it differs from other kinds. */
  readonly once?: boolean;
}

interface Parts {
  method?: string;
  target?: string;
  version?: string;
  /** Field lines, each with its CRLF; after Host and X-Id. */
  fields?: string;
  body?: string;
}

function request(
  id: string,
  { method = "GET", target = `/r/${id}`, version = "HTTP/1.1", fields = "", body = "" }: Parts = {},
): string {
  return `${method} ${target} ${version}\r\nHost: ${HOST}\r\nX-Id: ${id}\r\n${fields}\r\n${body}`;
}

/** Letters and line ends: text in the body that looks like the end of a request. */
function text(random: Random, length = random.pick(BODY_LENGTHS)): string {
  const word = random.pick(["abc", "x\r\n\r\ny", "GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n"]);
  return word.repeat(Math.ceil(length / word.length)).slice(0, length);
}

function sized(id: string, method: string, body: string, fields = ""): string {
  return request(id, { method, fields: `${fields}Content-Length: ${body.length}\r\n`, body });
}

/** A chunked request; `line` makes a chunk's line from its length in hexadecimal. */
function chunked(id: string, random: Random, parts: Parts = {}, line = (size: string) => size): string {
  const pieces = Array.from({ length: random.int(1, 4) }, () => text(random)).filter((piece) => piece !== "");
  const body = pieces.map((piece) => `${line(piece.length.toString(16))}\r\n${piece}\r\n`).join("");
  const fields = `${parts.fields ?? ""}Transfer-Encoding: chunked\r\n`;
  return request(id, { method: "POST", ...parts, fields, body: `${body}${line("0")}\r\n\r\n` });
}

const ORDINARY: Kind[] = [
  { name: "GET", make: (id) => request(id) },
  { name: "GET with a query", make: (id) => request(id, { target: `/r/${id}?a=b&c=%20d` }) },
  { name: "HEAD", make: (id) => request(id, { method: "HEAD" }) },
  { name: "DELETE", make: (id) => request(id, { method: "DELETE" }) },
  { name: "OPTIONS", make: (id) => request(id, { method: "OPTIONS" }) },
  { name: "POST with a length", make: (id, random) => sized(id, "POST", text(random)) },
  { name: "PUT with a length", make: (id, random) => sized(id, "PUT", text(random)) },
  { name: "PATCH with a length", make: (id, random) => sized(id, "PATCH", text(random)) },
  { name: "POST without a body", make: (id) => sized(id, "POST", "") },
  { name: "POST in chunks", make: (id, random) => chunked(id, random) },
  { name: "PUT in chunks", make: (id, random) => chunked(id, random, { method: "PUT" }) },
  {
    name: "POST that expects to go on",
    make: (id, random) => sized(id, "POST", text(random, 200), "Expect: 100-continue\r\n"),
  },
  { name: "absolute-form", make: (id) => request(id, { target: `http://${HOST}/r/${id}` }) },
  { name: "large POST", make: (id, random) => sized(id, "POST", text(random, STREAMED_LENGTH)), once: true },
  { name: "HTTP/1.0", make: (id) => request(id, { version: "HTTP/1.0" }), isLast: true },
  {
    name: "HTTP/1.0 POST",
    make: (id, random) => sized(id, "POST", text(random, 200)).replace("HTTP/1.1", "HTTP/1.0"),
    isLast: true,
  },
  {
    name: "HTTP/1.0 kept alive",
    make: (id) => request(id, { version: "HTTP/1.0", fields: "Connection: keep-alive\r\n" }),
  },
  { name: "Connection: close", make: (id) => request(id, { fields: "Connection: close\r\n" }), isLast: true },
];

const odd = (name: string, make: Make): Kind => ({ name, make });

/** Requests that clients send and servers accept, according to issue reports. */
const ODD: Kind[] = [
  odd("control character in a cookie", (id) => request(id, { fields: "Cookie: a=1; b=x\x01y\r\n" })),
  odd("DEL in a value", (id) => request(id, { fields: "X-Data: a\x7fb\r\n" })),
  odd("UTF-8 in a value", (id) => request(id, { fields: "X-Data: \xc3\xa4\r\n" })),
  odd("brackets in a name", (id) => request(id, { fields: "X-Data[0]: a\r\n" })),
  odd("UTF-8 in a name", (id) => request(id, { fields: "X-D\xc3\xa4ta: a\r\n" })),
  odd("slash in a name", (id) => request(id, { fields: "X/Data: a\r\n" })),
  odd("line without a colon", (id) => request(id, { fields: "no colon here\r\n" })),
  odd("POST with brackets in a name", (id, random) => sized(id, "POST", text(random, 200), "X-Data[0]: a\r\n")),
  odd("POST with a control character in a value", (id, random) =>
    sized(id, "POST", text(random, 10), "X-Data: a\x02b\r\n"),
  ),
  odd("blank behind the version", (id) => request(id, { version: "HTTP/1.1 " })),
  odd("blanks behind a chunk size", (id, random) => chunked(id, random, {}, (size) => `${size}   `)),
  odd("tab behind a chunk size", (id, random) => chunked(id, random, {}, (size) => `${size}\t`)),
  odd("empty chunk extension", (id, random) => chunked(id, random, {}, (size) => `${size};`)),
  odd("odd chunk extension", (id, random) => chunked(id, random, {}, (size) => `${size};a=b/c:d`)),
  odd("target without a slash", (id) => request(id, { target: `r/${id}` })),
  odd("target that is a query", (id) => request(id, { target: `?id=${id}` })),
  odd("blank in a target", (id) => request(id, { target: `/r/${id}/a b` })),
  odd("control character in a target", (id) => request(id, { target: `/r/${id}/a\x01b` })),
  odd("UTF-8 in a target", (id) => request(id, { target: `/r/${id}/\xc3\xa4` })),
];

/** `count` requests on as many connections as needed; each odd kind comes at least once, unless none are wanted. */
export function mixedConnections(random: Random, count: number, isWithOdd = true): MixedConnection[] {
  const kinds = kindsOf(random, count, isWithOdd ? ODD : []);
  const connections: MixedConnection[] = [];
  for (let at = 0; at < kinds.length;) {
    const wanted = random.int(1, CONNECTION_REQUESTS_MAX);
    const last = kinds.slice(at, at + wanted).findIndex(({ isLast }) => isLast === true);
    const taken = kinds.slice(at, at + (last < 0 ? wanted : last + 1));
    const number = connections.length;
    const requests = taken.map((kind, i) => made(kind, `${number}-${i}`, random));
    connections.push({ requests, isPipelined: random.chance(0.5) });
    at += taken.length;
  }
  return connections;
}

function kindsOf(random: Random, count: number, odd: Kind[]): Kind[] {
  const often = ORDINARY.filter(({ once }) => once !== true);
  const once = [...ORDINARY.filter((kind) => kind.once === true), ...odd];
  const oddShare = odd.length === 0 ? 0 : ODD_SHARE;
  const kinds = Array.from({ length: count }, () =>
    random.chance(oddShare) ? random.pick(odd) : ordinary(random, often),
  );
  for (const [i, kind] of once.entries()) kinds[Math.floor(((i + 0.5) * count) / once.length)] = kind;
  return kinds;
}

/** Requests that end a connection are rare; otherwise all connections would be short. */
function ordinary(random: Random, kinds: Kind[]): Kind {
  const kind = random.pick(kinds);
  return kind.isLast === true && random.chance(0.8) ? kinds[0]! : kind;
}

function made({ name, make }: Kind, id: string, random: Random): MixedRequest {
  const words = make(id, random);
  return {
    id,
    kind: name,
    method: words.slice(0, words.indexOf(" ")),
    isOdd: ODD.some((kind) => kind.name === name),
    bytes: Uint8Array.from(Buffer.from(words, "latin1")),
  };
}
