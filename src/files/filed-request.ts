/** A request as files have it: its head read, its body as text where it is one, and without secrets. */
import { ChunkedBody } from "../http/chunked-body.ts";
import { type FieldLines, HeadView } from "../http/head-view.ts";
import type { ResponseTap } from "../http/response-sink.ts";
import { BLOT, type Redactor } from "../redact/redactor.ts";

export interface FiledRequest {
  /** When its first bytes were captured, in milliseconds since 1970. */
  readonly timeMs: number;
  /** The number of the connection that brought it: those of one client connection have the same. */
  readonly connection: number;
  readonly method: string;
  readonly target: string;
  /** `HTTP/1.1`, `HTTP/2.0`. */
  readonly version: string;
  /** The first Host, or the target's authority. */
  readonly host: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Undefined: it has none. */
  readonly body: FiledBody | undefined;
}

export interface FiledBody {
  readonly text: string;
  readonly isBase64: boolean;
}

/** What is known of a request beside its bytes. */
export interface RequestFrame {
  readonly timeMs: number;
  readonly connection: number;
  readonly headLength: number;
  readonly isChunked: boolean;
  readonly version: string;
}

/** `bytes`: all of the request, as the framer has accepted it. */
export function filedRequest(bytes: Buffer, frame: RequestFrame, redactor: Redactor): FiledRequest {
  const { timeMs, connection, headLength, isChunked, version } = frame;
  const head = new HeadView(bytes.toString("latin1", 0, headLength));
  const content = isChunked ? withoutChunks(bytes.subarray(headLength)) : bytes.subarray(headLength);
  const isCoded = head.values("content-encoding").some((coding) => coding !== "" && !/^identity$/i.test(coding));
  return {
    timeMs,
    connection,
    method: head.method,
    target: redactor.target(head.target),
    version,
    host: redactor.target(head.host ?? ""),
    headers: head.fields.filter(({ name }) => name !== "").map((field) => shownField(field, redactor)),
    body: content.length === 0 ? undefined : shownBody(content, isCoded, redactor),
  };
}

function shownField({ name, lines }: FieldLines, redactor: Redactor): [string, string] {
  const [first, ...folded] = lines as [string, ...string[]];
  const colon = first.indexOf(":");
  const value = [first.slice(colon + 1), ...folded].map((line) => line.trim()).join(" ");
  return [first.slice(0, colon).trim(), redactor.header(name, value.trim())];
}

function shownBody(content: Buffer, isCoded: boolean, redactor: Redactor): FiledBody {
  // What is compressed cannot be looked through.
  if (isCoded && !redactor.showsAll) return { text: BLOT, isBase64: false };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    return { text: redactor.content(text), isBase64: false };
  } catch {
    const text = redactor.text(content.toString("latin1"));
    return { text: Buffer.from(text, "latin1").toString("base64"), isBase64: true };
  }
}

/** Takes the data of chunks. */
class Data implements ResponseTap {
  readonly parts: Uint8Array[] = [];

  begin(): void {}
  head(): void {}
  body(bytes: Uint8Array, from: number, to: number): void {
    this.parts.push(bytes.subarray(from, to));
  }
}

function withoutChunks(bytes: Buffer): Buffer {
  const data = new Data();
  const body = new ChunkedBody(false, data);
  body.begin(Infinity);
  body.feed(bytes, 0, bytes.length);
  return Buffer.concat(data.parts);
}
