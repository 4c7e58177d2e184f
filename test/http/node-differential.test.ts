/**
 * The request framer beside Node's own HTTP parser, on random requests and mutations of them: requests that Node reads
 * to their end are framed the same, and those that it refuses are not whole. If we decide otherwise, the kind is listed
 * here, with its condition; another server accepts each request that we accept.
 */
import { createHash } from "node:crypto";
import { METHODS as NODE_METHODS } from "node:http";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Random } from "../support/random.ts";
import { type FramedRequest, frame, happened } from "./recorder.ts";
import { mutate, randomRequest } from "./random-request.ts";

const CASES = Number(process.env.NODE_CASES ?? 6000);
const SEEDS = process.env.SEED === undefined ? Array.from({ length: CASES }, (_, i) => i) : [Number(process.env.SEED)];

interface NodeRequest {
  method: string;
  url: string;
  bodyLength: number;
  sha256: string;
}

interface NodeResult {
  requests: NodeRequest[];
  error: { code: string; reason: string } | null;
}

interface Difference {
  why: string;
  /** Whether a connection's rest, from the request in question on, is a case of this kind. */
  is: (rest: Rest) => boolean;
}

interface Rest {
  /** The earlier part of the connection. */
  before: string;
  line: string;
  head: string;
  text: string;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~\\w]+";
const CHUNK_LINE = new RegExp(
  `^[\\da-f]+([ \\t]*;[ \\t]*${TOKEN}([ \\t]*=[ \\t]*(${TOKEN}|"([^"\\\\]|\\\\.)*"))?)*$`,
  "i",
);
const PROXY_CONNECTION = /^proxy-connection:/im;
const ORDINARY_LINE = new RegExp(`^${TOKEN} +[^\\x00-\\x20\\x7f]+ +HTTP/1\\.\\d\\r?\\n$`);

/** Requests that Node reads and we do not. */
const ONLY_NODE: Difference[] = [
  { why: "RFC 9112, section 2.3: another major version, or none", is: ({ line }) => !/ HTTP\/1\.\d\r?\n$/.test(line) },
  {
    why: "RFC 9112, section 6.3: an empty Transfer-Encoding is one whose last coding is not chunked",
    is: ({ head }) => /^transfer-encoding:[ \t]*\r?$/im.test(head),
  },
  {
    why: "RFC 9112, section 6.3: a last coding that is not chunked (Node does not mind, behind Upgrade)",
    is: ({ head }) => /^upgrade:/im.test(head) && codingsOf(head).length > 0,
  },
  {
    why: "RFC 9112, section 6.1: no list of transfer codings",
    is: ({ head }) =>
      codingsOf(head).some((coding) => !new RegExp(`^(${TOKEN}([ \\t]*;([ \\t;=]|${TOKEN})*)?)?$`).test(coding)),
  },
  {
    why: "RFC 9112, section 7.1: chunked has no parameters",
    is: ({ head }) => codingsOf(head).some((coding) => /^chunked[ \t]*;/i.test(coding)),
  },
  {
    why: "Proxy-Connection is no field that keeps a connection open",
    is: ({ before }) => PROXY_CONNECTION.test(before),
  },
  {
    why: "RFC 9110, section 9.3.6: CONNECT has no content",
    is: ({ line, head }) => line.startsWith("CONNECT ") && /^(content-length|transfer-encoding):/im.test(head),
  },
  { why: "a PROXY protocol header", is: ({ line }) => line.startsWith("PROXY ") },
];

/**
 * Requests that Node refuses and we forward: because the RFC allows them, or because another server takes them and no
 * boundary moves, or isolated.
 */
const ONLY_WE: Difference[] = [
  {
    why: "RFC 9110, section 9.1: any token is a method",
    is: ({ line }) => new RegExp(`^${TOKEN}[ \\t]`).test(line) && !NODE_METHODS.includes(line.split(/[ \t]/)[0]!),
  },
  {
    why: "RFC 9110, section 2.5: a higher minor version is the highest one that is known",
    is: ({ line }) => / HTTP\/1\.[2-9]\r?\n$/.test(line),
  },
  {
    why: "bytes in a target that are not ASCII: nginx and Python take them",
    is: ({ line }) => /[\x80-\xff]/.test(line),
  },
  {
    why: "RFC 3986, section 4.3: an absolute-form that Node finds no host in",
    is: ({ line }) => /^\S+ +[a-z][a-z0-9+.-]*:/i.test(line),
  },
  {
    why: "a blank or tab behind the version, or more digits: nginx and Python take the one, Python and Java the others",
    is: ({ line }) => /[ \t]HTTP\/1\.(\d[ \t]+|\d\d+[ \t]*)\r?\n$/.test(line),
  },
  { why: "a target without a slash: Python takes it", is: ({ line }) => /^\S+[ \t]+[^/ \t]/.test(line) },
  { why: "CONNECT to a path: Python takes it", is: ({ line }) => /^CONNECT +[/*]/.test(line) },
  {
    why: "blanks (Java), tabs and control characters (Python) in or around a target",
    is: ({ line }) => !ORDINARY_LINE.test(line),
  },
  {
    why: "isolated, RFC 9112, section 2.2: bare LF",
    is: ({ head, text }) => /(^|[^\r])\n/.test(head) || /(^|[^\r])\n/.test(text.slice(head.length)),
  },
  { why: "isolated, RFC 9112, section 5.2: obsolete line folding", is: ({ text }) => /\n[ \t]/.test(text) },
  {
    why: "isolated, RFC 9112, section 6.3: the same Content-Length several times",
    is: ({ head }) => /^content-length:.*,/im.test(head) || (head.match(/^content-length:/gim) ?? []).length > 1,
  },
  {
    why: "isolated, RFC 9112, section 6.3: a transfer coding beats a length",
    is: ({ head }) => /^content-length:/im.test(head) && codingsOf(head).length > 0,
  },
  {
    why: "isolated, RFC 9112, section 6.1: a transfer coding in HTTP/1.0",
    is: ({ line, head }) => / HTTP\/1\.0\r?\n$/.test(line) && codingsOf(head).length > 0,
  },
  {
    why: "isolated, RFC 9110, section 5.6.1: empty elements of a list",
    is: ({ head }) => codingsOf(head).includes(""),
  },
  {
    why: "isolated, RFC 9110, section 5.6.3: a tab is whitespace around a value as well",
    is: ({ head }) => /^(content-length|transfer-encoding):.*\t/im.test(head),
  },
  {
    why: "RFC 9110, section 6.5.1: fields of a trailer section say nothing about length",
    is: ({ head, text }) => /^(content-length|transfer-encoding):/im.test(text.slice(head.length)),
  },
  {
    why: "any chunk extension, and blanks behind a size: nginx and Go take them",
    is: ({ text }) => chunkLinesOf(text).some((line) => !CHUNK_LINE.test(line) || /[ \t]/.test(line)),
  },
  {
    why: "control characters and DEL in a value: nginx, Python and Java take them",
    is: ({ text }) => /^[^:\n]*:.*[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/m.test(text),
  },
  {
    why: "a name that is no token, or no name: nginx takes most, Python all",
    is: ({ text }) => text.split("\r\n").some((line) => line.includes(":") && !new RegExp(`^${TOKEN}:`).test(line)),
  },
  {
    why: "a line without a colon: nginx and Python take it",
    is: ({ text }) => text.split("\r\n").some((line) => !line.includes(":")),
  },
  { why: "Proxy-Connection is no field that ends a connection", is: ({ before }) => PROXY_CONNECTION.test(before) },
];

/** Possible lines before chunks with an extension. */
function chunkLinesOf(text: string): string[] {
  return text.split("\r\n").filter((line) => /^[\da-f]+[ \t]*(;|[ \t]|$)/i.test(line));
}

function codingsOf(head: string): string[] {
  return [...head.matchAll(/^transfer-encoding:(.*?)\r?$/gim)].flatMap(([, value]) =>
    value!.split(",").map((coding) => coding.trim()),
  );
}

function restOf(connection: string, at: number): Rest {
  const trimmed = connection.slice(at).replace(/^[\r\n]+/, "");
  const head = /^[^]*?\n\r?\n/.exec(trimmed)?.[0] ?? trimmed;
  return { before: connection.slice(0, at), text: trimmed, head, line: /^[^\n]*\n?/.exec(trimmed)![0] };
}

/** The body without its transfer coding, decoded in the simplest way. */
function bodyOf(request: FramedRequest): Buffer {
  let coded = request.text.slice(request.headLength);
  if (request.bodyLength >= 0) return Buffer.from(coded, "latin1");
  let body = "";
  for (;;) {
    const lineEnd = coded.indexOf("\r\n") + 2;
    const size = parseInt(coded, 16);
    if (size === 0) return Buffer.from(body, "latin1");
    body += coded.slice(lineEnd, lineEnd + size);
    coded = coded.slice(lineEnd + size + 2);
  }
}

function summaryOf(request: FramedRequest): NodeRequest {
  const body = bodyOf(request);
  const target = /^[^ \t]+[ \t]+([^ ]+)/.exec(request.text)![1]!;
  return {
    method: request.method,
    url: target,
    bodyLength: body.length,
    sha256: createHash("sha256").update(body).digest("hex"),
  };
}

function connectionOf(seed: number): string {
  const random = new Random(seed);
  const oddness = random.pick([0, 0.5, 1, 1]);
  let text = Array.from({ length: random.int(1, 4) }, () => randomRequest(random, oddness)).join("");
  if (random.chance(0.5)) text = mutate(random, text);
  return text;
}

/** Compares request by request, up to the first one with a justified difference. Returns the reason. */
function compare(seed: number, text: string, node: NodeResult): string | null {
  const framed = frame([text], { stopAtUpgrade: true });
  const ours = framed.requests;
  let at = 0;
  for (let i = 0; i < Math.max(ours.length, node.requests.length); i++) {
    const rest = restOf(text, at);
    const context = { seed, rest: rest.text, events: framed.events, error: node.error };
    // Node's treatment of bytes after an upgrade does not matter.
    if (/^upgrade:/im.test(rest.before)) return null;
    const mine = ours[i];
    const theirs = node.requests[i];
    if (mine === undefined || theirs === undefined) {
      const difference = (mine === undefined ? ONLY_NODE : ONLY_WE).find(({ is }) => is(rest));
      if (difference === undefined)
        throw new Error(
          `${mine === undefined ? "not framed" : "framed, but not read by Node"}: ${JSON.stringify(context)}`,
        );
      return difference.why;
    }
    const { method, url, bodyLength, sha256 } = theirs;
    expect({ ...context, ...summaryOf(mine) }).toEqual({ ...context, method, url, bodyLength, sha256 });
    at = text.indexOf(mine.text, at) + mine.text.length;
  }
  return null;
}

async function askNode(node: string, texts: string[]): Promise<NodeResult[]> {
  const input = texts.map((text) => `${Buffer.from(text, "latin1").toString("base64")}\n`).join("");
  const child = Bun.spawn([node, join(import.meta.dir, "node-parser.mjs")], {
    stdin: Buffer.from(input),
    stdout: "pipe",
  });
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as NodeResult);
}

const node = Bun.which("node");
if (node === null) {
  test.skip("as Node's parser: node is not installed", () => {});
} else {
  test(`as Node's parser, on ${SEEDS.length} random connections (again with SEED)`, async () => {
    const texts = SEEDS.map(connectionOf);
    const results = await askNode(node, texts);
    expect(results.length).toBe(texts.length);
    const met = new Map<string, number>();
    results.forEach((result, i) => {
      const why = compare(SEEDS[i]!, texts[i]!, result);
      if (why !== null) met.set(why, (met.get(why) ?? 0) + 1);
    });
    if (process.env.NODE_DIFFERENCES !== undefined) console.log(met);
    // Most compared requests must be the same; otherwise the test proves nothing.
    const same = results.filter((result) => result.requests.length > 0).length;
    if (SEEDS.length > 1) expect(same).toBeGreaterThan(SEEDS.length / 2);
  }, 120_000);

  test("the same in any pieces", () => {
    for (const seed of SEEDS.slice(0, 1500)) {
      const text = connectionOf(seed);
      const random = new Random(seed);
      const pieces: string[] = [];
      for (let at = 0; at < text.length;) {
        const length = random.chance(0.5) ? 1 : random.int(1, 40);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      expect({ seed, got: happened(frame(pieces)) }).toEqual({ seed, got: happened(frame([text])) });
      expect({ seed, got: happened(frame([...text])) }).toEqual({ seed, got: happened(frame([text])) });
    }
  });
}
